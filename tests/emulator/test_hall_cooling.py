import math

import numpy as np
import pytest

from emulator.datacenter import World
from emulator.faults.fault import Fault, locate
from emulator.faults.kinds import FaultKind
from emulator.options import EmulatorOptions
from fleet.clock import ManualClock
from fleet.errors import ConfigurationError
from fleet.topology import (
    Datacenter,
    FleetMap,
    Generation,
    LoopKind,
    LoopPlan,
    mixed_datacenter,
)
from tests.emulator.worlds import PlainSensors, SmallHall

GEN2 = LoopPlan(kind=LoopKind.LIQUID_TO_LIQUID, ultraservers={Generation.TRN3_GEN2: 1})
HOSTS = LoopPlan(
    kind=LoopKind.AIR,
    ultraservers={Generation.TRN1: 1, Generation.TRN2: 1, Generation.TRN3_GEN1: 1},
)
CHIPS = tuple(range(16))


def hall_of(datacenter: Datacenter) -> SmallHall:
    clock, sensors = ManualClock(), PlainSensors()
    options = EmulatorOptions(load_ratio=0.8, settle_s=60.0, emulated_peak_flop_per_s=5e6)
    rng = np.random.default_rng(1)
    world = World(options, FleetMap(datacenter), rng, clock, sensors=sensors)
    return SmallHall(world=world, clock=clock, sensors=sensors)


@pytest.fixture(scope="module")
def busy() -> SmallHall:
    """An air row between two loops; a job on a Gen2 sled, and on Trn2 and Trn3 Gen1 hosts."""
    hall = hall_of(mixed_datacenter([GEN2, HOSTS, GEN2]))
    hall.submit("liquid", [0])
    hall.submit("trn2", [37], chips=CHIPS)
    hall.submit("gen1", [38], chips=CHIPS)
    hall.run(300)
    return hall


def test_a_mixed_hall_works_and_stays_cool(busy: SmallHall) -> None:
    world = busy.world
    assert world.chips.usable.all()
    for sled in (0, 37, 38):
        seen = world.sled_readings(sled)
        [job] = seen.jobs
        assert job.completed_total > 0
        assert max(seen.core_utilization_ratio) > 0.05
        assert 30.0 < max(seen.junction_c) < 85.0


def test_each_chip_draws_within_the_rating_of_its_kind(busy: SmallHall) -> None:
    chips = busy.world.chips
    assert (chips.power_w <= chips.kinds.tdp_w * 1.001).all()
    first = busy.world.fleet_map.chips_in_sled(37).start
    assert chips.power_w[first] > chips.kinds.idle_w[first]


def test_hosts_show_air_and_no_coolant(busy: SmallHall) -> None:
    host, sled = busy.world.sled_readings(37), busy.world.sled_readings(0)
    assert math.isnan(host.flow_lpm)
    assert sled.flow_lpm > 1.0
    assert 20.0 < host.inlet_c < 28.0 < host.outlet_c < 45.0
    assert (host.leak, len(sled.leak)) == ((), 2)


def test_the_handler_takes_all_heat_of_its_row(busy: SmallHall) -> None:
    world = busy.world
    into_air_w = sum(world.sled_readings(row).sled_power_w for row in range(36, 42))
    rows = world.loops._air
    assert rows is not None
    removed_w = world.loops.scalars("heat_removed_w")[1]
    assert removed_w == pytest.approx(into_air_w + rows.rows.handler_fan_w[0], rel=0.05)
    assert 22.0 < rows.rows.supply_air_c[0] < 26.0


def test_liquid_loops_have_the_state_they_would_have_alone() -> None:
    """What stands in air changes nothing for the loop that is built first."""
    alone, mixed = hall_of(mixed_datacenter([GEN2])), hall_of(mixed_datacenter([GEN2, HOSTS]))
    for hall in (alone, mixed):
        hall.run(20)
    rows = mixed.world.fleet_map.chips_in_loop(0)
    assert mixed.world.loops.column("junction_c")[rows] == pytest.approx(
        alone.world.loops.column("junction_c"), abs=0.5
    )


def test_a_fault_strikes_the_place_that_is_named() -> None:
    hall = hall_of(mixed_datacenter([HOSTS, GEN2]))
    hall.world.inject(Fault(kind=FaultKind.PLATE_BLOCKAGE, place="h1/us04/r1/s01/c1", severity=1.0))
    before_c = hall.world.loops.column("junction_c").copy()
    hall.run(60)
    warmer_k = hall.world.loops.column("junction_c") - before_c
    assert int(np.argmax(warmer_k)) == hall.world.fleet_map.chip("h1/us04/r1/s01/c1")


