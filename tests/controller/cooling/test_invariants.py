"""What a cooling controller must guarantee, held under random plants, sensors, people and gaps.

Each test is one promise of the safety shell, from reading to command, whatever law is in force.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.cooling.control import (
    CoolingEffect,
    LoopSetpoints,
    ManualOrder,
    Mode,
    SendCooling,
    TripReset,
)
from controller.cooling.estimate import LoopReadings
from controller.cooling.loop import LoopControl, advance, initial
from controller.cooling.settings import CoolingSettings
from controller.cooling.shell import dew_floor_c
from fleet.clock import NS_PER_S
from tests.controller.spoken import START_UNIX_NS
from thermal.control.interlock import TripLevel, TripReason

SETTINGS = CoolingSettings()
SHELL = SETTINGS.shell
RESET = TripReset(loop_id="h1/loop01", actor="kim", reason="looked at it")
EPS = 1e-6

anything = st.floats(width=32) | st.floats(-50.0, 120.0, width=32)
orders = st.none() | st.builds(
    ManualOrder, valve_ratio=anything, pump_ratio=anything, supply_c=anything
)
lies = st.dictionaries(st.sampled_from(sorted(SETTINGS.estimate.sensors)), anything, max_size=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """What happens in one cycle."""

    lie: dict[str, float] = field(default_factory=dict)
    order: ManualOrder | None = None
    reset: bool = False
    silent: bool = False
    leak: bool = False
    load_ratio: float = 0.6
    junction_off_k: float = 0.0
    dew_point_c: float = 14.0
    gap_s: float = 1.0


seconds = st.builds(
    Second,
    lie=lies,
    order=orders,
    reset=st.booleans(),
    silent=st.booleans(),
    leak=st.booleans(),
    load_ratio=st.floats(0.0, 1.0),
    junction_off_k=st.sampled_from([0.0, 0.0, 0.0, 30.0, 60.0]),
    dew_point_c=st.floats(0.0, 44.0),
    gap_s=st.sampled_from([0.0, 0.5, 1.0, 1.0, 1.0, 3.0, 30.0]),
)
stories = st.lists(seconds, min_size=3, max_size=25)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nature:
    """A plant drawn at random: a lag, a gain, and water from outside."""

    lag_s: float = 12.0
    facility_c: float = 30.0
    ua_ratio: float = 1.0
    resistance_k_per_w: float = 0.034


natures = st.builds(
    Nature,
    lag_s=st.floats(4.0, 60.0),
    facility_c=st.floats(12.0, 38.0),
    ua_ratio=st.floats(0.5, 1.5),
    resistance_k_per_w=st.floats(0.02, 0.05),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    before: LoopControl
    after: LoopControl
    effects: tuple[CoolingEffect, ...]
    second: Second
    moved_s: float

    @property
    def sent(self) -> list[SendCooling]:
        return [effect for effect in self.effects if isinstance(effect, SendCooling)]

    @property
    def held(self) -> LoopSetpoints:
        return self.before.setpoints

    @property
    def now(self) -> LoopSetpoints:
        return self.after.setpoints


class Story:
    """One loop through random seconds; trust is won first, so that it steers."""

    def __init__(self, nature: Nature) -> None:
        self.nature = nature
        self.control = initial("h1/loop01", "h1/cdu01", SETTINGS)
        self.at_unix_ns = START_UNIX_NS
        self.heard_unix_ns = START_UNIX_NS
        self.supply_c, self.ticks = 40.0, 0
        for _ in range(8):
            self.live(Second())

    def tell(self, story: list[Second]) -> Iterator[Moment]:
        for second in story:
            yield self.live(second)

    def live(self, second: Second) -> Moment:
        before, was_ns = self.control, self.at_unix_ns
        self.at_unix_ns += round(second.gap_s * NS_PER_S)
        self.ticks += 1
        if not second.silent:
            self.heard_unix_ns = self.at_unix_ns
        self._flow_on(second)
        resets = (RESET,) if second.reset else ()
        self.control, effects = advance(
            before,
            self._readings(second),
            at_unix_ns=self.at_unix_ns,
            cause=f"frame {self.ticks}",
            order=second.order,
            resets=resets,
            settings=SETTINGS,
        )
        moved_s = min((self.at_unix_ns - was_ns) / NS_PER_S, SHELL.longest_step_s)
        return Moment(
            before=before, after=self.control, effects=effects, second=second, moved_s=moved_s
        )

    def _flow_on(self, second: Second) -> None:
        nature, held = self.nature, self.control.setpoints
        pull = nature.ua_ratio * held.valve_ratio
        aim_c = nature.facility_c + 25.0 * second.load_ratio * (1.3 - min(pull, 1.2))
        share = -math.expm1(-second.gap_s / nature.lag_s)
        self.supply_c += share * (aim_c - self.supply_c)

    def _readings(self, second: Second) -> LoopReadings:
        held, wobble = self.control.setpoints, 0.05 * (-1) ** self.ticks
        power_w = 1000.0 * second.load_ratio
        flow_lpm = 675.0 * held.pump_ratio
        heat_w = 288 * power_w * 1.1
        rise_k = heat_w / (66.8 * flow_lpm)
        truth = {
            "supply_c": self.supply_c + wobble,
            "return_c": self.supply_c + rise_k + wobble,
            "secondary_flow_lpm": flow_lpm + wobble,
            "primary_supply_c": self.nature.facility_c,
            "dew_point_c": second.dew_point_c,
            "secondary_dp_kpa": 280.0 * held.pump_ratio**2,
            "supply_pressure_kpa": 150.0 + 280.0 * held.pump_ratio**2,
            "reservoir_level_ratio": 0.9,
        }
        return LoopReadings(
            at_s=self.at_unix_ns / NS_PER_S,
            cdu_age_s=(self.at_unix_ns - self.heard_unix_ns) / NS_PER_S,
            cdu={**truth, **second.lie},
            valve_ratio=held.valve_ratio,
            pump_ratio=held.pump_ratio,
            leak=second.leak,
            sled_share=1.0,
            sled_power_w=heat_w,
            chip_power_w=power_w,
            junction_c=self.supply_c
            + power_w * self.nature.resistance_k_per_w
            + second.junction_off_k,
            inlet_c=self.supply_c,
            sleds_flow_lpm=flow_lpm,
        )


Promise = Callable[[Moment], None]


def commands_are_finite_and_inside_the_limits(moment: Moment) -> None:
    for sent in moment.sent:
        assert 0.0 <= sent.action.valve_ratio <= 1.0
        assert SHELL.pump_least_ratio <= sent.action.pump_ratio <= 1.0
        assert 5.0 <= sent.action.supply_c <= 60.0
        assert math.isfinite(moment.now.flow_lpm)


def nothing_moves_faster_than_its_slew(moment: Moment) -> None:
    if not moment.before.steering:
        return
    for moved, rate in (
        (moment.now.valve_ratio - moment.held.valve_ratio, SHELL.valve_rate),
        (moment.now.pump_ratio - moment.held.pump_ratio, SHELL.pump_rate),
    ):
        assert -rate.down_per_s * moment.moved_s - EPS <= moved
        assert moved <= rate.up_per_s * moment.moved_s + EPS
    assert SHELL.pump_rate.up_per_s <= 0.05


def the_set_point_moves_two_kelvin_a_minute_or_flees_the_dew_point(moment: Moment) -> None:
    if not moment.before.steering:
        return
    floor_c = dew_floor_c(SHELL, moment.after.dew_point_c)
    assert moment.now.supply_c >= min(floor_c, 60.0) - EPS
    most_k = 2.0 / 60.0 * moment.moved_s + EPS
    # What stands beyond the limits, as after a wet hour, may come back at once.
    held_c = min(max(moment.held.supply_c, SHELL.supply_least_c), SHELL.supply_most_c)
    if moment.now.supply_c > floor_c + EPS:
        assert abs(moment.now.supply_c - held_c) <= most_k


def a_trip_is_lifted_by_a_person_only(moment: Moment) -> None:
    gone = {trip.reason for trip in moment.before.trips} - {
        trip.reason for trip in moment.after.trips
    }
    assert not gone or moment.second.reset
    levels = {trip.reason: trip.level for trip in moment.after.trips}
    for trip in moment.before.trips:
        if trip.reason in levels and not moment.second.reset:
            assert levels[trip.reason] >= trip.level


def an_interlock_beats_the_law_and_every_person(moment: Moment) -> None:
    if any(trip.level >= TripLevel.SHED for trip in moment.after.trips):
        assert moment.after.mode is Mode.FAILSAFE


def failsafe_never_cools_less(moment: Moment) -> None:
    """But for the dew point, which shuts the valve, and trips that more pumping makes worse."""
    if moment.after.mode is not Mode.FAILSAFE or not moment.before.steering:
        return
    pressed = {trip.reason for trip in moment.after.trips} & {
        TripReason.HIGH_PRESSURE,
    }
    if not pressed:
        assert moment.now.pump_ratio >= moment.held.pump_ratio - EPS
    dew_c = moment.after.dew_point_c
    dew_c = dew_c if math.isfinite(dew_c) else SHELL.dew_unknown_c
    supply_c = moment.after.estimate.supply.value_c
    near = supply_c - dew_c < SHELL.dew_close_k
    if not near:
        assert moment.now.valve_ratio >= moment.held.valve_ratio - EPS


def near_the_dew_point_the_valve_does_not_open(moment: Moment) -> None:
    if not moment.before.steering or not math.isfinite(moment.after.dew_point_c):
        return
    supply_c = moment.after.estimate.supply.value_c
    if supply_c - moment.after.dew_point_c < SHELL.dew_floor_k:
        assert moment.now.valve_ratio <= moment.held.valve_ratio + EPS


def a_leak_gets_no_more_pressure(moment: Moment) -> None:
    if TripReason.LEAK in {trip.reason for trip in moment.after.trips}:
        assert moment.now.pump_ratio <= max(moment.held.pump_ratio, SHELL.pump_least_ratio) + EPS


def everything_has_a_cause(moment: Moment) -> None:
    assert all(effect.cause for effect in moment.effects)


PROMISES: tuple[Promise, ...] = (
    commands_are_finite_and_inside_the_limits,
    nothing_moves_faster_than_its_slew,
    the_set_point_moves_two_kelvin_a_minute_or_flees_the_dew_point,
    a_trip_is_lifted_by_a_person_only,
    an_interlock_beats_the_law_and_every_person,
    failsafe_never_cools_less,
    near_the_dew_point_the_valve_does_not_open,
    a_leak_gets_no_more_pressure,
    everything_has_a_cause,
)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
@settings(max_examples=40)
@given(natures, stories)
def test_the_shell_keeps(promise: Promise, nature: Nature, story: list[Second]) -> None:
    for moment in Story(nature).tell(story):
        promise(moment)


@settings(max_examples=20)
@given(natures, stories)
def test_the_same_story_gives_the_same_commands(nature: Nature, story: list[Second]) -> None:
    once = [moment.effects for moment in Story(nature).tell(story)]
    assert once == [moment.effects for moment in Story(nature).tell(story)]


@settings(max_examples=20)
@given(natures, orders, st.floats(0.0, 1.0))
def test_more_than_five_seconds_without_word_is_failsafe_and_ends_at_full_pumps(
    nature: Nature, order: ManualOrder | None, load_ratio: float
) -> None:
    story = Story(nature)
    silent = Second(silent=True, order=order, load_ratio=load_ratio)
    modes = [moment.after.mode for moment in story.tell([silent] * 40)]
    assert modes[5:] == [Mode.FAILSAFE] * 35
    assert story.control.setpoints.pump_ratio >= 0.8


@settings(max_examples=20)
@given(natures, st.sampled_from([math.nan, math.inf, -math.inf]))
def test_no_number_from_every_sensor_is_failsafe_not_a_fault(nature: Nature, word: float) -> None:
    story = Story(nature)
    mute = Second(lie=dict.fromkeys(SETTINGS.estimate.sensors, word))
    for moment in story.tell([mute] * 10):
        everything_has_a_cause(moment)
    named = {fault.sensor for fault in story.control.sensor_faults}
    assert {"supply_c", "return_c", "secondary_flow_lpm"} <= named


@pytest.mark.parametrize(
    ("sensor", "said", "unit"),
    [
        ("supply_c", 313.15, "kelvin"),
        ("return_c", 323.15, "kelvin"),
        ("dew_point_c", 287.15, "kelvin"),
        ("supply_pressure_kpa", 47.0, "psi"),
        ("secondary_dp_kpa", 25.5, "psi"),
        ("secondary_flow_lpm", 140.0, "US gal/min"),
    ],
)
def test_a_device_that_changes_its_unit_is_named_and_trips_nothing(
    sensor: str, said: float, unit: str
) -> None:
    story = Story(Nature())
    calm = Second(order=ManualOrder(valve_ratio=0.5, pump_ratio=0.8, supply_c=40.0))
    for _ in story.tell([calm] * 30):
        pass
    for _ in story.tell([replace(calm, lie={sensor: said})] * 6):
        pass
    reasons = {fault.sensor: fault.reason for fault in story.control.sensor_faults}
    assert unit in reasons[sensor]
    assert story.control.trips == ()
