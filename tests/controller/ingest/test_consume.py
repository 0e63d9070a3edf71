from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.history.block import decode_gauge
from controller.history.windows import HistorySettings
from controller.ingest.consume import Consumer, IngestSettings
from controller.ingest.dead_letter import DeadLetter, Reason, decode_dead_letter
from controller.store import Store
from fleet.bus import InMemoryBus, Start
from fleet.clock import NS_PER_S, ManualClock
from fleet.codec import decode_message, encode_message
from fleet.commands import Ack, Outcome, encode
from fleet.errors import LeaseLostError
from fleet.frame import Frame, cdu_schema, encode_schema, sled_schema
from fleet.topics import ACKS, DEAD_LETTERS, EVENTS, SCHEMAS, TELEMETRY, TOPICS
from fleet.topology import FleetMap
from isotherm.bench.pipeline.fleet_voice import SLED, FleetVoice

LOOP = "h1/loop01"
SLEDS = 36


@pytest.fixture
def voice(fleet_map: FleetMap, bus: InMemoryBus) -> FleetVoice:
    return FleetVoice(fleet_map, bus)


@pytest.fixture
def open_consumer(
    fleet_map: FleetMap, bus: InMemoryBus, store: Store, clock: ManualClock
) -> Callable[[], Consumer]:
    def make() -> Consumer:
        return Consumer(
            bus,
            store,
            fleet_map,
            clock,
            loops=fleet_map.loop_ids,
            settings=IngestSettings(parked_frames=50, parked_s=10.0),
        )

    return make


@pytest.fixture
def consumer(open_consumer: Callable[[], Consumer]) -> Iterator[Consumer]:
    made = open_consumer()
    yield made
    made.close()


def dead(bus: InMemoryBus) -> list[DeadLetter]:
    reader = bus.reader(DEAD_LETTERS, start=Start.BEGINNING)
    return [decode_dead_letter(record.value) for record in reader.poll(0.0)]


def junction_c(consumer: Consumer, clock: ManualClock) -> float:
    snapshot = consumer.columns.snapshot(clock.unix_ns(), 1)
    return float(np.nanmean(snapshot.chip["junction_c"]))


def test_frames_reach_the_columns(
    consumer: Consumer, voice: FleetVoice, clock: ManualClock
) -> None:
    voice.publish_schemas()
    voice.say(clock.unix_ns())
    consumer.poll()
    snapshot = consumer.columns.snapshot(clock.unix_ns(), 1)
    assert np.all(np.isfinite(snapshot.chip["junction_c"]))
    assert np.all(snapshot.sled_age_s == 0.0)
    assert np.all(snapshot.cdu_age_s == 0.0)
    assert consumer.counts[LOOP]["frames"] == SLEDS + 1


def test_what_is_malformed_is_set_aside_and_the_rest_goes_on(
    consumer: Consumer, voice: FleetVoice, clock: ManualClock, bus: InMemoryBus
) -> None:
    voice.publish_schemas()
    good = encode_message(LOOP, voice.frames(0, clock.unix_ns()))
    for value in (b"", b"nonsense", good[:-1], good[:40] + b"\x00" + good[41:]):
        bus.publish(TELEMETRY, key=LOOP, value=value)
    voice.say(clock.unix_ns())
    consumer.poll()
    assert [letter.reason for letter in dead(bus)] == [Reason.MALFORMED] * 4
    assert consumer.counts[LOOP]["malformed"] == 4
    assert consumer.counts[LOOP]["frames"] == SLEDS + 1


def test_loops_are_read_wherever_the_installation_spreads_them(
    store: Store, fleet_map: FleetMap, clock: ManualClock
) -> None:
    with InMemoryBus([topic.spread(3) for topic in TOPICS]) as bus:
        consumer = Consumer(bus, store, fleet_map, clock, loops=fleet_map.loop_ids)
        voice = FleetVoice(fleet_map, bus)
        voice.publish_schemas()
        voice.say(clock.unix_ns())
        consumer.poll()
        assert set(consumer.positions()) == set(consumer.partition_of.values()) <= {0, 1, 2}
        assert all(consumer.counts[loop]["frames"] for loop in fleet_map.loop_ids)
        assert not dead(bus)


def test_a_dead_letter_says_where_it_was_and_keeps_its_bytes(
    consumer: Consumer, bus: InMemoryBus
) -> None:
    bus.publish(TELEMETRY, key=LOOP, value=b"nonsense")
    consumer.poll()
    (letter,) = dead(bus)
    assert (letter.topic, letter.key, letter.value) == (TELEMETRY.name, LOOP, b"nonsense")
    assert letter.partition == TELEMETRY.partition_of(LOOP)
    assert letter.detail