def test_a_hall_may_be_cooled_by_air_alone() -> None:
    hall = hall_of(mixed_datacenter([HOSTS]))
    hall.run(30)
    world = hall.world
    junction_c = world.loops.column("junction_c")
    assert junction_c.shape == (world.fleet_map.chips,)
    assert ((junction_c > 25.0) & (junction_c < 90.0)).all()
    assert np.isnan(world.loops.column("pump_power_w")).all()
    assert np.isnan(world.loops.scalars("secondary_flow_lpm")).all()
    assert not world.loops.leak_lpm().any()
    assert np.isnan(world.cdu_readings(0).secondary_flow_lpm)
    assert world.serving_report().spent.plant_j > world.serving_report().spent.chip_j


def test_a_wafer_is_cooled_by_all_its_plates() -> None:
    """At its peak of 21 kW it is as warm as a chip of 1 kW with the same share of the coolant."""
    plan = {Generation.TRN3_GEN2: 1, Generation.CS3: 2}
    loops = hall_of(
        mixed_datacenter([LoopPlan(kind=LoopKind.LIQUID_TO_LIQUID, ultraservers=plan)])
    ).world
    power_w = loops.skus.chips.tdp_w
    for _ in range(300):
        loops.loops.step(
            1.0,
            chip_power_w=power_w,
            sled_other_w=np.full(38, 300.0),
            sled_other_liquid_w=np.full(38, 100.0),
            sensed=[loops.cdu_readings(0)],
            now_monotonic_s=0.0,
        )
    junction_c = loops.loops.column("junction_c")
    assert len(junction_c) == 146
    assert junction_c[144:] == pytest.approx(np.median(junction_c[:144]), abs=8.0)
    flow_lpm, rise_k = (
        loops.loops.column("sled_flow_lpm"),
        loops.loops.column("sled_outlet_c") - loops.loops.column("sled_inlet_c"),
    )
    # 21 plates and one of the host, over 4 and one: its hoses and couplings are of its own size.
    assert flow_lpm[36:] == pytest.approx(22 / 5 * flow_lpm[:36].mean(), rel=0.12)
    # Everything still warms up, and a wafer's host holds less for each watt.
    heat_w = flow_lpm * rise_k
    assert heat_w[36:] / heat_w[:36].mean() == pytest.approx(21_100 / 4_100, rel=0.15)


IN_ROW = LoopPlan(kind=LoopKind.LIQUID_TO_AIR, ultraservers={Generation.TRN3_GEN2: 1})


def test_an_in_row_loop_holds_its_supply_with_fans_alone() -> None:
    hall = hall_of(mixed_datacenter([GEN2, IN_ROW]))
    hall.run(240)
    water, air = hall.world.cdu_readings(0), hall.world.cdu_readings(1)
    assert air.supply_c == pytest.approx(40.0, abs=0.5)
    assert air.primary_supply_c == air.hall_air_c < air.primary_return_c < air.return_c
    assert air.primary_flow_lpm == 0.0
    assert 0.05 < air.valve_ratio < 0.9
    assert air.fan_power_w > 0.0
    assert (water.fan_power_w, water.primary_flow_lpm > 0.0) == (0.0, True)
    assert air.heat_removed_w == pytest.approx(water.heat_removed_w, rel=0.05)


def test_a_hall_counts_the_power_of_all_that_cools_it() -> None:
    hall = hall_of(mixed_datacenter([GEN2, HOSTS, IN_ROW]))
    hall.world.cdu_requests(2).supply_setpoint_c = 32.0  # below where it starts
    hall.run(30)
    cooling = hall.world.loops
    parts_w = [cooling.scalars(name) for name in ("fan_power_w", "facility_power_w")]
    assert (parts_w[0] > 0.0).tolist() == [False, True, True]
    assert (parts_w[1] > 0.0).all()
    assert 1e3 < cooling.electric_w < 0.2 * cooling.scalars("heat_removed_w").sum()
    assert math.isfinite(hall.world._plant_j)


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        (FaultKind.VALVE_STUCK, "h1/loop01"),
        (FaultKind.PUMP_TRIP, "h1/crah01#1"),
        (FaultKind.LEAK, "h1/us02/r1/s01"),
        (FaultKind.PLATE_BLOCKAGE, "h1/us02/r1/s01/c1"),
    ],
)
def test_a_fault_of_what_a_loop_does_not_have_is_refused(kind: FaultKind, place: str) -> None:
    fleet_map = FleetMap(mixed_datacenter([IN_ROW, HOSTS]))
    with pytest.raises(ConfigurationError, match=rf"{kind} at {place}: .* liquid-to-liquid"):
        locate(Fault(kind=kind, place=place), fleet_map, pumps=2)
    for loop in fleet_map.loop_ids:
        locate(Fault(kind=FaultKind.EXCHANGER_FOULING, place=loop), fleet_map, pumps=2)
