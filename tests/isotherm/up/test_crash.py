"""What `isotherm up` has acknowledged survives its sudden death, exactly once."""

import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from api.client import ApiClient
from controller.history.block import decode_count
from controller.history.window import TIMES
from controller.store import Store
from fleet.bus import Start
from fleet.bus_local import LocalBus
from fleet.clock import SystemClock
from fleet.codec import decode_message
from fleet.errors import IsothermError
from fleet.frame import MISSING_COUNT
from fleet.topics import TELEMETRY
from isotherm.up.ports import free_port

MESSAGES = 8
STARTED_S = 90.0

Named = tuple[int, int]
"""Epoch and sequence number."""


class Up:
    """`isotherm up` in a process of its own."""

    def __init__(self, state_dir: Path) -> None:
        self._clock = SystemClock()
        self._port = free_port()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "isotherm", "up", "--port", str(self._port)),
                *("--emulator-port", "0", "--no-jobs", "--ultraservers", "1"),
                *("--state-dir", str(state_dir)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def until_it_has_heard(self, messages: int) -> None:
        seen: set[str | None] = set()
        with ApiClient(f"http://127.0.0.1:{self._port}") as api:

            def enough() -> bool:
                if api.ready():
                    seen.update(loop["at"] for loop in api.loops())
                return len(seen) >= messages

            self._until(enough)

    def _until(self, happened: Callable[[], bool]) -> None:
        deadline_s = self._clock.monotonic_s() + STARTED_S
        while not _quietly(happened):
            assert self._process.poll() is None
            assert self._clock.monotonic_s() < deadline_s
            self._clock.wait(threading.Event(), 0.2)

    def end(self, how: signal.Signals) -> None:
        self._process.send_signal(how)
        self._process.wait(60)


def _quietly(ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    except IsothermError:
        return False


def acknowledged(state_dir: Path) -> Counter[Named]:
    """Frames of UltraServer sleds that the bus has taken, by epoch and number."""
    found: Counter[Named] = Counter()
    bus = LocalBus(state_dir / "bus", SystemClock())
    reader = bus.reader(TELEMETRY, start=Start.BEGINNING)
    while batch := reader.poll(0.0):
        for record in batch:
            for frame in decode_message(record.value).frames:
                found[frame.epoch, frame.seq] += "/us" in frame.agent
    bus.close()
    return +found


def in_history(state_dir: Path, group: str) -> Counter[Named]:
    store = Store(f"sqlite:///{state_dir / 'isotherm.db'}")
    found: Counter[Named] = Counter()
    with store.read() as tx:
        for block in tx.blocks.of_group(group, [TIMES], from_unix_ns=0, until_unix_ns=2**62):
            names = decode_count(block.body)
            _, epochs, seqs = names.reshape(3, len(names) // 3, -1)
            there = seqs != np.uint64(MISSING_COUNT)
            pairs = zip(epochs[there].tolist(), seqs[there].tolist(), strict=True)
            found.update(pairs)
    store.close()
    return found


def of_epochs(frames: Counter[Named], epochs: set[int]) -> Counter[Named]:
    return Counter({name: count for name, count in frames.items() if name[0] in epochs})


@pytest.mark.slow
def test_after_kill_9_every_acknowledged_frame_is_in_history_exactly_once(tmp_path: Path) -> None:
    # The third reads what the second's agents gave the bus while its controller was ending.
    for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGTERM):
        up = Up(tmp_path)
        try:
            up.until_it_has_heard(MESSAGES)
        finally:
            up.end(how)
    taken = of_epochs(acknowledged(tmp_path), {1, 2})
    assert {epoch for epoch, _ in taken} == {1, 2}
    sleds = max(taken.values())
    assert of_epochs(in_history(tmp_path, "h1/us01"), {1, 2}) == taken
    assert set(taken.values()) == {sleds}