def test_agents_and_loops_that_the_fleet_has_not(
    consumer: Consumer, voice: FleetVoice, clock: ManualClock, bus: InMemoryBus
) -> None:
    voice.publish_schemas()
    voice.seq = 1
    frame = voice.frame("h9/us01/r1/s01", sled_schema(4), SLED, clock.unix_ns())
    other = voice.frame("h1/us02/r1/s01", sled_schema(4), SLED, clock.unix_ns())  # of loop02
    own = voice.frame("h1/us01/r1/s01", sled_schema(4), SLED, clock.unix_ns())
    bus.publish(TELEMETRY, key=LOOP, value=encode_message(LOOP, [frame, other, own]))
    bus.publish(TELEMETRY, key=LOOP, value=encode_message("h9/loop01", [own]))
    consumer.poll()
    strangers, loop = dead(bus)
    assert (strangers.reason, loop.reason) == (Reason.UNKNOWN_AGENT, Reason.UNKNOWN_LOOP)
    assert "h9/us01/r1/s01" in strangers.detail
    assert "h1/us02/r1/s01" in strangers.detail
    assert consumer.counts[LOOP]["frames"] == 1


def test_a_frame_with_another_shape_than_its_schema(
    consumer: Consumer, voice: FleetVoice, clock: ManualClock, bus: InMemoryBus
) -> None:
    voice.publish_schemas()
    voice.seq = 1
    wide = voice.frame("h1/us01/r1/s01", sled_schema(4), SLED, clock.unix_ns())
    lie = replace(wide, schema_id=cdu_schema(2).id)
    bus.publish(TELEMETRY, key=LOOP, value=encode_message(LOOP, [lie]))
    consumer.poll()
    assert [letter.reason for letter in dead(bus)] == [Reason.MALFORMED]


def test_frames_wait_for_their_schema(
    consumer: Consumer, voice: FleetVoice, clock: ManualClock, bus: InMemoryBus
) -> None:
    voice.say(clock.unix_ns())
    consumer.poll()
    assert consumer.counts[LOOP]["frames"] == 0
    assert consumer.counts[LOOP]["parked"] == SLEDS + 1
    voice.publish_schemas()
    consumer.poll()
    # Of one slab more than there is room for, the oldest was given up.
    assert consumer.counts[LOOP]["frames"] + consumer.counts["h1/loop02"]["frames"] == SLEDS + 2
    assert np.isfinite(junction_c(consumer, clock))


def test_waiting_ends_and_is_bounded(
    consumer: Consumer, voice: FleetVoice, clock: ManualClock, bus: InMemoryBus
) -> None:
    voice.say(clock.unix_ns())
    consumer.poll()
    assert len(consumer._parking) == SLEDS + 2
    assert len(dead(bus)) == 1
    clock.advance(10.0)
    consumer.poll()
    assert len(consumer._parking) == 0
    assert {letter.reason for letter in dead(bus)} == {Reason.UNKNOWN_SCHEMA}


def test_a_frame_counts_once(
    consumer: Consumer, voice: FleetVoice, clock: ManualClock, bus: InMemoryBus
) -> None:
    voice.publish_schemas()
    voice.say(clock.unix_ns())
    voice.seq -= 1
    voice.say(clock.unix_ns())
    consumer.poll()
    assert consumer.counts[LOOP]["frames"] == SLEDS + 1
    assert consumer.counts[LOOP]["duplicates"] == SLEDS + 1


def test_gaps_are_counted_and_filled(
    consumer: Consumer, voice: FleetVoice, clock: ManualClock
) -> None:
    voice.publish_schemas()
    voice.say(clock.unix_ns())
    voice.seq = 4
    voice.say(clock.unix_ns())
    consumer.poll()
    assert consumer.counts[LOOP]["gaps"] == 3 * (SLEDS + 1)
    voice.seq = 2
    voice.say(clock.unix_ns())
    consumer.poll()
    assert consumer.counts[LOOP]["late"] == SLEDS + 1


