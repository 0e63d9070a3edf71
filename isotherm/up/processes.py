"""One operating-system process a role, watched by the one that started them."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fleet.clock import Clock
from fleet.errors import IsothermError

STOP_TIMEOUT_S = 4.0
"""What is left of the promised 5 s after the signal; then the process is killed."""


class RoleStoppedError(IsothermError):
    """A role's process ended though nobody asked it to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role's name and its command line behind `python -m`; `ready` tells when it serves."""

    name: str
    arguments: Sequence[str]
    ready: Callable[[], bool]
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for what the list of processes must not show."""


def dies_with_parent(command: list[str]) -> list[str]:
    """Lets Linux end the role when its supervisor is killed outright; unchanged elsewhere."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", *command] if setpriv else command


class RoleProcesses:
    """Starts roles one after the other and stops them in reverse order."""

    def __init__(self, logs: Path, clock: Clock) -> None:
        self._logs = logs
        self._clock = clock
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, role: Role, timeout_s: float = 60.0) -> None:
        """Raises RoleStoppedError with the end of the role's log when it does not come up."""
        self._logs.mkdir(parents=True, exist_ok=True)
        with self.log_of(role.name).open("wb") as log:
            process = subprocess.Popen(
                dies_with_parent([sys.executable, "-m", *role.arguments]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A Ctrl-C in the terminal is for the supervisor, which stops the roles in order.
                start_new_session=True,
                env=os.environ | {"PYTHONUNBUFFERED": "1"} | dict(role.secrets),
            )
        self._running.append((role.name, process))
        deadline_s = self._clock.monotonic_s() + timeout_s
        pause = threading.Event()
        while not role.ready():
            self.check()
            if self._clock.monotonic_s() > deadline_s:
                raise RoleStoppedError(
                    f"{role.name} is not ready after {timeout_s:.0f} s: {self._tail(role.name)}"
                )
            self._clock.wait(pause, 0.1)

    def check(self) -> None:
        """Raises RoleStoppedError naming the first role whose process has ended."""
        for name, process in self._running:
            code = process.poll()
            if code is not None:
                raise RoleStoppedError(f"{name} ended with code {code}: {self._tail(name)}")

    def stop(self) -> None:
        """All at once are asked to stop; whoever is left after the time-out is killed."""
        for _, process in reversed(self._running):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline_s = self._clock.monotonic_s() + STOP_TIMEOUT_S
        for _, process in reversed(self._running):
            try:
                process.wait(max(deadline_s - self._clock.monotonic_s(), 0.01))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def log_of(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _tail(self, name: str) -> str:
        lines = self.log_of(name).read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-3:]) if lines else "its log is empty"
