from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.state.columns import FleetColumns
from fleet.clock import NS_PER_S
from fleet.frame import MISSING_COUNT, Column, Reporter, Schema, sled_schema
from tests.controller.spoken import START_UNIX_NS, SpokenFleet, hear, make_frame, small_map

SLED = "h1/us01/r1/s02"


def test_each_chip_lands_in_its_own_row() -> None:
    columns = FleetColumns(small_map())
    schema = sled_schema(4)
    parts = {0: 50.0, 1: 51.0, 2: 52.0, 3: 53.0}
    hear(columns, make_frame(SLED, schema, {"junction_c": parts, "inlet_c": 40.0}, seq=1), schema)
    snapshot = columns.snapshot(START_UNIX_NS, 1)
    junction = snapshot.chip["junction_c"]
    assert junction[4:8].tolist() == [50.0, 51.0, 52.0, 53.0]
    assert np.isnan(junction[8:]).all()
    assert snapshot.sled["inlet_c"][1] == 40.0


@given(st.integers(min_value=0, max_value=2**64 - 2))
def test_counts_are_exact(count: int) -> None:
    columns = FleetColumns(small_map())
    schema = sled_schema(4)
    name = "hbm_ecc_corrected_total"
    hear(columns, make_frame(SLED, schema, {}, seq=1, counts={name: {2: count}}), schema)
    counts = columns.snapshot(START_UNIX_NS, 1).chip_counts[name]
    assert int(counts[6]) == count
    assert int(counts[5]) == MISSING_COUNT


def test_columns_in_another_order_and_of_unknown_metrics_are_understood() -> None:
    schema = Schema(
        reporter=Reporter.SLED,
        columns=(
            Column("inlet_c", 0),
            Column("moon_phase", 0),
            Column("junction_c", 1),
            Column("junction_c", 9),
        ),
        counters=(Column("sunspots", 0),),
    )
    columns = FleetColumns(small_map())
    frame = make_frame(
        SLED, schema, {"inlet_c": 41.0, "moon_phase": 7.0, "junction_c": 60.0}, seq=1
    )
    assert hear(columns, frame, schema)
    snapshot = columns.snapshot(START_UNIX_NS, 1)
    assert snapshot.sled["inlet_c"][1] == 41.0
    assert np.flatnonzero(np.isfinite(snapshot.chip["junction_c"])).tolist() == [5]


def test_an_older_tick_does_not_overwrite() -> None:
    columns, schema = FleetColumns(small_map()), sled_schema(4)
    new = make_frame(SLED, schema, {"inlet_c": 41.0}, seq=5, at_unix_ns=START_UNIX_NS + NS_PER_S)
    old = make_frame(SLED, schema, {"inlet_c": 30.0}, seq=4)
    assert hear(columns, new, schema)
    assert not hear(columns, old, schema)
    assert not hear(columns, new, schema)
    assert columns.snapshot(START_UNIX_NS, 1).sled["inlet_c"][1] == 41.0


@pytest.mark.parametrize(
    ("epoch", "seq", "later_s"), [(1, 6, -100), (0, 1, 100)], ids=["clock-set-back", "epoch-lost"]
)
def test_an_agent_is_heard_again_after_its_clock_or_its_epoch_went_back(
    epoch: int, seq: int, later_s: int
) -> None:
    columns, schema = FleetColumns(small_map()), sled_schema(4)
    hear(columns, make_frame(SLED, schema, {"inlet_c": 41.0}, seq=5), schema)
    later = START_UNIX_NS + later_s * NS_PER_S
    frame = make_frame(SLED, schema, {"inlet_c": 42.0}, seq=seq, epoch=epoch, at_unix_ns=later)
    assert hear(columns, frame, schema)


def test_ages_count_from_the_newest_tick_and_are_infinite_before_the_first() -> None:
    columns, schema = FleetColumns(small_map()), sled_schema(4)
    hear(columns, make_frame(SLED, schema, {}, seq=1), schema)
    snapshot = columns.snapshot(START_UNIX_NS + 7 * NS_PER_S, 1)
    assert snapshot.sled_age_s[1] == 7.0
    assert np.isinf(snapshot.sled_age_s[0])
    assert snapshot.sled_cause(1) == f"{SLED}@1.1"


def test_a_silent_agent_ages_even_when_its_clock_ran_ahead() -> None:
    columns, schema = FleetColumns(small_map()), sled_schema(4)
    ahead = START_UNIX_NS + 3600 * NS_PER_S
    hear(columns, make_frame(SLED, schema, {}, seq=1, at_unix_ns=ahead), schema)
    columns.snapshot(START_UNIX_NS, 1)
    assert columns.snapshot(START_UNIX_NS + 20 * NS_PER_S, 2).sled_age_s[1] == 20.0


def test_a_snapshot_is_read_only_and_does_not_change_afterwards() -> None:
    fleet = SpokenFleet()
    snapshot = fleet.tick()
    fleet.every_sled = {"inlet_c": 20.0}
    fleet.tick()
    assert snapshot.sled["inlet_c"][0] == 40.0
    for array in (snapshot.chip["junction_c"], snapshot.sled_age_s, snapshot.pump["pump_state"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


def test_only_the_newest_tick_of_a_frame_counts() -> None:
    columns, schema = FleetColumns(small_map()), sled_schema(4)
    one = make_frame(SLED, schema, {"inlet_c": 41.0}, seq=1)
    two = replace(
        one,
        values=np.concatenate([one.values * 0, one.values]),
        counters=np.concatenate([one.counters, one.counters]),
    )
    hear(columns, two, schema)
    snapshot = columns.snapshot(START_UNIX_NS + NS_PER_S, 1)
    assert snapshot.sled["inlet_c"][1] == 41.0
    assert snapshot.sled_age_s[1] == 0.0
