"""Each class of fault shows in the world as the field knows it, and in the truth beside it.

Every case runs the same hall twice from one seed, once with the fault: what differs is the fault's.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from statistics import pstdev
from typing import Final

import numpy as np
import pytest

from emulator.datacenter import World
from emulator.faults.catalogue import catalogue
from emulator.faults.course import Course
from emulator.faults.fault import Fault
from emulator.faults.kinds import CourseKind, FaultKind
from emulator.options import EmulatorOptions
from emulator.scenario.truth import faults_line
from fleet.clock import ManualClock
from fleet.topology import FleetMap, trn3_datacenter
from tests.emulator.worlds import SmallHall, small_hall

CHIP, SLED, CDU = "h1/us01/r1/s01/c1", "h1/us01/r1/s01", "h1/cdu01"
WARM_S: Final = 5
ROW: Final = 1
"""Of CHIP."""
VESSEL_L: Final = 3.2
"""6.4 l for 288 chips."""

Look = Callable[[World], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`shows` is given what `look` saw of the healthy and of the broken hall after `after_s`."""

    kind: FaultKind
    place: str
    look: Look
    shows: Callable[[float, float], bool]
    severity: float | None = None
    after_s: int = 25
    setpoint_c: float = 40.0


def less(share: float) -> Callable[[float, float], bool]:
    return lambda healthy, broken: broken < share * healthy


def more(by: float) -> Callable[[float, float], bool]:
    return lambda healthy, broken: broken > healthy + by


def changed_by(by: float, within: float) -> Callable[[float, float], bool]:
    return lambda healthy, broken: abs(broken - healthy - by) <= within


def goes_on(healthy: float, broken: float) -> bool:
    return math.isfinite(broken) and broken == healthy


def junction_c(world: World) -> float:
    return float(world.loops.column("junction_c")[ROW])


def scalar(name: str) -> Look:
    return lambda world: float(world.loops.scalars(name)[0])


def pumps(world: World) -> float:
    return float(world.loops.column("pump_speed_ratio").mean())


def latency_s(world: World) -> float:
    """Median execution latency of the gang over both sleds."""
    [job] = world.sled_readings(0).jobs
    return job.latency_s[3] if job.latency_s else math.nan


def flow_lpm(world: World) -> float:
    return float(world.loops.column("sled_flow_lpm")[0])


def chip_w(world: World) -> float:
    return world.sled_readings(0).chip_power_w[ROW]


def corrected(world: World) -> float:
    return world.sled_readings(0).ecc.hbm_corrected[ROW]