def kept_ticks(store: Store, metric: str = "junction_c") -> np.ndarray:
    """Ticks in history of each part of the first UltraServer."""
    with store.read() as tx:
        blocks = list(tx.blocks.of_group("h1/us01", [metric], from_unix_ns=0, until_unix_ns=2**62))
    kept = np.zeros(4 * SLEDS, dtype=np.int64)
    for block in blocks:
        kept += np.isfinite(decode_gauge(block.body)).sum(axis=1)
    return kept


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["say", "read", "save", "crash", "again"]), max_size=30))
def test_after_crashes_each_tick_is_kept_once(
    tmp_path_factory: pytest.TempPathFactory, fleet_map: FleetMap, deeds: list[str]
) -> None:
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('history')}/isotherm.db")
    bus, clock = InMemoryBus(), ManualClock()
    voice = FleetVoice(fleet_map, bus)
    voice.publish_schemas()
    short = IngestSettings(history=HistorySettings(window_s=4, grace_ticks=2))
    loops = fleet_map.loop_ids

    def open_one() -> Consumer:
        return Consumer(bus, store, fleet_map, clock, loops=loops, settings=short)

    consumer = open_one()
    for deed in (*deeds, "read"):
        if deed == "say":
            voice.say(clock.unix_ns())
            clock.advance(1.0)
        elif deed == "again":
            voice.seq = max(voice.seq - 1, 0)  # said twice, as an agent does that heard no answer
        elif deed == "crash":
            consumer.close()
            consumer = open_one()
        consumer.poll()
        if deed == "save":
            consumer.save()
    consumer.save(everything=True)
    consumer.close()
    last = max((frame.seq for frame in said(bus)), default=0)

    assert (kept_ticks(store) == last).all()
    store.close()


def said(bus: InMemoryBus) -> list[Frame]:
    reader = bus.reader(TELEMETRY, start=Start.BEGINNING)
    records = reader.poll(0.0, 10_000)
    return [frame for record in records for frame in decode_message(record.value).frames]


def test_a_restart_reads_on_where_it_stopped(
    open_consumer: Callable[[], Consumer], voice: FleetVoice, clock: ManualClock
) -> None:
    voice.publish_schemas()
    first = open_consumer()
    voice.say(clock.unix_ns())
    first.poll()
    first.save(everything=True)
    voice.say(clock.unix_ns())
    first.poll()  # read, but not written: the crash comes here
    first.close()
    second = open_consumer()
    voice.say(clock.unix_ns())
    second.poll()
    second.close()
    assert second.counts[LOOP]["frames"] == 2 * (SLEDS + 1)
    assert second.counts[LOOP]["duplicates"] == 0
    assert second.counts[LOOP]["gaps"] == 0


def test_a_transaction_that_is_refused_is_written_later(
    consumer: Consumer, voice: FleetVoice, clock: ManualClock, store: Store
) -> None:
    def refuse(_: object) -> None:
        raise LeaseLostError("taken")

    voice.publish_schemas()
    voice.say(clock.unix_ns())
    consumer.poll()
    with pytest.raises(LeaseLostError):
        consumer.save(refuse, everything=True)
    with store.read() as tx:
        assert tx.marks.all() == []

    written = consumer.save()

    assert written.windows == 4  # two UltraServers, two CDUs
    assert (kept_ticks(store) == 1).all()


def test_what_an_agent_with_a_wrong_clock_measures_is_shown_and_set_aside(
    consumer: Consumer, voice: FleetVoice, clock: ManualClock, bus: InMemoryBus
) -> None:
    voice.publish_schemas()
    voice.say(clock.unix_ns() + 10 * 365 * 86_400 * NS_PER_S)
    consumer.poll()
    assert np.isfinite(junction_c(consumer, clock))
    assert {letter.reason for letter in dead(bus)} == {Reason.WRONG_CLOCK}
    assert consumer.counts[LOOP]["wrong_clocks"] == SLEDS + 1
    assert consumer.save(everything=True).windows == 0


def test_a_restart_does_not_pass_frames_that_waited(
    open_consumer: Callable[[], Consumer], voice: FleetVoice, clock: ManualClock
) -> None:
    first = open_consumer()
    voice.say(clock.unix_ns())
    first.poll()
    first.save()
    first.close()
    voice.publish_schemas()
    second = open_consumer()
    second.poll()
    second.close()
    assert second.counts["h1/loop02"]["frames"] == SLEDS + 1


def test_a_topic_that_was_made_anew_is_read_from_its_beginning(
    open_consumer: Callable[[], Consumer],
    fleet_map: FleetMap,
    store: Store,
    voice: FleetVoice,
    clock: ManualClock,
) -> None:
    voice.publish_schemas()
    first = open_consumer()
    for _ in range(5):
        voice.say(clock.unix_ns())
    first.poll()
    first.save()
    first.close()
    fresh = InMemoryBus()
    second = Consumer(fresh, store, fleet_map, clock, loops=fleet_map.loop_ids)
    reborn = FleetVoice(fleet_map, fresh, epoch=2)
    reborn.publish_schemas()
    reborn.say(clock.unix_ns())
    second.poll()
    second.close()
    assert second.counts[LOOP]["frames"] == SLEDS + 1


