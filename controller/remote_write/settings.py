"""Where aggregates are pushed, from a file and the environment; no secret is on a command line."""

import os
import tomllib
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Final

import httpx
import msgspec

from fleet.errors import ConfigurationError
from fleet.metrics import BY_NAME, Kind

FILE_VARIABLE: Final = "ISOTHERM_REMOTE_WRITE_CONFIG"
"""Names a TOML file with the fields of `RemoteWriteSettings`."""
TOKEN_VARIABLE: Final = "ISOTHERM_REMOTE_WRITE_TOKEN"


class Breadth(StrEnum):
    """Over what chips and sleds are taken together."""

    FLEET = "fleet"  # one series a metric
    LOOP = "loop"  # one a cooling loop, with its CDU, set-points and counters of ingest
    SLED = "sled"  # one a sled; at 20,000 sleds that is 500,000 series


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteWriteSettings:
    """`url` is the server's write address, as http://prometheus:9090/api/v1/write. All lengths but
    the specification's back-off are estimates.
    """

    url: str
    breadths: tuple[Breadth, ...] = (Breadth.FLEET, Breadth.LOOP)
    metrics: tuple[str, ...] = ()
    """Gauges and states of the table of metrics; empty for all, and what loops are told to do."""
    every_s: float = 15.0
    series_a_request: int = 2000
    """As Prometheus' own max_samples_per_send."""
    queue_requests: int = 500
    """While the server is away; then the oldest are dropped, and counted."""
    timeout_s: float = 10.0
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    """The wait after a failure doubles up to here; so far a server's Retry-After is believed."""
    token: str = field(default="", repr=False)
    """Sent as a bearer token."""

    def validate(self) -> None:
        """Raises ConfigurationError naming the setting that can not be used."""
        try:
            address = httpx.URL(self.url)
        except httpx.InvalidURL:
            address = httpx.URL("")
        if address.scheme not in {"http", "https"} or not address.host:
            raise ConfigurationError(
                "remote write: url is not an address as http://prometheus:9090/api/v1/write"
            )
        if not self.breadths:
            raise ConfigurationError("remote write: breadths names none of fleet, loop and sled")
        for name in self.metrics:
            _check_metric(name)
        for name in ("every_s", "timeout_s", "first_wait_s", "longest_wait_s"):
            if not 0 < getattr(self, name) <= 3600:
                raise ConfigurationError(f"remote write: {name} is not above 0 and up to 3600")
        for name in ("series_a_request", "queue_requests"):
            if not 1 <= getattr(self, name) <= 100_000:
                raise ConfigurationError(f"remote write: {name} is not in 1..100000")

    @property
    def place(self) -> str:
        """Where it goes, for people; without user and password."""
        address = httpx.URL(self.url)
        return f"{address.scheme}://{address.netloc.decode()}{address.path}"


def _check_metric(name: str) -> None:
    if name not in BY_NAME:
        near = get_close_matches(name, BY_NAME, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise ConfigurationError(f"remote write: unknown metric {name!r}{meant}")
    if BY_NAME[name].kind is Kind.COUNTER:
        raise ConfigurationError(
            f"remote write: {name} is an exact counter, of which there are no aggregates; export it"
        )


def read_remote_write() -> RemoteWriteSettings | None:
    """From the file that the environment names; None when it names none. ConfigurationError for a
    file that is not there or that says what can not be used.
    """
    path = os.environ.get(FILE_VARIABLE, "")
    if not path:
        return None
    try:
        said = tomllib.loads(Path(path).read_text())
    except OSError as error:
        raise ConfigurationError(f"{FILE_VARIABLE}: {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{FILE_VARIABLE}: {path}: {error}") from error
    known = {one.name for one in fields(RemoteWriteSettings)} - {"token"}
    for name in said:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            meant = (
                f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(known))}"
            )
            raise ConfigurationError(f"{FILE_VARIABLE}: {path}: there is no {name!r}{meant}")
    token = os.environ.get(TOKEN_VARIABLE, "")
    try:
        settings = msgspec.convert({**said, "token": token}, RemoteWriteSettings)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{FILE_VARIABLE}: {path}: {error}") from error
    settings.validate()
    return settings
