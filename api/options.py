from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from fleet.errors import ConfigurationError

STATIC_DIRECTORY: Final = Path(__file__).parent / "static"
LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOptions:
    """Settings of one API process; `validate` before use."""

    host: str = "127.0.0.1"
    port: int = 8080
    """0 takes a free port."""
    allow_remote: bool = False
    """There is no log-in: whoever reaches the port may cordon sleds and cancel jobs."""
    allowed_hosts: Sequence[str] = ()
    """Names of this server that a Host header may carry besides loopback names and addresses."""
    external_url: str = ""
    """Where people reach this API, for test notifications; empty for the address it listens on."""
    static_directory: Path = field(default=STATIC_DIRECTORY)
    tick_s: float = 1.0
    """How often viewers get new planes; agents measure at 1 Hz."""
    live_fresh_s: float = 10.0
    """A loop not heard for this long makes the process unready."""
    max_unacked_ticks: int = 2
    """Ticks a viewer may leave unpainted before it gets no more planes."""
    max_viewers: int = 200
    max_message_bytes: int = 4096
    """Of a viewer's message; an acknowledgement has under 50 bytes."""
    max_body_bytes: int = 64 * 1024
    page_limit: int = 100
    max_page_limit: int = 1000
    idempotency_keep_s: float = 24 * 3600.0
    stop_timeout_s: float = 4.0

    @property
    def public_url(self) -> str:
        return self.external_url or f"http://{self.host}:{self.port}"

    def validate(self) -> None:
        """Raises ConfigurationError with one line that names the setting."""
        if not 0 <= self.port <= 65535:
            raise ConfigurationError(f"port {self.port} is outside 0 to 65535")
        if not self.allow_remote and not is_loopback(self.host):
            raise ConfigurationError(
                f"host {self.host!r} is not a loopback address; there is no log-in yet, so "
                "listening elsewhere needs --allow-remote"
            )
        for name in ("tick_s", "live_fresh_s", "stop_timeout_s", "idempotency_keep_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigurationError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("max_unacked_ticks", "max_viewers", "max_body_bytes", "page_limit"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be 1 or more, not {getattr(self, name)}")
        if self.page_limit > self.max_page_limit:
            raise ConfigurationError(
                f"page_limit {self.page_limit} is above max_page_limit {self.max_page_limit}"
            )


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