def other_partition(bus: InMemoryBus, loop: str, key: str, value: bytes) -> None:
    assert TELEMETRY.partition_of(loop) != TELEMETRY.partition_of(key)
    bus.publish(TELEMETRY, key=key, value=value)


def test_a_loop_under_another_loops_key_is_set_aside(
    consumer: Consumer, fleet_map: FleetMap, bus: InMemoryBus, clock: ManualClock, voice: FleetVoice
) -> None:
    voice.publish_schemas()
    first, second = fleet_map.loop_ids
    forged = encode_message(first, voice.frames(0, clock.unix_ns()))
    other_partition(bus, first, second, forged)
    good = encode_message(second, voice.frames(1, clock.unix_ns()))
    bus.publish(TELEMETRY, key=second, value=good)
    consumer.poll()
    assert consumer.counts[second]["frames"] == SLEDS + 1
    assert consumer.counts[first]["frames"] == 0
    assert [letter.reason for letter in dead(bus)] == [Reason.WRONG_KEY]


def test_a_partition_moves_and_each_tick_is_kept_once(
    fleet_map: FleetMap, bus: InMemoryBus, store: Store, clock: ManualClock, voice: FleetVoice
) -> None:
    voice.publish_schemas()
    first, second = (TELEMETRY.partition_of(loop) for loop in fleet_map.loop_ids)
    one = Consumer(bus, store, fleet_map, clock, loops=fleet_map.loop_ids)
    two = Consumer(bus, store, fleet_map, clock, loops=())
    for tick in range(12):
        voice.say(clock.unix_ns())
        clock.advance(1.0)
        one.poll()
        two.poll()
        if tick == 3:
            one.save()  # nothing is full yet: the other reads all of it again
        if tick == 5:
            one.lose([first])
            two.gain([first])
            assert not two.caught_up(first)
            two.poll()
            assert two.caught_up(first)
        if tick == 8:
            two.save(everything=True)
            two.lose([first])
            one.gain([first])
    one.poll()
    one.save(everything=True)
    assert (kept_ticks(store) == 12).all()
    assert one.counts[fleet_map.loop_ids[1]]["frames"] == 12 * (SLEDS + 1)
    assert second != first
    one.close()
    two.close()


def test_acknowledgements_and_events(consumer: Consumer, bus: InMemoryBus) -> None:
    ack = Ack(
        command_id="1.1:cool",
        target="h1/cdu01",
        term=1,
        seq=1,
        outcome=Outcome.APPLIED,
        detail="",
        at_unix_ns=1,
    )
    bus.publish(ACKS, key=LOOP, value=encode(ack))
    bus.publish(ACKS, key=LOOP, value=b"nonsense")
    bus.publish(EVENTS, key="x", value=b"nonsense")
    consumer.poll_answers()
    assert consumer.take_acks() == [ack]
    assert consumer.take_acks() == []
    assert consumer.take_events() == []
    assert len(dead(bus)) == 2


def test_a_schema_document_that_is_none(consumer: Consumer, bus: InMemoryBus) -> None:
    bus.publish(SCHEMAS, key="1" * 16, value=b"{}")
    bus.publish(SCHEMAS, key="0" * 16, value=encode_schema(sled_schema(4)))  # the key lies
    consumer.poll()
    assert [letter.reason for letter in dead(bus)] == [Reason.MALFORMED]
    assert consumer._schemas.get(sled_schema(4).id) is not None
    assert consumer._schemas.get("0" * 16) is None


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.lists(st.binary(max_size=200), max_size=5), cut=st.integers(0, 400))
def test_nothing_crashes_it_and_nothing_valid_is_lost(
    junk: list[bytes],
    cut: int,
    consumer: Consumer,
    voice: FleetVoice,
    clock: ManualClock,
    bus: InMemoryBus,
) -> None:
    voice.publish_schemas()
    good = encode_message(LOOP, voice.frames(0, clock.unix_ns()))
    before = consumer.counts[LOOP]["frames"]
    for value in (*junk, good[: cut % len(good)]):
        for topic in (TELEMETRY, ACKS, EVENTS, SCHEMAS):
            bus.publish(topic, key=LOOP, value=value)
    voice.say(clock.unix_ns())
    consumer.poll()
    consumer.poll_answers()
    assert consumer.counts[LOOP]["frames"] == before + SLEDS + 1