CASES: Final = (
    Case(kind=FaultKind.PLATE_BLOCKAGE, place=CHIP, look=junction_c, shows=more(3.0)),
    Case(
        kind=FaultKind.INTERFACE_AGEING, place=CHIP, severity=1.0, look=junction_c, shows=more(3.0)
    ),
    Case(kind=FaultKind.SLED_FLOW_BLOCKAGE, place=SLED, look=flow_lpm, shows=less(0.5)),
    *(
        Case(
            kind=FaultKind.LEAK,
            place=SLED,
            severity=lpm,
            after_s=WARM_S + 12,
            look=lambda world: float(world.loops.scalars("reservoir_level_ratio")[0]) * VESSEL_L,
            # In litres; the falling pressure drives out less and less.
            shows=changed_by(-lpm / 5.0, 0.35 * lpm / 5.0),
        )
        for lpm in (0.2, 2.0, 20.0)
    ),
    Case(
        kind=FaultKind.PUMP_TRIP,
        place=f"{CDU}#1",
        look=scalar("secondary_flow_lpm"),
        shows=less(0.8),
    ),
    Case(kind=FaultKind.PUMP_WEAR, place=f"{CDU}#1", severity=0.4, look=pumps, shows=more(0.02)),
    Case(
        kind=FaultKind.VALVE_STUCK,
        place=CDU,
        setpoint_c=34.0,
        look=scalar("valve_ratio"),
        shows=less(0.9),
    ),
    Case(
        kind=FaultKind.VALVE_SLOW,
        place=CDU,
        setpoint_c=34.0,
        look=scalar("valve_ratio"),
        shows=less(0.98),
    ),
    Case(
        kind=FaultKind.EXCHANGER_FOULING,
        place=CDU,
        severity=0.95,
        after_s=60,
        look=scalar("valve_ratio"),
        shows=more(0.02),
    ),
    Case(kind=FaultKind.AIR_IN_LOOP, place=CDU, look=pumps, shows=more(0.02)),
    Case(
        kind=FaultKind.FACILITY_EXCURSION,
        place=CDU,
        look=scalar("primary_supply_c"),
        shows=changed_by(4.0, 0.3),
    ),
    Case(
        kind=FaultKind.HEAT_WAVE,
        place=CDU,
        severity=15.0,
        after_s=60,
        look=scalar("facility_power_w"),
        shows=more(5.0),
    ),
    Case(
        kind=FaultKind.HUMIDITY_EVENT,
        place=CDU,
        look=scalar("dew_point_c"),
        shows=more(0.3),
    ),
    Case(kind=FaultKind.POWER_FEED_LOSS, place=SLED, look=chip_w, shows=less(0.01)),
    Case(kind=FaultKind.HBM_STORM, place=CHIP, look=corrected, shows=more(1_000.0)),
    Case(
        kind=FaultKind.SILENT_CORRUPTION,
        place=CHIP,
        severity=100.0,
        after_s=40,
        look=lambda world: float(sum(world.sled_readings(0).numerical_errors_total)),
        shows=more(0.5),
    ),
    Case(kind=FaultKind.CHIP_FAIL_SLOW, place=CHIP, severity=0.5, look=latency_s, shows=more(1e-5)),
    Case(kind=FaultKind.CHIP_DEATH, place=CHIP, look=chip_w, shows=less(0.01)),
    Case(
        kind=FaultKind.LINK_LOSS,
        place="h1/us01/r1/s01/c0#in_rack",
        look=latency_s,
        shows=more(1e-6),
    ),
    Case(kind=FaultKind.SWITCH_LOSS, place="h1/us01/r1", look=latency_s, shows=more(1e-6)),
    Case(
        kind=FaultKind.AGENT_LOSS,
        place=SLED,
        look=lambda world: world.sled_readings(0).answers,
        shows=less(0.5),
    ),
    Case(kind=FaultKind.AGENT_LOSS, place=SLED, look=junction_c, shows=goes_on),
    Case(
        kind=FaultKind.NETWORK_PARTITION,
        place="h1/us01/r1",
        look=lambda world: sum(world.sled_readings(row).answers for row in range(36)),
        shows=changed_by(-18.0, 0.0),
    ),
    Case(
        kind=FaultKind.CLOCK_SKEW,
        place=SLED,
        look=lambda world: world.sled_readings(0).at_unix_ns / 1e9,
        shows=changed_by(30.0, 0.01),
    ),
)


@cache
def _healthy(after_s: int, setpoint_c: float) -> World:
    return _run(None, after_s, setpoint_c).world


def _fault(case: Case) -> Fault:
    """At once: what takes hours in the field has its course tested elsewhere."""
    return Fault(
        kind=case.kind,
        place=case.place,
        severity=case.severity,
        start_s=float(WARM_S),
        course=Course(),
    )


def _run(fault: Fault | None, after_s: int, setpoint_c: float) -> SmallHall:
    hall = small_hall(load_ratio=0.8)
    if fault is not None:
        hall.world.inject(fault)
    hall.submit("gang", [0, 1], model="llama-3-70b", tensor_parallel=8)
    hall.run(WARM_S)
    hall.world.cdu_requests(0).supply_setpoint_c = setpoint_c
    hall.run(after_s - WARM_S)
    return hall


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{case.severity}")
def test_a_fault_shows_and_is_in_the_truth(case: Case) -> None:
    fault = _fault(case)
    world = _run(fault, case.after_s, case.setpoint_c).world
    healthy, broken = case.look(_healthy(case.after_s, case.setpoint_c)), case.look(world)
    assert case.shows(healthy, broken), (healthy, broken)
    [told] = faults_line(world)["faults"] or [None]
    assert (told["kind"], told["place"]) == (case.kind, case.place)
    assert 0.0 < told["severity"] <= fault.strength


