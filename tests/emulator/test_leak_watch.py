import numpy as np
import pytest

from emulator.leak_watch import Detected, LeakWatch
from emulator.readings import CduRequests
from emulator.sensing import SensorFault, SensorFaultKind
from emulator.sensors import FleetSensors
from emulator.skus.fleet import FleetSkus
from fleet.metrics import LeakState
from fleet.topology import FleetMap, trn3_datacenter

FLEET = FleetMap(trn3_datacenter(loops=2, ultraservers=1))
OK, WARNING, CRITICAL, UNAVAILABLE = (
    LeakState.OK,
    LeakState.WARNING,
    LeakState.CRITICAL,
    LeakState.UNAVAILABLE,
)


class Bench:
    def __init__(self) -> None:
        self.sensors = FleetSensors(np.random.default_rng(1))
        self.watch = LeakWatch(FLEET, self.sensors, FleetSkus(FLEET))
        self.requests = [CduRequests(), CduRequests()]
        self.spilled_l = np.zeros(FLEET.sleds)
        self.level_ratio = [1.0, 1.0]

    def cdus(self) -> list[Detected]:
        return self.watch.cdus(self.spilled_l, self.level_ratio, self.requests, 1.0)


@pytest.mark.parametrize(
    ("lost_l", "pan", "floor"),
    [(0.0, OK, OK), (3.0, WARNING, OK), (12.0, CRITICAL, WARNING), (40.0, CRITICAL, CRITICAL)],
)
def test_a_cdu_sees_what_the_sleds_of_its_own_loop_lose(
    lost_l: float, pan: LeakState, floor: LeakState
) -> None:
    bench = Bench()
    bench.spilled_l[FLEET.sleds_in_loop(1)] = lost_l / 36
    first, second = bench.cdus()
    assert first.states == (OK, OK, OK)
    assert second.states == (pan, floor, OK)


@pytest.mark.parametrize(
    ("level", "state"), [(0.97, OK), (0.5, WARNING), (0.1, CRITICAL), (float("nan"), UNAVAILABLE)]
)
def test_a_falling_level_is_a_leak(level: float, state: LeakState) -> None:
    bench = Bench()
    bench.level_ratio[0] = level
    assert bench.cdus()[0].states == (OK, OK, state)


def test_a_critical_state_stays_latched_until_it_is_cleared() -> None:
    bench = Bench()
    bench.spilled_l[0] = 12.0
    assert bench.cdus()[0].latched == (True, False, False)
    bench.spilled_l[0] = 0.0
    assert bench.cdus()[0] == Detected(states=(OK, OK, OK), latched=(True, False, False))
    bench.requests[0].clear_latches = True
    assert bench.cdus()[0].latched == (False, False, False)
    assert not bench.requests[0].clear_latches


def test_clearing_does_not_hide_a_leak_that_goes_on() -> None:
    bench = Bench()
    bench.spilled_l[0] = 12.0
    bench.requests[0].clear_latches = True
    assert bench.cdus()[0].latched == (True, False, False)


def test_a_detector_that_shows_nothing_is_unavailable_and_not_dry() -> None:
    bench = Bench()
    dead = SensorFault(kind=SensorFaultKind.DROPOUT)
    bench.sensors.set_fault("cdu_leak_state", 1, dead)
    bench.sensors.set_fault("leak_state", 3, dead)
    assert bench.cdus()[1].states == (UNAVAILABLE, OK, OK)
    sleds = bench.watch.sleds(bench.spilled_l, 1.0)
    assert sleds[3] == (UNAVAILABLE, OK)
    assert sleds[2] == (OK, OK)


def test_a_sled_says_moisture_before_liquid() -> None:
    bench = Bench()
    bench.spilled_l[:3] = 0.01, 0.1, 1.0
    assert bench.watch.sleds(bench.spilled_l, 1.0)[:4] == [
        (WARNING, OK),
        (CRITICAL, WARNING),
        (CRITICAL, CRITICAL),
        (OK, OK),
    ]
