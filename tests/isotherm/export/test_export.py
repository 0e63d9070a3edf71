"""What is exported, read back, is what history says."""

import errno
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyarrow import dataset, ipc, parquet

from controller.history.levels import LEVELS, Level
from controller.history.places import HistoryPlaces
from controller.history.query import HistoryReader
from controller.history.rollup import Stat
from controller.state.roster import Roster
from controller.store import Store
from fleet.clock import NS_PER_S
from fleet.errors import ConfigurationError, MalformedMessageError
from fleet.frame import MISSING_COUNT
from fleet.topology import FleetMap, trn3_datacenter
from isotherm.export.choice import Choice, pieces_of
from isotherm.export.files import FileFormat, PartitionKey, open_sink
from isotherm.export.rows import METADATA_KEY, Tables
from isotherm.export.run import Exported, export
from tests.controller.history.kept import T0_NS, keep, noise, times

SEATS, TICKS = 36, 200
BEGIN_NS = T0_NS + 3500 * NS_PER_S
"""The history goes on into the next hour."""
END_NS = BEGIN_NS + TICKS * NS_PER_S
US, CDU, SLED = "h1/us01", "h1/cdu01", "h1/us01/r1/s07"
ECC = "hbm_ecc_corrected_total"
METRICS = ("junction_c", ECC, "inlet_c", "supply_c", "pump_speed_ratio")
PLACES = HistoryPlaces(
    (fleet_map := FleetMap(trn3_datacenter(loops=1, ultraservers=2))), Roster(fleet_map)
)


def holey(rows: int, seed: int) -> NDArray[np.float32]:
    values = noise(rows, TICKS, seed=seed)
    values[np.random.default_rng(seed).random(values.shape) < 0.2] = np.nan
    return values


