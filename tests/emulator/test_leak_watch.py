import numpy as np
import pytest

from emulator.leak_watch import Detected, LeakWatch
from emulator.readings import CduRequests, LeakPolicy, LeakReaction, SledRequests
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
        self.sleds = [SledRequests(chips=4) for _ in range(FLEET.sleds)]

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
    sleds = bench.watch.sleds(bench.spilled_l, bench.sleds, 1.0)
    assert sleds[3] == (UNAVAILABLE, OK)
    assert sleds[2] == (OK, OK)


def test_a_sled_says_moisture_before_liquid() -> None:
    bench = Bench()
    bench.spilled_l[:3] = 0.01, 0.1, 1.0
    assert bench.watch.sleds(bench.spilled_l, bench.sleds, 1.0)[:4] == [
        (WARNING, OK),
        (CRITICAL, WARNING),
        (CRITICAL, CRITICAL),
        (OK, OK),
    ]


class Reacting(Bench):
    """The first sled leaks so much that both of its detectors are critical."""

    def __init__(self, *policies: LeakPolicy) -> None:
        super().__init__()
        for place, policy in enumerate(policies):
            self.sleds[0].set_leak_policy(place, policy)

    def off_after_s(self, seconds: int, *, litres: float = 100.0) -> float | None:
        """When the first sled was switched off; the others never are."""
        self.spilled_l[0] = litres
        for second in range(1, seconds + 1):
            self.watch.sleds(self.spilled_l, self.sleds, 1.0)
            assert all(requests.powered for requests in self.sleds[1:])
            if not self.sleds[0].powered:
                return second
        return None


def test_nothing_is_done_unless_it_was_asked_for() -> None:
    assert Reacting().off_after_s(30) is None


@pytest.mark.parametrize("reaction", [LeakReaction.FORCE_OFF, LeakReaction.GRACEFUL_SHUTDOWN])
def test_a_critical_leak_is_reacted_to_after_its_delay(reaction: LeakReaction) -> None:
    assert Reacting(LeakPolicy(on_critical=reaction)).off_after_s(30) == 1
    assert Reacting(LeakPolicy(on_critical=reaction, delay_s=5.0)).off_after_s(30) == 5
    assert Reacting(LeakPolicy(on_warning=reaction)).off_after_s(30) is None
    off = LeakPolicy(enabled=False, on_critical=reaction)
    assert Reacting(off).off_after_s(30) is None


def test_a_drop_that_dries_is_not_reacted_to() -> None:
    bench = Reacting(LeakPolicy(on_critical=LeakReaction.FORCE_OFF, delay_s=5.0))
    for _ in range(5):
        assert bench.off_after_s(4) is None
        assert bench.off_after_s(1, litres=0.0) is None
