"""General time-series servers, fed the same series by Prometheus remote write on one core.

They do more than our ingest: each also keeps an index of labels, and answers any query at once.
"""

import os
import shutil
import struct
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import cramjam
import httpx

from fleet.clock import SystemClock
from fleet.frame import sled_schema
from isotherm.bench.pipeline.recorded import Recorded
from isotherm.servers.components import MissingComponentError
from isotherm.servers.processes import dies_with_parent, end, free_ports, wait_until

SERIES_PER_REQUEST: Final = 10_000
LOOPS: Final = 11
"""49,104 series: 11 loops of 72 sleds with 62 values each."""
_SETTLE_S: Final = 2.0
_HEADERS: Final = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}

Command = Callable[[str, Path, int], list[str]]


def _victoriametrics(binary: str, folder: Path, port: int) -> list[str]:
    return [
        *(binary, f"-storageDataPath={folder / 'data'}", f"-httpListenAddr=127.0.0.1:{port}"),
        "-retentionPeriod=1",
    ]


def _prometheus(binary: str, folder: Path, port: int) -> list[str]:
    config = folder / "prometheus.yml"
    config.write_text("global: {}\n")
    return [
        *(binary, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"),
        *(f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver"),
    ]


PEERS: Final[Mapping[str, tuple[str, Command]]] = {
    "victoriametrics": ("victoria-metrics", _victoriametrics),
    "prometheus": ("prometheus", _prometheus),
}
"""Name -> program, and its command line."""


def measure_peer(name: str, recorded: Recorded, *, ticks: int) -> float:
    """Samples that one core of the server takes a second, the first registration of the series
    left out. Raises MissingComponentError where it is not installed.
    """
    program, command = PEERS[name]
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
            client.post("/api/v1/write", content=body, headers=_HEADERS).raise_for_status()


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
    now_ms = int(recorded.slabs[-1].t0_unix_ns[0]) // 1_000_000
    for tick in range(ticks):
        slab = recorded.slabs[tick % len(recorded.slabs)]
        values = [
            *slab.values[:, 0].astype(float).ravel().tolist(),
            *slab.counters[:, 0].astype(float).ravel().tolist(),
        ] * LOOPS
        stamp = b"\x10" + _varint(now_ms + 1000 * tick)
        for first in range(0, len(labels), SERIES_PER_REQUEST):
            chunk = slice(first, first + SERIES_PER_REQUEST)
            body = b"".join(
                _field(1, label + _field(2, b"\x09" + struct.pack("<d", value) + stamp))
                for label, value in zip(labels[chunk], values[chunk], strict=True)
            )
            yield bytes(cramjam.snappy.compress_raw(body))


def _labels(recorded: Recorded) -> Iterator[bytes]:
    slab, schema = recorded.slabs[0], sled_schema(4)
    for loop in range(LOOPS):
        for columns in (schema.columns, schema.counters):
            for agent in slab.agents:
                for column in columns:
                    pairs = {
                        "__name__": column.metric,
                        "part": str(column.part),
                        "sled": f"{loop}/{agent}",
                    }
                    yield b"".join(
                        _field(1, _field(1, name.encode()) + _field(2, value.encode()))
                        for name, value in pairs.items()
                    )


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
