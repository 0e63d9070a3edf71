"""A real Prometheus that takes remote write, in a temporary folder, on a free loopback port.

For people: `python -m isotherm.servers.prometheus` runs one until Ctrl-C and prints its address.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

import httpx

from isotherm.servers.components import MissingComponentError
from isotherm.servers.processes import (
    StartError,
    dies_with_parent,
    end,
    free_ports,
    run_in_foreground,
    wait_until,
)

START_TIMEOUT_S = 60
BIND_ATTEMPTS = 3


def prometheus_command(binary: str, folder: Path, port: int) -> list[str]:
    """It scrapes nothing; what it has was written to it."""
    config = folder / "prometheus.yml"
    config.write_text("global: {}\n")
    return [
        *(binary, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"),
        *(f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver"),
    ]


class PrometheusServer:
    """Use as a context."""

    def __init__(self) -> None:
        self._root: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def write_url(self) -> str:
        """Where remote write goes."""
        return f"{self.url}/api/v1/write"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when the server is ready. Raises `MissingComponentError` or `StartError`."""
        binary = shutil.which("prometheus")
        if binary is None:
            raise MissingComponentError("Prometheus", "not on PATH; install `prometheus`")
        for attempt in range(1, BIND_ATTEMPTS + 1):
            (self._port,) = free_ports(1)
            self._root = Path(tempfile.mkdtemp(prefix="isotherm-prometheus-"))
            try:
                self._run(prometheus_command(binary, self._root, self._port), self._root)
                return
            except StartError as failed:
                self.stop()
                if "already in use" not in str(failed) or attempt == BIND_ATTEMPTS:
                    raise

    def stop(self) -> None:
        if self._process is not None:
            end(self._process)
            self._process = None
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)
            self._root = None

    def wait(self) -> int:
        """Blocks until the server ends; its exit code."""
        if self._process is None:
            raise StartError("Prometheus is not running; call start() first")
        return self._process.wait()

    def query(self, expression: str, at_unix_s: float) -> list[dict[str, Any]]:
        """The result of an instant query: `metric` and `value` of each series."""
        answer = httpx.get(
            f"{self.url}/api/v1/query",
            params={"query": expression, "time": str(at_unix_s)},
            timeout=30.0,
            trust_env=False,
        )
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def _run(self, command: list[str], root: Path) -> None:
        log = root / "server.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                dies_with_parent(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=root,
            )
        wait_until(self._ready, self._process, log, START_TIMEOUT_S)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=2.0, trust_env=False).is_success
        except httpx.HTTPError:
            return False


def main() -> None:
    server = PrometheusServer()
    run_in_foreground(server, lambda: f"Prometheus takes remote write at {server.write_url}")


if __name__ == "__main__":
    main()
