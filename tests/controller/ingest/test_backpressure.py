"""A store that is slow or away: memory stays bounded, nothing is lost, commands' answers flow."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.history.windows import HistorySettings
from controller.ingest.batch import Written
from controller.ingest.consume import Consumer, IngestSettings
from controller.ingest.writer import HistoryWriter
from controller.store import Transaction
from fleet.bus import InMemoryBus
from fleet.clock import ManualClock
from fleet.commands import Ack, Outcome, encode
from fleet.errors import StoreError
from fleet.topics import ACKS
from fleet.topology import FleetMap
from isotherm.bench.pipeline.accounts import stored_frames
from isotherm.bench.pipeline.fleet_voice import FleetVoice
from tests.controller.flaky_store import FlakyStore

LOOP = "h1/loop01"
HELD_BYTES = 60_000
SHORT = IngestSettings(
    batch=1, held_bytes=HELD_BYTES, history=HistorySettings(window_s=4, grace_ticks=2)
)


class Plant:
    """A loop that speaks, a store that may be away, and a consumer between them."""

    def __init__(self, folder: Path, fleet_map: FleetMap) -> None:
        self.url = f"sqlite:///{folder}/isotherm.db"
        self.fleet_map = fleet_map
        self.store, self.bus, self.clock = FlakyStore(self.url), InMemoryBus(), ManualClock()
        self.voice = FleetVoice(fleet_map, self.bus)
        self.voice.publish_schemas()
        self.consumer = self.open()
        self.most_bytes = 0
        self.acks = 0

    def open(self) -> Consumer:
        loops = self.fleet_map.loop_ids
        return Consumer(
            self.bus, self.store, self.fleet_map, self.clock, loops=loops, settings=SHORT
        )

    def second(self) -> None:
        """Everybody speaks, a command is answered, telemetry is read."""
        self.voice.say(self.clock.unix_ns())
        self.bus.publish(ACKS, key=LOOP, value=encode(an_ack(self.voice.seq)))
        self.clock.advance(1.0)
        self.read()

    def read(self) -> None:
        self.consumer.poll()
        self.consumer.poll_answers()
        self.acks += len(self.consumer.take_acks())
        self.most_bytes = max(self.most_bytes, self.consumer.held_bytes())

    def save(self) -> None:
        try:
            self.consumer.save()
        except StoreError:
            assert not self.store.available

    def paused(self) -> bool:
        return self.consumer.paused

    def lag(self) -> int:
        """Messages that are on the bus and were not read."""
        reader = self.consumer._telemetry
        at = reader.positions()
        return sum(end - at[partition] for partition, end in reader.ends(at).items())

    def close(self) -> None:
        self.consumer.close()
        self.store.close()


def an_ack(number: int) -> Ack:
    return Ack(
        command_id=f"1.{number}:cool",
        target="h1/cdu01",
        term=1,
        seq=number,
        outcome=Outcome.APPLIED,
        detail="",
        at_unix_ns=number,
    )


@pytest.fixture
def plant(tmp_path: Path, fleet_map: FleetMap) -> Iterator[Plant]:
    made = Plant(tmp_path, fleet_map)
    yield made
    made.close()


def test_without_a_store_telemetry_waits_on_the_bus_and_answers_are_read(plant: Plant) -> None:
    plant.store.available = False
    for _ in range(120):
        plant.second()
        plant.save()
    assert plant.paused()
    counts = plant.consumer.counts[LOOP]
    assert counts["pauses"] == counts["resumes"] + 1
    assert plant.lag() > 20
    assert plant.acks == 120

    plant.store.available = True
    while plant.lag():
        plant.save()
        plant.read()
    assert not plant.paused()
    assert counts["pauses"] == counts["resumes"]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    deeds=st.lists(
        st.sampled_from(["speak", "speak", "speak", "save", "away", "back", "crash"]), max_size=60
    )
)
def test_memory_is_bounded_and_each_tick_is_kept_once(
    tmp_path_factory: pytest.TempPathFactory, fleet_map: FleetMap, deeds: list[str]
) -> None:
    plant = Plant(tmp_path_factory.mktemp("held"), fleet_map)
    one_window = 0
    for deed in deeds:
        match deed:
            case "speak":
                for _ in range(3):
                    plant.second()
                    plant.save()
            case "save":
                plant.save()
            case "away" | "back":
                plant.store.available = deed == "back"
            case "crash" if plant.store.available:
                plant.consumer.close()
                plant.consumer = plant.open()
        sizes = [window.memory_bytes for window in plant.consumer._windows.open_windows()]
        one_window = max([one_window, *sizes])
    plant.store.available = True
    while plant.lag() or plant.paused():
        plant.consumer.save()
        plant.read()
    plant.consumer.save(everything=True)
    last = plant.voice.seq
    plant.close()
    # A message completes at most one window of each group: two UltraServers and two CDUs.
    assert plant.most_bytes <= HELD_BYTES + 4 * one_window
    kept = stored_frames(plant.url, fleet_map)
    assert all(dict(seqs) == dict.fromkeys(range(1, last + 1), 1) for seqs in kept.values())
    assert len(kept) == (len(fleet_map.sled_ids) + 2 if last else 0)


def test_a_slow_store_stops_reading_and_not_the_reader(plant: Plant) -> None:
    gate = threading.Event()

    def slow(_: Transaction) -> None:
        gate.wait(60.0)

    writer = HistoryWriter(plant.consumer, plant.store)
    for _ in range(120):
        plant.second()
        assert writer.turn(slow) == Written()  # nobody waits for it
    assert plant.paused()
    assert plant.acks == 120
    lag = plant.lag()
    assert lag > 20
    gate.set()
    written = writer.finish(slow, 60.0)
    assert written.windows > 0
    plant.read()
    assert not plant.paused()
    assert plant.lag() < lag


def test_what_another_thread_could_not_write_goes_again(plant: Plant) -> None:
    writer = HistoryWriter(plant.consumer, plant.store)
    for _ in range(8):
        plant.second()
    plant.store.available = False
    with pytest.raises(StoreError, match="away"):
        writer.finish(lambda _: None, 60.0)
    plant.store.available = True
    for _ in range(3):
        plant.second()
    while plant.lag():
        assert writer.finish(lambda _: None, 60.0).windows > 0
        plant.read()
    writer.finish(lambda _: None, 60.0)
    kept = stored_frames(plant.url, plant.fleet_map)
    assert {tuple(sorted(seqs.items())) for seqs in kept.values()} == {
        tuple((seq, 1) for seq in range(1, 12))
    }
