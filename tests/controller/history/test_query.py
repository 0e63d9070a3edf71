"""Questions about history, against the ticks that were kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from controller.history.levels import LEVELS, Level
from controller.history.places import HistoryPlaces
from controller.history.query import HistoryReader
from controller.history.rollup import RolledBlock, Stat, Steps, Values, encode_rolled
from controller.state.roster import Roster
from controller.store import Store
from fleet.clock import NS_PER_S
from fleet.errors import ConfigurationError, UnknownIdError
from fleet.frame import MISSING_COUNT
from fleet.topology import FleetMap, trn3_datacenter
from tests.controller.history.kept import T0_NS, keep, noise, times

SERVER, CDU = "h1/us01", "h1/cdu01"
SEATS, PARTS, TICKS = 36, 4, 1500
AT = times(SEATS, TICKS, phases_ns=tuple(seat * 7_000_000 for seat in range(SEATS)))
JUNCTION_C = noise(SEATS * PARTS, TICKS)
END_NS = T0_NS + TICKS * NS_PER_S
TEN, MINUTE = LEVELS[0], LEVELS[1]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('kept')}/isotherm.db")
    counts = np.full((SEATS * PARTS, TICKS), 7, np.uint64)
    counts[:, 100:] = np.uint64(2**62)
    counts[:, 50] = MISSING_COUNT
    metrics: dict[str, Values] = {
        "junction_c": JUNCTION_C,
        "inlet_c": noise(SEATS, TICKS, seed=2),
        "hbm_ecc_corrected_total": counts,
    }
    keep(store, SERVER, AT, metrics)
    keep(store, CDU, times(1, TICKS), {"supply_c": noise(1, TICKS), "pump_state": noise(2, TICKS)})
    yield store
    store.close()


@pytest.fixture(scope="module")
def places() -> HistoryPlaces:
    fleet_map = FleetMap(trn3_datacenter())
    return HistoryPlaces(fleet_map, Roster(fleet_map))


@contextmanager
def reading(store: Store) -> Iterator[HistoryReader]:
    with store.read() as tx:
        yield HistoryReader(tx.blocks, tx.rollups)


def test_ticks_of_a_chip_are_those_measured(store: Store, places: HistoryPlaces) -> None:
    chip = places.select("h1/us01/r1/s03/c2", "junction_c")
    from_ns, until_ns = T0_NS + 90 * NS_PER_S, T0_NS + 200 * NS_PER_S
    with reading(store) as reader:
        (series,) = reader.ticks(chip, from_unix_ns=from_ns, until_unix_ns=until_ns)
    np.testing.assert_array_equal(series.at_unix_ns, AT[2, 90:200])
    np.testing.assert_array_equal(series.values[Stat.LAST], JUNCTION_C[2 * PARTS + 2, 90:200])
    assert places.row_id(chip, series.share, series.row) == "h1/us01/r1/s03/c2"


def test_a_sled_has_a_series_a_chip(store: Store, places: HistoryPlaces) -> None:
    sled = places.select("h1/us01/r2/s01", "junction_c")
    with reading(store) as reader:
        found = reader.ticks(sled, from_unix_ns=T0_NS, until_unix_ns=T0_NS + 60 * NS_PER_S)
    names = [places.row_id(sled, one.share, one.row) for one in found]
    assert names == [f"h1/us01/r2/s01/c{chip}" for chip in range(PARTS)]
    for chip, series in enumerate(found):
        wanted = JUNCTION_C[18 * PARTS + chip, :60]
        np.testing.assert_array_equal(series.values[Stat.LAST], wanted)


@pytest.mark.parametrize("level", [TEN, MINUTE], ids=["10 s", "1 min"])
@pytest.mark.parametrize("rolled", [False, True], ids=["from ticks", "rolled up"])
def test_steps_are_the_same_rolled_up_or_not(
    tmp_path: Path, places: HistoryPlaces, level: Level, rolled: bool
) -> None:
    """What is not rolled up yet is made from ticks, beside what is."""
    store = Store(f"sqlite:///{tmp_path}/isotherm.db")
    keep(store, SERVER, AT, {"junction_c": JUNCTION_C})
    if rolled:
        with store.begin() as tx:
            for start in (T0_NS, T0_NS + TEN.span_ns):
                bodies = encode_rolled(Steps(AT, PARTS, TEN, start).roll(JUNCTION_C))
                block = RolledBlock(
                    group_id=SERVER,
                    metric="junction_c",
                    level=TEN,
                    start_unix_ns=start,
                    bodies=bodies,
                )
                tx.rollups.save([block])
            tx.blocks.forget(before_unix_ns=T0_NS + TEN.span_ns)
    chip = places.select("h1/us01/r1/s03/c2", "junction_c")
    with reading(store) as reader:
        (series,) = reader.steps(chip, level, tuple(Stat), from_unix_ns=T0_NS, until_unix_ns=END_NS)
    store.close()
    ticks = JUNCTION_C[2 * PARTS + 2].reshape(-1, level.step_s)
    np.testing.assert_array_equal(series.values[Stat.MIN], ticks.min(axis=1))
    np.testing.assert_array_equal(series.values[Stat.MAX], ticks.max(axis=1))
    np.testing.assert_array_equal(series.values[Stat.LAST], ticks[:, -1])
    np.testing.assert_allclose(series.values[Stat.MEAN], ticks.mean(axis=1), rtol=1e-6)
    assert set(series.values[Stat.COUNT].tolist()) == {level.step_s}
    assert series.at_unix_ns.tolist() == list(range(T0_NS, END_NS, level.step_ns))


@pytest.mark.parametrize("place", ["h1/us01", "h1/loop01"])
def test_many_parts_are_told_together(store: Store, places: HistoryPlaces, place: str) -> None:
    selection = places.select(place, "junction_c")
    with reading(store) as reader:
        both = reader.together(selection, TEN, from_unix_ns=T0_NS, until_unix_ns=END_NS)
        ticks = reader.together(
            selection, None, from_unix_ns=T0_NS, until_unix_ns=T0_NS + 90 * NS_PER_S
        )
    steps = JUNCTION_C.reshape(len(JUNCTION_C), -1, 10)
    np.testing.assert_allclose(both.values["min"], steps.min(axis=(0, 2)))
    np.testing.assert_allclose(both.values["max"], steps.max(axis=(0, 2)))
    np.testing.assert_allclose(both.values["sum"], steps.mean(axis=2).sum(axis=0), rtol=1e-5)
    assert set(both.values["parts"].tolist()) == {SEATS * PARTS}
    assert len(ticks.at_unix_ns) == 90
    np.testing.assert_allclose(ticks.values["mean"], JUNCTION_C[:, :90].mean(axis=0), rtol=1e-5)


def test_a_loop_has_what_its_cdu_says(store: Store, places: HistoryPlaces) -> None:
    with reading(store) as reader:
        for place in ("h1/loop01", "h1/cdu01"):
            supply = places.select(place, "supply_c")
            found = reader.ticks(supply, from_unix_ns=T0_NS, until_unix_ns=END_NS)
            assert [len(one.at_unix_ns) for one in found] == [TICKS]
            pumps = places.select(place, "pump_state")
            found = reader.ticks(pumps, from_unix_ns=T0_NS, until_unix_ns=END_NS)
            assert [places.row_id(pumps, one.share, one.row) for one in found] == [
                "h1/cdu01/pump1",
                "h1/cdu01/pump2",
            ]


def test_counts_stay_exact(store: Store, places: HistoryPlaces) -> None:
    chip = places.select("h1/us01/r1/s01/c0", "hbm_ecc_corrected_total")
    with reading(store) as reader:
        (series,) = reader.steps(
            chip, TEN, (Stat.MAX, Stat.COUNT), from_unix_ns=T0_NS, until_unix_ns=END_NS
        )
        now = reader.moment(chip, at_unix_ns=T0_NS + 50 * NS_PER_S, stale_ns=NS_PER_S // 2)
    assert int(series.values[Stat.MAX][20]) == 2**62
    assert series.values[Stat.COUNT][5] == 9
    assert np.isnan(now[SERVER][0])


@pytest.mark.parametrize("second", [0, 1, 59, 60, 61, 700])
def test_a_moment_is_the_newest_tick_of_every_chip(
    store: Store, places: HistoryPlaces, second: int
) -> None:
    fleet = places.whole_fleet("junction_c")
    at_ns = T0_NS + second * NS_PER_S + NS_PER_S // 2
    with reading(store) as reader:
        found = reader.moment(fleet, at_unix_ns=at_ns, stale_ns=5 * NS_PER_S)
    np.testing.assert_array_equal(found[SERVER], JUNCTION_C[:, second])
    assert set(found) == {SERVER}


def test_a_moment_long_after_the_last_tick_is_empty(store: Store, places: HistoryPlaces) -> None:
    fleet = places.whole_fleet("junction_c")
    with reading(store) as reader:
        late = reader.moment(fleet, at_unix_ns=END_NS + 5 * NS_PER_S, stale_ns=5 * NS_PER_S)
    assert all(np.isnan(values).all() for values in late.values())


def test_questions_that_make_no_sense_say_so(places: HistoryPlaces) -> None:
    with pytest.raises(UnknownIdError, match="unknown metric"):
        places.select("h1/us01", "warmth_c")
    with pytest.raises(UnknownIdError, match="unknown place"):
        places.select("h9/us01", "junction_c")
    with pytest.raises(ConfigurationError, match="junction_c is a metric of a chip"):
        places.select("h1/cdu01", "junction_c")
    with pytest.raises(ConfigurationError, match="supply_c is a metric of a cdu"):
        places.select("h1/us01/r1/s01", "supply_c")
