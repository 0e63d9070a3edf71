import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx

from api.client import ApiClient
from fleet.clock import SystemClock
from fleet.errors import IsothermError
from isotherm.up.ports import free_port

START_TIMEOUT_S = 90.0
LOOK_S = 0.25
STOP_WITHIN_S = 5.0


class ProcessSite:
    """`isotherm up --kafka --database`: one process a role, and real time."""

    def __init__(self, state_dir: Path, kafka: str, database: str) -> None:
        self._state_dir = state_dir
        self._clock = SystemClock()
        self._pause = threading.Event()
        self._port, self._emulator_port = free_port(), free_port()
        self._command = [
            *(sys.executable, "-m", "isotherm", "up", "--no-jobs", "--allow-private-receivers"),
            *("--kafka", kafka, "--database", database, "--state-dir", str(state_dir)),
            *("--port", str(self._port), "--emulator-port", str(self._emulator_port)),
            *("--load", "0.2"),
        ]
        self._log = state_dir / "up.log"
        self.api = ApiClient(f"http://127.0.0.1:{self._port}")
        self._emulator = httpx.Client(
            base_url=f"http://127.0.0.1:{self._emulator_port}", trust_env=False
        )

    def __enter__(self) -> Self:
        self._state_dir.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT, cwd=Path.cwd()
            )
        try:
            self.until(self._ready, "isotherm up is ready", START_TIMEOUT_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_trouble: object) -> None:
        self.api.close()
        self._emulator.close()
        if self._process.poll() is None:
            self.stop()

    def _ready(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"isotherm up ended: {self._log.read_text()}")
        return self.api.ready()

    def stop(self) -> tuple[float, int]:
        """Seconds from SIGTERM to the end, and the exit code."""
        begin_s = self._clock.monotonic_s()
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(60)
        return self._clock.monotonic_s() - begin_s, code

    def roles(self) -> list[int]:
        """Processes that `isotherm up` has started and that are still there."""
        started = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [int(number) for number in started.read_text().split()]

    def until(self, happened: Callable[[], bool], what: str, timeout_s: float) -> None:
        deadline_s = self._clock.monotonic_s() + timeout_s
        while not happened():
            if self._clock.monotonic_s() > deadline_s:
                raise AssertionError(f"not within {timeout_s:.0f} s: {what}\n{self._logs()}")
            self._clock.wait(self._pause, LOOK_S)

    def _logs(self) -> str:
        logs = [self._log, *sorted((self._state_dir / "logs").glob("*.log"))]
        return "\n".join(
            f"{log.name}: {log.read_text(errors='replace')[-1500:]}" for log in logs if log.exists()
        )

    def set_load(self, ratio: float) -> None:
        self._ask("PUT", "/load", {"load_ratio": ratio})

    def inject(self, kind: str, place: str, severity: float) -> None:
        self._ask("POST", "/faults", {"kind": kind, "place": place, "severity": severity})

    def clear(self, kind: str, place: str) -> None:
        self._ask("DELETE", f"/faults/{kind}/{place}", None)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> None:
        answer = self._emulator.request(method, path, json=body)
        if not answer.is_success:
            raise IsothermError(answer.text)


def alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True
