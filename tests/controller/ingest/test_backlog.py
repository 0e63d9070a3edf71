from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.history.window import TIMES, Block
from controller.ingest.consume import Consumer, IngestSettings
from controller.store import Store
from controller.store.marks import Mark
from fleet.bus import InMemoryBus, Record
from fleet.clock import NS_PER_S, ManualClock
from fleet.frame import Schema, Slab
from fleet.topology import FleetMap
from isotherm.bench.pipeline.fleet_voice import FleetVoice

LOOP = "h1/loop01"
SLEDS = 36


class _Heard(NamedTuple):
    """What is left of a telling, whatever the size of the batches in which it was read."""

    counts: dict[str, int]
    blocks: list[Block]
    marks: list[Mark]
    frames: list[list[int]]


def _heard(
    fleet_map: FleetMap, bus: InMemoryBus, clock: ManualClock, folder: Path, batch: int
) -> _Heard:
    store = Store(f"sqlite:///{folder}/of_{batch}.db")
    consumer = Consumer(
        bus,
        store,
        fleet_map,
        clock,
        loops=fleet_map.loop_ids,
        settings=IngestSettings(batch=batch),
    )
    consumer.poll()
    consumer.save(everything=True)
    snapshot = consumer.columns.snapshot(clock.unix_ns(), 1)
    with store.read() as tx:
        blocks = [
            block
            for group in (*fleet_map.ultraserver_ids, *fleet_map.cdu_ids)
            for block in tx.blocks.of_group(
                group, [TIMES, "junction_c", "supply_c"], from_unix_ns=0, until_unix_ns=2**62
            )
        ]
        marks = tx.marks.all()
    consumer.close()
    store.close()
    frames = [*snapshot.sled_frame.tolist(), *snapshot.cdu_frame.tolist()]
    return _Heard(dict(consumer.counts[LOOP]), blocks, marks, frames)


@settings(max_examples=10)
@given(
    told=st.lists(
        st.tuples(st.sampled_from([1, 1, 1, 2]), st.integers(1, 12), st.integers(0, 3)),
        min_size=1,
        max_size=14,
    )
)
def test_a_backlog_read_at_once_is_the_same_as_message_by_message(
    fleet_map: FleetMap, tmp_path_factory: pytest.TempPathFactory, told: list[tuple[int, int, int]]
) -> None:
    """Epochs, numbers and who is silent come as they like: lost, twice, late, split and mixed."""
    bus, clock = InMemoryBus(), ManualClock()
    voice = FleetVoice(fleet_map, bus)
    voice.publish_schemas()
    for epoch, seq, silent in told:
        voice.epoch, voice.seq = epoch, seq - 1
        voice.silent = set(fleet_map.sled_ids[:silent])
        voice.say(clock.unix_ns() + (20 * epoch + 11 * seq) * NS_PER_S)
    folder = tmp_path_factory.mktemp("backlog")
    assert _heard(fleet_map, bus, clock, folder, 500) == _heard(fleet_map, bus, clock, folder, 1)


def test_messages_that_go_on_are_one_run_and_a_gap_ends_it(
    fleet_map: FleetMap,
    bus: InMemoryBus,
    store: Store,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    voice = FleetVoice(fleet_map, bus)
    consumer = Consumer(bus, store, fleet_map, clock, loops=fleet_map.loop_ids)
    taken: list[int] = []
    one_by_one = consumer._apply

    def apply(record: Record, loop_id: str, slab: Slab, schema: Schema) -> None:
        taken.append(int(slab.seqs[0]))
        one_by_one(record, loop_id, slab, schema)

    monkeypatch.setattr(consumer, "_apply", apply)
    voice.publish_schemas()
    for seq in (1, 2, 3, 4, 7, 8, 9):
        voice.seq = seq - 1
        voice.say(clock.unix_ns())
    consumer.poll()
    assert sorted(set(taken)) == [1, 7]  # the first that was ever heard, and what follows the gap
    assert consumer.counts[LOOP]["frames"] == 7 * (SLEDS + 1)
    assert consumer.counts[LOOP]["gaps"] == 2 * (SLEDS + 1)
    consumer.close()
