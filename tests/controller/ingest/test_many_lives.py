"""Agents that are killed again and again, and a controller that crashes meanwhile."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.history.windows import HistorySettings
from controller.ingest.consume import Consumer, IngestSettings
from controller.store import Store
from fleet.bus import InMemoryBus
from fleet.clock import ManualClock
from fleet.codec import encode_message
from fleet.frame import Frame, sled_schema
from fleet.topics import TELEMETRY
from fleet.topology import FleetMap
from isotherm.bench.pipeline.accounts import stored_frames
from isotherm.bench.pipeline.fleet_voice import SLED, FleetVoice

LOOP = "h1/loop01"


class Mortal:
    """One agent that is killed again and again; its spool brings what it had not sent, late."""

    def __init__(self, voice: FleetVoice, bus: InMemoryBus) -> None:
        self._voice = voice
        self._bus = bus
        self._seqs = [0]
        self._spooled: list[Frame] = []
        self.made: list[tuple[int, int]] = []

    def measure(self, at_unix_ns: int) -> None:
        self._seqs[-1] += 1
        self._voice.epoch, self._voice.seq = len(self._seqs), self._seqs[-1]
        self._spooled.append(self._voice.frame(MORTAL, sled_schema(4), SLED, at_unix_ns))
        self.made.append((self._voice.epoch, self._voice.seq))

    def die(self) -> None:
        self._seqs.append(0)

    def send(self, *, newest: bool) -> None:
        if self._spooled:
            frame = self._spooled.pop(-1 if newest else 0)
            self._bus.publish(TELEMETRY, key=LOOP, value=encode_message(LOOP, [frame]))

    def send_all(self) -> None:
        while self._spooled:
            self.send(newest=False)


MORTAL = "h1/us01/r1/s01"
DEEDS = ["measure", "die", "send new", "send old", "read", "save", "crash"]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deeds=st.lists(st.sampled_from(DEEDS), max_size=40), deaths=st.integers(0, 12))
def test_however_often_an_agent_dies_each_of_its_frames_is_kept_once(
    tmp_path_factory: pytest.TempPathFactory, fleet_map: FleetMap, deeds: list[str], deaths: int
) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('history')}/isotherm.db"
    store, bus, clock = Store(url), InMemoryBus(), ManualClock()
    voice = FleetVoice(fleet_map, bus)
    voice.publish_schemas()
    mortal = Mortal(voice, bus)
    short = IngestSettings(history=HistorySettings(window_s=4, grace_ticks=2))
    consumer = Consumer(bus, store, fleet_map, clock, loops=[LOOP], settings=short)
    # Many deaths within one window, and a crash of the controller before it is written.
    for deed in (*["measure", "measure", "send new", "die"] * deaths, "read", "crash", *deeds):
        match deed:
            case "measure":
                mortal.measure(clock.unix_ns())
                clock.advance(0.25)
            case "die":
                mortal.die()
            case "send new" | "send old":
                mortal.send(newest=deed == "send new")
            case "save":
                consumer.save()
            case "crash":
                consumer.close()
                consumer = Consumer(bus, store, fleet_map, clock, loops=[LOOP], settings=short)
        consumer.poll()
    mortal.send_all()
    consumer.poll()
    consumer.save(everything=True)
    consumer.close()
    store.close()
    kept = stored_frames(url, fleet_map)
    assert kept == {
        (MORTAL, epoch): Counter({seq: 1 for at, seq in mortal.made if at == epoch})
        for epoch, _ in mortal.made
    }
