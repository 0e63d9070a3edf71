"""General time-series servers, fed the same series by Prometheus remote write on one core.

They do more than our ingest: each also keeps an index of labels, and answers any query at once.
"""

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import httpx

from fleet.clock import SystemClock
from fleet.frame import sled_schema
from fleet.remote_write import HEADERS, encode_labels, encode_request, encode_series
from isotherm.bench.pipeline.recorded import Recorded
from isotherm.servers.components import MissingComponentError
from isotherm.servers.processes import (
    StartError,
    dies_with_parent,
    end,
    free_ports,
    wait_until,
)
from isotherm.servers.prometheus import prometheus_command

SERIES_PER_REQUEST: Final = 10_000
LOOPS: Final = 11
"""49,104 series: 11 loops of 72 sleds with 62 values each."""
_SETTLE_S: Final = 2.0

Command = Callable[[str, Path, int], list[str]]


def _victoriametrics(binary: str, folder: Path, port: int) -> list[str]:
    return [
        *(binary, f"-storageDataPath={folder / 'data'}", f"-httpListenAddr=127.0.0.1:{port}"),
        "-retentionPeriod=1",
    ]


PEERS: Final[Mapping[str, tuple[str, Command, str]]] = {
    "victoriametrics": ("victoria-metrics", _victoriametrics, "vm_rows_inserted_total"),
    "prometheus": ("prometheus", prometheus_command, "prometheus_tsdb_head_samples_appended_total"),
}
"""Name -> program, its command line, and where it counts the samples that it took."""
_IGNORED: Final = "vm_rows_ignored_total"
"""What VictoriaMetrics took, and did not keep: samples older than its retention, among others."""


def measure_peer(name: str, recorded: Recorded, *, ticks: int) -> float:
    """Samples that one core of the server takes a second, the first registration of the series
    left out. Raises MissingComponentError where it is not installed, StartError when it did not
    keep all that it was sent.
    """
    program, command, counter = PEERS[name]
    binary = shutil.which(program)
    if binary is None:
        raise MissingComponentError(program, "not on PATH")
    requests = list(_requests(recorded, ticks + 1))
    a_tick = -(-_series_count(recorded) // SERIES_PER_REQUEST)
    with tempfile.TemporaryDirectory(prefix="isotherm-peer-") as folder:
        (port,) = free_ports(1)
        log = Path(folder) / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                dies_with_parent([*_on_last_core(), *command(binary, Path(folder), port)]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until(lambda: _answers(address), process, log, 30)
            _send(address, requests[:a_tick])
            used_s = _cpu_s(process.pid)
            _send(address, requests[a_tick:])
            _settle(process.pid)
            used_s = _cpu_s(process.pid) - used_s
            _check_kept(address, counter, (ticks + 1) * _series_count(recorded))
        finally:
            end(process)
    return ticks * _series_count(recorded) / used_s


def _on_last_core() -> list[str]:
    taskset = shutil.which("taskset")
    return [taskset, "-c", str(max(os.sched_getaffinity(0)))] if taskset else []


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/metrics", timeout=2.0, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _send(address: str, requests: Sequence[bytes]) -> None:
    with httpx.Client(base_url=address, timeout=60.0, trust_env=False) as client:
        for body in requests:
            client.post("/api/v1/write", content=body, headers=HEADERS).raise_for_status()


def _check_kept(address: str, counter: str, sent: int) -> None:
    """Samples that a server throws away cost it next to nothing."""
    told = httpx.get(f"{address}/metrics", timeout=10.0, trust_env=False).text
    kept = _sum(told, counter) - _sum(told, _IGNORED)
    if kept < sent:
        raise StartError(f"{address} kept {kept:.0f} of {sent} samples")


def _sum(exposition: str, metric: str) -> float:
    """Of all series of a metric in the Prometheus text format."""
    lines = (line for line in exposition.splitlines() if line.startswith(metric))
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def _settle(process_id: int) -> None:
    """Let what was received be worked off: until two seconds bring next to no CPU time."""
    clock, stop = SystemClock(), threading.Event()
    for _ in range(15):
        before_s = _cpu_s(process_id)
        clock.wait(stop, _SETTLE_S)
        if _cpu_s(process_id) - before_s < 0.1 * _SETTLE_S:
            return


def _cpu_s(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- the same series as remote write, version 0.1 -------------------------------------------------


def _series_count(recorded: Recorded) -> int:
    return LOOPS * recorded.samples_per_tick


def _requests(recorded: Recorded, ticks: int) -> Iterator[bytes]:
    """Snappy-compressed WriteRequests of 10,000 series with one sample each, tick by tick."""
    labels = list(_labels(recorded))
    # The emulated world's own time may be longer ago than a server keeps anything.
    first_ms = SystemClock().unix_ns() // 1_000_000 - 1000 * ticks
    for tick in range(ticks):
        slab = recorded.slabs[tick % len(recorded.slabs)]
        values = [
            *slab.values[:, 0].astype(float).ravel().tolist(),
            *slab.counters[:, 0].astype(float).ravel().tolist(),
        ] * LOOPS
        at_unix_ms = first_ms + 1000 * tick
        for first in range(0, len(labels), SERIES_PER_REQUEST):
            chunk = slice(first, first + SERIES_PER_REQUEST)
            yield encode_request(
                encode_series(label, value, at_unix_ms)
                for label, value in zip(labels[chunk], values[chunk], strict=True)
            )


def _labels(recorded: Recorded) -> Iterator[bytes]:
    slab, schema = recorded.slabs[0], sled_schema(4)
    for loop in range(LOOPS):
        for columns in (schema.columns, schema.counters):
            for agent in slab.agents:
                for column in columns:
                    yield encode_labels(
                        column.metric, {"part": str(column.part), "sled": f"{loop}/{agent}"}
                    )
