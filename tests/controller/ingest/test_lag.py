from collections.abc import Iterable, Mapping

import pytest

from controller.ingest.lag import EVERY_S, Ends
from fleet.bus import InMemoryBus
from fleet.clock import ManualClock
from fleet.errors import BusUnavailableError
from fleet.topics import TELEMETRY

LOOP = "h1/loop01"
PARTITION = TELEMETRY.partition_of(LOOP)


def publish(bus: InMemoryBus, messages: int) -> None:
    for _ in range(messages):
        bus.publish(TELEMETRY, key=LOOP, value=b"x").result(1.0)


def test_what_is_not_read_is_behind(bus: InMemoryBus, clock: ManualClock) -> None:
    publish(bus, 7)
    ends = Ends(bus, clock)
    assert ends.behind(PARTITION, 0) is None, "nobody has looked"
    ends.look()
    assert ends.behind(PARTITION, 3) == 4
    assert ends.behind(PARTITION, 9) == 0, "read on since the look"
    publish(bus, 2)
    assert ends.behind(PARTITION, 3) == 4
    ends.look()
    assert ends.behind(PARTITION, 3) == 6
    ends.stop()


def test_an_old_look_is_worth_nothing(bus: InMemoryBus, clock: ManualClock) -> None:
    ends = Ends(bus, clock)
    ends.look()
    clock.advance(3 * EVERY_S + 1)
    assert ends.behind(PARTITION, 0) is None
    ends.stop()


def test_a_broker_that_is_away_is_counted_and_looked_for_again(
    bus: InMemoryBus, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = Ends(bus, clock)
    tries = []

    def away(partitions: Iterable[int]) -> Mapping[int, int]:
        tries.append(partitions)
        if len(tries) == 2:
            ends._stop.set()
        raise BusUnavailableError("no broker answers")

    monkeypatch.setattr(ends._reader, "ends", away)
    monkeypatch.setattr("controller.ingest.lag.EVERY_S", 0.0)
    ends._run()
    assert ends.counts["lag_errors"] == 2
    ends.stop()