def counters(rows: int) -> NDArray[np.uint64]:
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 3, (rows, TICKS)).cumsum(axis=1).astype(np.uint64)
    counts += np.uint64(2**63)  # no float holds such a count
    counts[rng.random(counts.shape) < 0.1] = MISSING_COUNT
    return counts


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Some minutes of an UltraServer, with silent sleds and failed readings, and its CDU."""
    kept = Store(f"sqlite:///{tmp_path_factory.mktemp('history') / 'i.db'}")
    phases_ns = tuple(seat * 7_000_001 for seat in range(SEATS))
    at = times(SEATS, TICKS, start_ns=BEGIN_NS, phases_ns=phases_ns)
    at[np.random.default_rng(5).random(at.shape) < 0.1] = -1
    chips: dict[str, NDArray[Any]] = {"junction_c": holey(SEATS * 4, 1), ECC: counters(SEATS * 4)}
    keep(kept, US, at, {**chips, "inlet_c": holey(SEATS, 2)})
    pumps = noise(2, TICKS, seed=4)
    keep(
        kept,
        CDU,
        times(1, TICKS, start_ns=BEGIN_NS),
        {"supply_c": holey(1, 6), "pump_speed_ratio": pumps},
    )
    yield kept
    kept.close()


def exported(
    store: Store,
    choice: Choice,
    out: Path,
    *,
    file_format: FileFormat = FileFormat.PARQUET,
    by: tuple[PartitionKey, ...] = (),
    rows_at_once: int = 1000,
) -> Exported | None:
    pieces = pieces_of(choice, PLACES)
    tables = Tables(pieces.metrics, choice.level, pieces.ids)
    sink = open_sink(out, file_format, tables.schema, by)
    try:
        written = export(choice, pieces, store, tables, sink, rows_at_once=rows_at_once)
        sink.finish()
    except BaseException:
        sink.abandon()
        raise
    return written


def chosen(
    *places: str, metrics: tuple[str, ...] = METRICS, level: Level | None = None, **at: int
) -> Choice:
    span = {"from_unix_ns": BEGIN_NS, "until_unix_ns": END_NS, **at}
    return Choice(metrics=metrics, places=places, level=level, **span)


Row = tuple[str, str, int]
"""Id, metric, ns."""


def expected(store: Store, choice: Choice) -> dict[Row, tuple[Any, ...]]:
    """By the questions that the API asks."""
    found: dict[Row, tuple[Any, ...]] = {}
    span = {"from_unix_ns": choice.from_unix_ns, "until_unix_ns": choice.until_unix_ns}
    with store.read() as tx:
        reader = HistoryReader(tx.blocks, tx.rollups)
        for metric in choice.metrics:
            selection = PLACES.whole_fleet(metric)
            if choice.level is None:
                series = reader.ticks(selection, **span)
            else:
                series = reader.steps(selection, choice.level, tuple(Stat), **span)
            for one in series:
                name = PLACES.row_id(selection, one.share, one.row)
                columns = [plain(column) for column in one.values.values()]
                for at, *values in zip(one.at_unix_ns.tolist(), *columns, strict=True):
                    if at >= 0:
                        found[name, metric, at] = tuple(values)
    return found


def plain(column: NDArray[Any]) -> list[Any]:
    if column.dtype == np.uint64:
        return [None if value == MISSING_COUNT else value for value in column.tolist()]
    return [None if math.isnan(value) else value for value in column.tolist()]


def read_rows(table: pa.Table, level: Level | None) -> dict[Row, tuple[Any, ...]]:
    at = table.column("at").cast(pa.int64()).to_pylist()
    names = zip(table.column("id").to_pylist(), table.column("metric").to_pylist(), strict=True)
    found: dict[Row, tuple[Any, ...]] = {}
    columns = {name: table.column(name).to_pylist() for name in table.column_names if name != "at"}
    for place, (name, metric) in enumerate(names):
        key = (name, metric, at[place])
        assert key not in found, "a row twice"
        row = {column: values[place] for column, values in columns.items()}
        if level is None:
            assert row["value"] is None or row["exact"] is None
            found[key] = (row["exact"] if metric == ECC else row["value"],)
        elif row["count"]:
            exact = "exact_" if metric == ECC else ""
            found[key] = tuple(
                row[f"{exact if stat in {Stat.MIN, Stat.MAX, Stat.LAST} else ''}{stat.value}"]
                for stat in Stat
            )
    return found


@settings(max_examples=12)
@given(
    first_s=st.integers(0, TICKS - 2),
    length_s=st.integers(1, TICKS),
    level=st.sampled_from([None, *LEVELS[:2]]),
    file_format=st.sampled_from(FileFormat),
    rows_at_once=st.sampled_from([50, 1000, 10**6]),
)
def test_what_is_read_back_is_what_history_says(
    store: Store,
    tmp_path_factory: pytest.TempPathFactory,
    first_s: int,
    length_s: int,
    level: Level | None,
    file_format: FileFormat,
    rows_at_once: int,
) -> None:
    first_ns = BEGIN_NS + first_s * NS_PER_S
    choice = chosen(
        metrics=(ECC, "supply_c", "pump_speed_ratio", "inlet_c"),
        level=level,
        from_unix_ns=first_ns,
        until_unix_ns=first_ns + length_s * NS_PER_S,
    )
    out = tmp_path_factory.mktemp("out") / "rows"
    written = exported(store, choice, out, file_format=file_format, rows_at_once=rows_at_once)
    read = parquet.read_table(out) if file_format is FileFormat.PARQUET else read_arrow(out)
    assert read_rows(read, level) == expected(store, choice)
    assert (0 if written is None else written.rows) == len(read)


def read_arrow(path: Path) -> pa.Table:
    with ipc.open_file(path) as reader:
        return reader.read_all()


def test_a_row_group_holds_one_metric_and_a_bounded_number_of_rows(
    store: Store, tmp_path: Path
) -> None:
    out = tmp_path / "a.parquet"
    exported(store, chosen(), out, rows_at_once=5000)
    metadata = parquet.ParquetFile(out).metadata
    assert metadata.num_row_groups > 10
    for group in range(metadata.num_row_groups):
        column = metadata.row_group(group).column(2)
        assert column.statistics.min == column.statistics.max
        # A window of an UltraServer's chips is read at once.
        assert metadata.row_group(group).num_rows <= 5000 + SEATS * 4 * 60


def test_a_partitioned_folder_reads_as_one_table(store: Store, tmp_path: Path) -> None:
    by = (PartitionKey.HOUR, PartitionKey.METRIC)
    exported(store, chosen(), tmp_path / "out", by=by)
    for hour in ("09", "10"):
        place = tmp_path / "out" / "metric=junction_c" / "date=2025-10-09" / f"hour={hour}"
        assert [path.name for path in place.iterdir()] == ["part-0.parquet"]
    whole = dataset.dataset(tmp_path / "out", partitioning="hive").to_table()
    assert read_rows(whole, None) == expected(store, chosen())
    exported(store, chosen(), tmp_path / "out", by=by)
    again = dataset.dataset(tmp_path / "out", partitioning="hive").to_table()
    assert len(again) == len(whole), "the same hour again must replace its files"
    assert not list((tmp_path / "out").rglob(".*"))


def test_a_place_gives_its_own_rows(store: Store, tmp_path: Path) -> None:
    for places, metrics, ids in (
        ((SLED,), ("junction_c", "inlet_c"), {SLED, *(f"{SLED}/c{chip}" for chip in range(4))}),
        ((f"{SLED}/c2",), ("junction_c",), {f"{SLED}/c2"}),
        ((f"{SLED}/c2", SLED), ("junction_c",), {f"{SLED}/c{chip}" for chip in range(4)}),
        (("h1/loop01",), ("pump_speed_ratio",), {f"{CDU}/pump1", f"{CDU}/pump2"}),
    ):
        choice = chosen(*places, metrics=metrics)
        exported(store, choice, tmp_path / "a.parquet")
        rows = read_rows(parquet.read_table(tmp_path / "a.parquet"), None)
        assert {name for name, _, _ in rows} == ids
        whole = expected(store, choice)
        assert rows == {key: value for key, value in whole.items() if key[0] in ids}


def test_the_schema_says_units(store: Store, tmp_path: Path) -> None:
    exported(store, chosen(metrics=("junction_c", ECC)), tmp_path / "a.parquet")
    schema = parquet.read_schema(tmp_path / "a.parquet")
    said = msgspec.json.decode(schema.metadata[METADATA_KEY])
    assert said["step_s"] == 1
    assert said["metrics"]["junction_c"]["unit"] == "degree Celsius, absolute"
    assert said["metrics"][ECC]["kind"] == "counter"
    assert schema.field("exact").type == pa.uint64()


def test_nothing_kept_leaves_no_file(store: Store, tmp_path: Path) -> None:
    pieces = pieces_of(chosen(metrics=("hbm_c",)), PLACES)
    tables = Tables(pieces.metrics, None, pieces.ids)
    sink = open_sink(tmp_path / "a.parquet", FileFormat.PARQUET, tables.schema, ())
    assert export(chosen(metrics=("hbm_c",)), pieces, store, tables, sink) is None
    sink.abandon()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_file(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "a.parquet"
    out.write_bytes(b"of yesterday")
    pieces = pieces_of(chosen(), PLACES)
    tables = Tables(pieces.metrics, None, pieces.ids)
    sink = open_sink(out, FileFormat.PARQUET, tables.schema, ())
    sink._whole._writer.close()  # type: ignore[attr-defined]
    sink._whole._writer = FullDisk()  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="can not be written: No space left"):
        export(chosen(), pieces, store, tables, sink)
    sink.abandon()
    assert out.read_bytes() == b"of yesterday"
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


class FullDisk:
    """A writer to a disk that takes nothing more."""

    def write_table(self, table: pa.Table) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_damaged_block_is_named(tmp_path: Path) -> None:
    damaged = Store(f"sqlite:///{tmp_path / 'i.db'}")
    keep(damaged, CDU, times(1, 60), {"supply_c": noise(1, 60)})
    with damaged.begin() as tx:
        tx._connection.exec_driver_sql(
            "UPDATE history_blocks SET body = substr(body, 1, 20) WHERE metric = 'supply_c'"
        )
    with pytest.raises(MalformedMessageError, match=f"{CDU}, supply_c, window at {T0_NS}"):
        exported(damaged, chosen(metrics=("supply_c",), from_unix_ns=T0_NS), tmp_path / "a.parquet")
    damaged.close()


def test_a_fleet_described_wrongly_is_found_out(tmp_path: Path) -> None:
    other = Store(f"sqlite:///{tmp_path / 'i.db'}")
    keep(other, US, times(18, 60), {"inlet_c": noise(18, 60)})
    with pytest.raises(ConfigurationError, match="is of 18 agents"):
        exported(other, chosen(metrics=("inlet_c",), from_unix_ns=T0_NS), tmp_path / "a.parquet")
    other.close()


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (chosen(metrics=("junction",)), "did you mean junction_c"),
        (chosen(metrics=("warmth",)), "unknown metric 'warmth'"),
        (chosen(from_unix_ns=END_NS), "not before"),
        (chosen(CDU, metrics=("junction_c",)), "has none"),
        (chosen(CDU, SLED, metrics=("supply_c",)), "has none"),
    ],
)
def test_a_bad_choice_is_one_line(choice: Choice, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        pieces_of(choice, PLACES)


def test_a_place_without_any_metric_of_its_own_is_not_passed_over() -> None:
    everything = pieces_of(chosen(SLED, metrics=()), PLACES)
    assert {spec.scope.value for spec in everything.metrics} == {"chip", "sled"}
