"""Case P7: what one sled agent costs, beside a sled that speaks over HTTP, with real Kafka."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from fleet.clock import Clock, SystemClock
from fleet.errors import IsothermError
from isotherm.bench.report import Case, Target
from isotherm.servers.components import MissingComponentError
from isotherm.servers.kafka_broker import KafkaBroker
from isotherm.servers.processes import StartError, dies_with_parent, end, free_ports, wait_until

SLED: Final = "h1/us01/r1/s01"
LOOP: Final = "h1/loop01"
TITLE: Final = "one sled agent at 1 Hz: an emulated sled over HTTP, real Kafka"
START_S: Final = 60.0
_TARGET: Final[Mapping[str, Target]] = {"cpu_share": ("<=", 0.01), "rss_mib": ("<=", 80.0)}
_FLEET: Final = ("--ultraservers", "1", "--loops", "1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a process has used since it began, and what it holds, by /proc."""

    at_s: float
    cpu_s: float
    rss_mib: float


def p7(quick: bool, seed: int) -> Case:
    """CPU by user and system time of the process, memory as it is at the end."""
    warm_s, span_s = (10.0, 20.0) if quick else (30.0, 60.0)
    try:
        first, last = _measured(seed, warm_s, span_s)
    except (MissingComponentError, StartError, IsothermError) as error:
        return Case(id="P7", title=TITLE, target=_TARGET, reason=str(error))
    wall_s = last.at_s - first.at_s
    return Case(
        id="P7",
        title=TITLE,
        metrics={
            "cpu_share": (last.cpu_s - first.cpu_s) / wall_s,
            "rss_mib": last.rss_mib,
            "measured_s": wall_s,
        },
        target=_TARGET,
    )


def _measured(seed: int, warm_s: float, span_s: float) -> tuple[Spent, Spent]:
    clock, pause = SystemClock(), threading.Event()
    with (
        tempfile.TemporaryDirectory(prefix="isotherm-p7-") as made,
        KafkaBroker() as broker,
        _emulated(Path(made), seed) as url,
    ):
        base = f"{url}/devices/{SLED}"
        flags = (
            *("agent", "--sled", SLED, "--loop", LOOP, "--kafka", broker.bootstrap),
            *("--neuron-monitor-url", f"{base}/neuron-monitor", "--redfish", f"{base}/bmc"),
            *("--runtime", f"{base}/runtime", "--state-dir", f"{made}/state"),
        )
        with _role(flags, Path(made) / "agent.log") as process:
            clock.wait(pause, warm_s)
            first = spent(process.pid, clock)
            clock.wait(pause, span_s)
            last = spent(process.pid, clock)
            if process.poll() is not None:
                raise StartError(f"the agent ended: {(Path(made) / 'agent.log').read_text()}")
            return first, last


@contextmanager
def _emulated(directory: Path, seed: int) -> Iterator[str]:
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    flags = ("emulator", "serve", "--port", str(port), *_FLEET, "--seed", str(seed))
    log = directory / "emulator.log"
    with _role(flags, log) as process:
        wait_until(lambda: _answers(f"{url}/livez"), process, log, START_S)
        yield url


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1.0, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@contextmanager
def _role(flags: tuple[str, ...], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            dies_with_parent([sys.executable, "-m", *flags]),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        end(process)


def spent(pid: int, clock: Clock) -> Spent:
    """StartError where the process is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError as error:
        raise StartError(f"process {pid} is gone: {error}") from error
    user, system = stat.rpartition(")")[2].split()[11:13]
    return Spent(
        at_s=clock.monotonic_s(),
        cpu_s=(int(user) + int(system)) / os.sysconf("SC_CLK_TCK"),
        rss_mib=pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
    )