def test_decaying_memories_show_errors_where_others_show_none() -> None:
    hall = small_hall(settle_s=5.0)
    sleds = hall.world.fleet_map.sled_ids[:18]
    for sled in sleds:
        for chip in range(4):
            hall.world.inject(
                Fault(kind=FaultKind.HBM_DECAY, place=f"{sled}/c{chip}", severity=1.0)
            )
    hall.run(120)
    shown = [_memory_errors(hall.world, row) for row in range(36)]
    assert sum(shown[:18]) > 10 + 3 * sum(shown[18:])
    assert len(faults_line(hall.world)["faults"]) == 72


def _memory_errors(world: World, sled: int) -> int:
    ecc = world.sled_readings(sled).ecc
    return sum(ecc.hbm_corrected) + sum(ecc.hbm_uncorrected) + sum(ecc.hbm_repairable_uncorrected)


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorCase:
    """`off` is given what the sensor showed each second, less the truth."""

    kind: FaultKind
    off: Callable[[list[float]], bool]
    severity: float | None = None


@pytest.mark.parametrize(
    "case",
    [
        SensorCase(kind=FaultKind.SENSOR_BIAS, off=lambda off: all(4.0 < one < 6.0 for one in off)),
        SensorCase(
            kind=FaultKind.SENSOR_DRIFT,
            severity=6.0,
            off=lambda off: abs(off[0]) < 1.0 and off[10] < off[20] < off[-1] and off[-1] > 4.0,
        ),
        SensorCase(
            kind=FaultKind.SENSOR_NOISE, severity=3.0, off=lambda off: 1.5 < pstdev(off) < 5.0
        ),
        SensorCase(kind=FaultKind.SENSOR_DROPOUT, off=lambda off: all(map(math.isnan, off))),
    ],
    ids=lambda case: case.kind,
)
def test_a_broken_sensor_lies_and_the_truth_does_not(case: SensorCase) -> None:
    over = Course(kind=CourseKind.RAMP, over_s=30.0)
    world, off = _sensed(case.kind, case.severity, over if "drift" in case.kind else Course(), 30)
    assert case.off([shown - true for shown, true in off]), off
    [told] = faults_line(world)["faults"]
    assert (told["kind"], told["place"]) == (case.kind, f"{CDU}#supply_c")


def test_a_frozen_sensor_stands_while_the_coolant_moves() -> None:
    _, seen = _sensed(FaultKind.SENSOR_FREEZE, None, Course(), 60)
    assert len({shown for shown, _ in seen}) == 1
    assert abs(seen[-1][1] - seen[0][1]) > 0.5


def _sensed(
    kind: FaultKind, severity: float | None, course: Course, seconds: int
) -> tuple[World, list[tuple[float, float]]]:
    """What the supply's sensor showed and what was, while the set-point went down."""
    clock = ManualClock()
    options = EmulatorOptions(settle_s=30.0, emulated_peak_flop_per_s=1e5)
    fleet_map = FleetMap(trn3_datacenter(ultraservers=1))
    world = World(options, fleet_map, np.random.default_rng(3), clock)
    world.inject(Fault(kind=kind, place=f"{CDU}#supply_c", severity=severity, course=course))
    world.cdu_requests(0).supply_setpoint_c = 36.0
    seen = []
    for _ in range(seconds):
        clock.advance(1.0)
        world.step(1.0)
        truth = float(world.loops.scalars("supply_c")[0])
        seen.append((world.cdu_readings(0).supply_c, truth))
    return world, seen


def test_no_class_of_the_catalogue_is_left_out() -> None:
    """Identities and firmware have their tests beside the card that tells them."""
    cards = {"sled_swap", "sled_exchange", "identity_claim", "firmware_drift"}
    sensors = {kind for kind in catalogue() if kind.startswith("sensor_")}
    shown = {case.kind for case in CASES} | sensors | {FaultKind.HBM_DECAY}
    assert shown | cards == set(catalogue())
