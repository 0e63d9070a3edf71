import threading
from concurrent.futures import Future
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.publish import Publisher, parcel
from agent.spool import Spool, SpoolSettings
from fleet.bus import InMemoryBus, Position
from fleet.clock import ManualClock
from fleet.errors import BusError
from fleet.topics import SCHEMAS, TELEMETRY, Topic


class SlowBus(InMemoryBus):
    """Publishing hangs until the test says how each message ended."""

    def __init__(self) -> None:
        super().__init__()
        self.flying: list[tuple[Topic, str, bytes, Future[Position]]] = []
        self.written: list[bytes] = []

    def publish(self, topic: Topic, *, key: str, value: bytes) -> Future[Position]:
        future: Future[Position] = Future()
        self.flying.append((topic, key, value, future))
        return future

    def land(self, *, lost: frozenset[int] = frozenset()) -> None:
        flying, self.flying = self.flying, []
        for number, (_, _, value, future) in enumerate(flying):
            if number in lost:
                future.set_exception(BusError("lost"))
            else:
                self.written.append(value)
                future.set_result(Position(partition=0, offset=len(self.written)))


def spooled(directory: Path, count: int, clock: ManualClock) -> Spool:
    spool = Spool(directory, SpoolSettings(), clock)
    for number in range(count):
        spool.append(parcel(TELEMETRY, "h1/loop01", b"%d" % number))
    return spool


def test_no_more_than_the_window_is_under_way(tmp_path: Path) -> None:
    bus, clock = SlowBus(), ManualClock()
    publisher = Publisher(bus, spooled(tmp_path, 10, clock), clock, window=4)
    publisher.pump()
    publisher.pump()
    assert [value for _, _, value, _ in bus.flying] == [b"0", b"1", b"2", b"3"]


def test_schemas_go_ahead_of_the_first_frame(tmp_path: Path) -> None:
    bus, clock = SlowBus(), ManualClock()
    publisher = Publisher(bus, spooled(tmp_path, 1, clock), clock, schemas={"id": b"document"})
    publisher.pump()
    assert [topic for topic, *_ in bus.flying] == [SCHEMAS]
    bus.land()
    publisher.pump()
    assert [topic for topic, *_ in bus.flying] == [TELEMETRY]


@given(losses=st.lists(st.frozensets(st.integers(0, 7)), max_size=12))
def test_whatever_is_lost_on_the_way_each_arrives_once(
    tmp_path_factory: pytest.TempPathFactory, losses: list[frozenset[int]]
) -> None:
    bus, clock = SlowBus(), ManualClock()
    spool = spooled(tmp_path_factory.mktemp("spool"), 20, clock)
    publisher = Publisher(bus, spool, clock, window=8)
    for lost in [*losses, *[frozenset[int]()] * 6]:
        publisher.pump()
        bus.land(lost=lost)
        publisher.pump()
        clock.advance(6.0)
    assert sorted(map(int, bus.written)) == list(range(20))
    assert publisher.idle
    spool.close()


def test_whoever_pumps_is_told_when_the_fate_of_a_message_is_known(tmp_path: Path) -> None:
    bus, clock, told = SlowBus(), ManualClock(), threading.Event()
    publisher = Publisher(bus, spooled(tmp_path, 1, clock), clock, settled=told.set)
    publisher.pump()
    assert not told.is_set()
    bus.land()
    assert told.is_set()


def test_a_backlog_goes_on_at_a_capped_rate_when_nothing_new_comes(tmp_path: Path) -> None:
    bus, clock = SlowBus(), ManualClock()
    spool = spooled(tmp_path, 12, clock)
    publisher = Publisher(bus, spool, clock, window=4, catch_up_ratio=1.0)
    arrived = []
    for _ in range(4):
        for _ in range(8):
            publisher.pump()
            bus.land()
        publisher.pump()
        arrived.append(len(bus.written))
        clock.advance(1.0)
    assert arrived == [4, 8, 12, 12]
    assert publisher.idle


def test_what_was_lost_goes_again_though_nothing_new_comes(tmp_path: Path) -> None:
    bus, clock = SlowBus(), ManualClock()
    spool = spooled(tmp_path, 0, clock)
    publisher = Publisher(bus, spool, clock, window=4, catch_up_ratio=1.0)
    for number in range(12):
        spool.append(parcel(TELEMETRY, "h1/loop01", b"%d" % number))
    publisher.pump()
    bus.land(lost=frozenset(range(4)))
    for _ in range(40):
        publisher.pump()
        bus.land()
        clock.advance(0.5)
    publisher.pump()
    assert sorted(map(int, bus.written)) == list(range(12))
    assert publisher.idle
