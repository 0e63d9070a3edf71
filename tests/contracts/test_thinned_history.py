"""What a full spool has thinned, from the agent's frame to the answer."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pyarrow import parquet

from agent.thin import Thinner
from controller.chores.rolling import roll_up
from controller.chores.settings import ChoreSettings
from controller.history.levels import LEVELS, Level
from controller.history.places import HistoryPlaces
from controller.history.query import HistoryReader
from controller.history.rollup import Stat
from controller.ingest.consume import Consumer
from controller.state.roster import Roster
from controller.store import Store
from fleet.bus import InMemoryBus
from fleet.clock import NS_PER_S, ManualClock
from fleet.codec import encode_message
from fleet.frame import Frame, encode_schema, sled_schema
from fleet.topics import SCHEMAS, TELEMETRY
from fleet.topology import FleetMap, trn3_datacenter
from isotherm.export.choice import Choice, pieces_of
from isotherm.export.files import FileFormat, open_sink
from isotherm.export.rows import Tables
from isotherm.export.run import export

LOOP, SLED, CHIP = "h1/loop01", "h1/us01/r1/s02", "h1/us01/r1/s02/c1"
SCHEMA = sled_schema(4)
THINNER = Thinner([SCHEMA])
FLEET = FleetMap(trn3_datacenter(loops=1, ultraservers=1))
PLACES = HistoryPlaces(FLEET, Roster(FLEET))
T0_NS = 1_760_000_400 * NS_PER_S
"""Begins an hour."""
TICKS = 240
COLUMN = next(
    place
    for place, column in enumerate(SCHEMA.columns)
    if (column.metric, column.part) == ("junction_c", 1)
)
COUNTER = next(
    place
    for place, column in enumerate(SCHEMA.counters)
    if (column.metric, column.part) == ("hbm_ecc_corrected_total", 1)
)


def readings() -> NDArray[np.float32]:
    rng = np.random.default_rng(11)
    values = (rng.integers(500, 900, (TICKS, len(SCHEMA.columns))) / 10).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    values[100:110, COLUMN] = np.nan  # a step in which nothing was read
    return values


VALUES = readings()


def frames(first: int, last: int) -> list[Frame]:
    return [
        Frame(
            agent=SLED,
            epoch=1,
            seq=tick + 1,
            schema_id=SCHEMA.id,
            t0_unix_ns=T0_NS + tick * NS_PER_S,
            dt_ns=NS_PER_S,
            values=VALUES[tick : tick + 1],
            counters=np.full((1, len(SCHEMA.counters)), 2**63 + tick, np.uint64),
        )
        for tick in range(first, last)
    ]


def thinned(first: int, last: int, span_s: int) -> list[Frame]:
    return [
        frame
        for begin in range(first, last, span_s)
        for frame in THINNER.merge(frames(begin, begin + span_s), span_s * NS_PER_S)
    ]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(T0_NS + 300 * NS_PER_S)


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    """A minute of ticks, a minute and a half of 10 s and half a minute of ticks beside it, then a
    minute of one statistic.
    """
    opened = Store(f"sqlite:///{tmp_path}/isotherm.db")
    bus = InMemoryBus()
    for schema in (SCHEMA, *THINNER.stats.values()):
        bus.publish(SCHEMAS, key=schema.id, value=encode_schema(schema))
    told = [*frames(0, 60), *thinned(60, 150, 10), *frames(150, 180), *thinned(180, 240, 60)]
    for seq, frame in enumerate(told, start=1):
        value = encode_message(LOOP, [replace(frame, seq=seq)])
        bus.publish(TELEMETRY, key=LOOP, value=value)
    consumer = Consumer(bus, opened, FLEET, clock, loops=[LOOP])
    while consumer.poll():
        continue
    assert consumer.counts[LOOP]["frames"] == len(told)
    consumer.save(everything=True)
    consumer.close()
    yield opened
    opened.close()


def series(store: Store, level: Level) -> dict[int, dict[Stat, float]]:
    """Second after the begin -> each statistic of the step that begins there."""
    stats = (Stat.MIN, Stat.MAX, Stat.MEAN, Stat.COUNT)
    with store.read() as tx:
        (one,) = HistoryReader(tx.blocks, tx.rollups).steps(
            PLACES.select(CHIP, "junction_c"),
            level,
            stats,
            from_unix_ns=T0_NS,
            until_unix_ns=T0_NS + TICKS * NS_PER_S,
        )
    seconds = ((one.at_unix_ns - T0_NS) // NS_PER_S).tolist()
    return {
        second: {stat: float(one.values[stat][place]) for stat in stats}
        for place, second in enumerate(seconds)
    }


def measured(first: int, last: int) -> dict[Stat, float]:
    read = VALUES[first:last, COLUMN]
    read = read[~np.isnan(read)].astype(np.float64)
    return {
        Stat.MIN: read.min(),
        Stat.MAX: read.max(),
        Stat.MEAN: pytest.approx(read.mean(), rel=1e-5),
        Stat.COUNT: len(read),
    }


def roll(store: Store, clock: ManualClock) -> None:
    clock.advance(2 * 86_400.0)
    while roll_up(store, clock, ChoreSettings(), stopped=lambda: False):
        continue


@pytest.mark.parametrize("rolled", [False, True])
def test_thinned_ticks_are_statistics_of_their_steps(
    store: Store, clock: ManualClock, rolled: bool
) -> None:
    if rolled:
        roll(store, clock)
    found = series(store, LEVELS[0])
    expected = {at: measured(at, at + 10) for at in range(0, 180, 10) if at != 100}
    assert found == {**expected, 180: measured(180, 240)}
    assert series(store, LEVELS[1]) == {at: measured(at, at + 60) for at in range(0, 240, 60)}


def test_exact_counters_of_thinned_ticks_are_those_of_their_last(store: Store) -> None:
    with store.read() as tx:
        (one,) = HistoryReader(tx.blocks, tx.rollups).ticks(
            PLACES.select(CHIP, "hbm_ecc_corrected_total"),
            from_unix_ns=T0_NS + 60 * NS_PER_S,
            until_unix_ns=T0_NS + 150 * NS_PER_S,
        )
    assert [int(value) - 2**63 for value in one.values[Stat.LAST]] == list(range(69, 150, 10))


def exported(
    store: Store, out: Path, level: Level | None
) -> dict[int, dict[str, float | int | None]]:
    """Second after the begin -> the row of that time."""
    choice = Choice(
        metrics=("junction_c",),
        places=(CHIP,),
        level=level,
        from_unix_ns=T0_NS,
        until_unix_ns=T0_NS + TICKS * NS_PER_S,
    )
    pieces = pieces_of(choice, PLACES)
    tables = Tables(pieces.metrics, choice.level, pieces.ids)
    sink = open_sink(out, FileFormat.PARQUET, tables.schema, ())
    export(choice, pieces, store, tables, sink)
    sink.finish()
    rows = parquet.read_table(out).to_pylist()
    found = {int(row["at"].timestamp()) - T0_NS // NS_PER_S: row for row in rows}
    assert len(found) == len(rows), "a row twice"
    return found


def test_an_export_of_steps_holds_what_was_thinned(store: Store, tmp_path: Path) -> None:
    rows = exported(store, tmp_path / "day.parquet", LEVELS[0])
    row = rows[70]
    assert {Stat(name): row[name] for name in ("min", "max", "mean", "count")} == measured(70, 80)
    assert row["last"] is None  # nobody has said it
    assert rows[20]["last"] is not None


def test_an_export_of_ticks_holds_what_was_thinned_as_statistics(
    store: Store, tmp_path: Path
) -> None:
    rows = exported(store, tmp_path / "day.parquet", None)
    assert sorted(rows) == [*range(60), *range(60, 150, 10), *range(150, 180), 180]
    for first, last in ((60, 70), (140, 150), (180, 240)):
        row = rows[first]
        said = {Stat(name): row[name] for name in ("min", "max", "mean", "count")}
        assert said == measured(first, last)
        assert row["value"] is None  # no tick of its own
    nothing = rows[100]
    assert (nothing["min"], nothing["mean"], nothing["count"]) == (None, None, 0)
    tick = rows[20]
    assert tick["value"] == pytest.approx(VALUES[20, COLUMN])
    assert (tick["mean"], tick["count"]) == (None, None)
