"""What a strained loop gets from placement: no new work, and moves only where there is room."""

from dataclasses import replace

from controller.cooling.loop import LoopControl, initial
from controller.cooling.relief import Relief, ReliefState
from controller.cooling.settings import CoolingSettings
from controller.decide import relief_of
from tests.controller.spoken import SpokenFleet, Wanted, small_map

HOT: Wanted = {"junction_c": 84.0}


def strained(level: Relief) -> dict[str, LoopControl]:
    control = initial("h1/loop01", "h1/cdu01", CoolingSettings())
    other = initial("h1/loop02", "h1/cdu02", CoolingSettings())
    return {
        "h1/loop01": replace(control, relief=ReliefState(level=level)),
        "h1/loop02": other,
    }


def test_a_strained_loop_gets_no_work_and_its_hottest_sleds_are_spared() -> None:
    fleet = SpokenFleet(fleet_map=small_map(loops=2))
    hot = fleet.fleet_map.sled_ids[5]
    fleet.sled = {hot: HOT}
    snapshot = fleet.tick()
    none, nothing = relief_of(strained(Relief.NONE), snapshot)
    assert (none, nothing) == ({}, {})
    kept_off, spared = relief_of(strained(Relief.AVOID), snapshot)
    rows = snapshot.fleet_map.sleds_in_loop(0)
    assert set(kept_off) == set(snapshot.fleet_map.sled_ids[rows])
    assert spared == {}
    _, spared = relief_of(strained(Relief.MOVE), snapshot)
    assert next(iter(spared)) == hot
    assert len(spared) == round(0.25 * (rows.stop - rows.start))
