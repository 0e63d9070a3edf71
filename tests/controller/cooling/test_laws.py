"""What every law keeps, whichever is chosen."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.cooling.control import LoopSetpoints
from controller.cooling.estimate import HeatChange, LoopInputs
from controller.cooling.laws import LAWS, chosen
from controller.cooling.laws.law import Foresight, LawName, LawState
from controller.cooling.settings import CoolingSettings
from thermal.control import horizon
from thermal.model.identity import Identified

CALM = LoopInputs(
    at_s=0.0,
    dt_s=1.0,
    supply_c=40.0,
    return_c=49.0,
    flow_lpm=400.0,
    facility_c=31.0,
    dew_point_c=14.0,
    heat_w=240e3,
    chip_power_w=700.0,
    junction_c=66.0,
    valve_ratio=0.6,
    pump_ratio=0.65,
    dp_kpa=110.0,
    pressure_kpa=260.0,
    level_ratio=0.9,
    alone=False,
    leak=False,
    unusable=None,
    substituted=False,
    faults=(),
    age_s=1.0,
)
HELD = LoopSetpoints(supply_c=40.0, valve_ratio=0.6, pump_ratio=0.65, flow_lpm=400.0)
READINGS = (
    *("supply_c", "return_c", "flow_lpm", "facility_c", "dew_point_c", "junction_c"),
    *("chip_power_w", "valve_ratio", "pump_ratio", "dp_kpa"),
)
odd = st.one_of(st.just(math.nan), st.floats(-50.0, 150.0))


def run(name: LawName, inputs: LoopInputs, cycles: int = 3) -> tuple[LawState, LoopSetpoints]:
    law, tuned = LAWS[name], CoolingSettings(law=name)
    state = LawState()
    for _ in range(cycles):
        state = law.observe(tuned, state, inputs)
    state = law.transfer(tuned, state, inputs, supply_c=40.0, held=HELD)
    return law.step(tuned, state, inputs, supply_c=40.0, held=HELD)


def test_the_settings_choose_the_law() -> None:
    assert set(LAWS) == set(LawName)
    assert chosen(CoolingSettings(law=LawName.PI)) is LAWS[LawName.PI]


@pytest.mark.parametrize("name", LawName)
def test_taking_over_moves_the_actuators_by_less_than_a_hundredth(name: LawName) -> None:
    _, wish = run(name, CALM)
    assert abs(wish.valve_ratio - HELD.valve_ratio) < 0.01
    if name is not LawName.PI:  # its pumps follow a measured pressure difference
        assert abs(wish.pump_ratio - HELD.pump_ratio) < 0.01 + 1e-9


@pytest.mark.parametrize("name", LawName)
def test_too_warm_opens_the_valve(name: LawName) -> None:
    law, tuned = LAWS[name], CoolingSettings(law=name)
    state = law.observe(tuned, LawState(), CALM)
    state = law.transfer(tuned, state, CALM, supply_c=40.0, held=HELD)
    held = HELD
    for _ in range(20):
        inputs = replace(CALM, supply_c=43.0, valve_ratio=held.valve_ratio)
        state = law.observe(tuned, state, inputs)
        state, held = law.step(tuned, state, inputs, supply_c=40.0, held=held)
    assert held.valve_ratio > HELD.valve_ratio + 0.05


@pytest.mark.parametrize("name", LawName)
@settings(max_examples=25)
@given(st.fixed_dictionaries(dict.fromkeys(READINGS, odd)))
def test_no_reading_breaks_a_law(name: LawName, readings: dict[str, float]) -> None:
    _, wish = run(name, replace(CALM, **readings))  # type: ignore[arg-type]
    assert wish.supply_c == 40.0


def test_without_an_answer_in_time_feedforward_takes_over_without_a_bump(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    law, tuned = LAWS[LawName.MPC], CoolingSettings(law=LawName.MPC)
    state = law.observe(tuned, LawState(), CALM)
    state, wish = law.step(tuned, state, CALM, supply_c=40.0, held=HELD)
    assert not state.foresight.fallen_back
    with monkeypatch.context() as patched:
        patched.setattr(horizon, "improved", lambda *_args, **_rest: None)
        state, fallen = law.step(tuned, state, CALM, supply_c=40.0, held=wish)
    assert state.foresight.fallen_back
    assert abs(fallen.valve_ratio - wish.valve_ratio) < 0.01
    assert abs(fallen.pump_ratio - wish.pump_ratio) < 0.01
    state, again = law.step(tuned, state, CALM, supply_c=40.0, held=fallen)
    assert not state.foresight.fallen_back
    assert abs(again.valve_ratio - fallen.valve_ratio) < 0.01


def steps(state: LawState, inputs: LoopInputs, cycles: int = 4) -> float:
    """Where the predictive law has the valve after some cycles in which nothing else changes."""
    tuned, held = CoolingSettings(law=LawName.MPC), HELD
    for _ in range(cycles):
        state, held = LAWS[LawName.MPC].step(tuned, state, inputs, supply_c=40.0, held=held)
    return held.valve_ratio


def test_an_announced_load_opens_the_valve_before_it_comes() -> None:
    announced = replace(CALM, announced=(HeatChange(in_s=5.0, heat_w=100e3),))
    state = LAWS[LawName.MPC].observe(CoolingSettings(), LawState(), CALM)
    assert steps(state, announced) > steps(state, CALM) + 0.0005


def known_after(*inputs: LoopInputs) -> Foresight:
    law, tuned = LAWS[LawName.MPC], CoolingSettings(law=LawName.MPC)
    state = LawState()
    for one in inputs:
        state = law.observe(tuned, state, one)
    return state.foresight


def test_telemetry_that_is_heard_again_moves_no_model() -> None:
    later = replace(CALM, at_s=1.0, supply_c=40.4)
    again = replace(later, at_s=2.0, age_s=2.0, dt_s=1.0)
    once, twice = known_after(CALM, later), known_after(CALM, later, again)
    assert once.memory != known_after(CALM).memory
    assert (twice.memory, twice.doubt) == (once.memory, once.doubt)


def test_telemetry_that_was_lost_is_made_up_for_in_one_leap() -> None:
    """Nobody knows in which of the lost seconds the heat rose: each is as likely."""

    def heat_w(*inputs: LoopInputs) -> float:
        known = known_after(CALM, *inputs)
        assert known.known_s == 4.0
        assert known.memory is not None
        return known.memory.sled_heat_w

    def rises(at: int) -> float:
        seconds = [replace(CALM, at_s=float(second)) for second in range(1, 5)]
        return heat_w(*(replace(one, heat_w=360e3) if one.at_s >= at else one for one in seconds))

    leap_w = heat_w(replace(CALM, heat_w=360e3, at_s=4.0))
    assert leap_w == pytest.approx(np.mean([rises(at) for at in range(1, 5)]), rel=0.01)


def test_noise_of_the_flow_meter_moves_no_model() -> None:
    noisy = [
        replace(CALM, at_s=float(n), flow_lpm=400.0 * (1.0 + 0.02 * (-1) ** n)) for n in range(60)
    ]
    calm = [replace(CALM, at_s=float(n)) for n in range(60)]
    one, other = known_after(*noisy), known_after(*calm)
    assert one.lpm_per_speed == pytest.approx(other.lpm_per_speed, rel=0.005)
    # A pump that stops is no noise: a third of the flow is gone, and believed to be.
    fallen = known_after(*calm, replace(CALM, at_s=60.0, flow_lpm=270.0))
    assert fallen.lpm_per_speed == pytest.approx(270.0 / CALM.pump_ratio)


def test_pumps_whose_speed_is_silent_for_a_while_are_believed_again() -> None:
    silent = replace(CALM, at_s=1.0, pump_ratio=math.nan)
    back = known_after(CALM, silent, replace(CALM, at_s=2.0), replace(CALM, at_s=3.0))
    assert back.lpm_per_speed == pytest.approx(CALM.flow_lpm / CALM.pump_ratio)
    # Who begins while it is silent has to learn it first.
    late = known_after(silent, replace(CALM, at_s=2.0), replace(CALM, at_s=3.0))
    assert late.lpm_per_speed == pytest.approx(CALM.flow_lpm / CALM.pump_ratio)


def warmer(valve_ratio: float, supply_c: float) -> tuple[LawState, LoopInputs]:
    """A loop whose valve has been at rest for long, and the last that was seen of it."""
    law, tuned = LAWS[LawName.MPC], CoolingSettings(law=LawName.MPC)
    held, state, now = replace(HELD, valve_ratio=valve_ratio), LawState(), CALM
    for second in range(30):
        now = replace(CALM, at_s=float(second), supply_c=supply_c)
        state, _ = law.step(tuned, law.observe(tuned, state, now), now, supply_c=40.0, held=held)
    return state, now


@pytest.mark.parametrize("valve_ratio", [0.6, 0.606, 0.595])
def test_a_valve_at_rest_is_told_to_go_beyond_its_stiction_or_not_at_all(
    valve_ratio: float,
) -> None:
    law, tuned = LAWS[LawName.MPC], CoolingSettings(law=LawName.MPC)
    held = replace(HELD, valve_ratio=valve_ratio)
    moves = []
    for supply_c in (39.6, 39.9, 40.0, 40.1, 40.4):
        state, now = warmer(valve_ratio, supply_c)
        _, wish = law.step(tuned, state, now, supply_c=40.0, held=held)
        moves.append(wish.valve_ratio - CALM.valve_ratio)
    stayed = valve_ratio - CALM.valve_ratio
    for move in moves:
        beyond = abs(move) > tuned.model.valve.stiction_ratio
        assert beyond or move == pytest.approx(stayed)
    assert moves == sorted(moves)


def test_the_model_has_the_pipes_that_the_loop_was_found_to_have() -> None:
    model = CoolingSettings().model

    def pipes_l(transit_s: float, sigma_s: float) -> tuple[float, float]:
        found = Identified(transit_s=transit_s, transit_sigma=sigma_s)
        after = known_after(CALM, replace(CALM, at_s=1.0, identified=found)).memory
        assert after is not None
        volumes = (after.supply_pipe, after.return_pipe)
        supply_l, return_l = (sum(litres for litres, _ in pipe) for pipe in volumes)
        return supply_l - model.supply_pipe_l, return_l - model.return_pipe_l

    assert pipes_l(7.1, 0.5) == pytest.approx((0.0, 0.0), abs=1e-6)
    assert pipes_l(9.0, 0.5) == pytest.approx((18.0, 18.0))
    assert pipes_l(9.0, 3.0) == pytest.approx((0.0, 0.0), abs=1e-6)
    # However odd the fit, pipes keep half of what the data sheet says.
    assert min(pipes_l(0.0, 0.5)) == pytest.approx(-0.5 * model.return_pipe_l)


def test_a_model_that_has_just_begun_slows_no_pumps() -> None:
    law, tuned = LAWS[LawName.MPC], CoolingSettings(law=LawName.MPC)
    idle = replace(CALM, heat_w=80e3, return_c=43.0, chip_power_w=200.0, junction_c=48.0)
    held = replace(HELD, pump_ratio=0.9)
    state = LawState()
    speeds = []
    for second in range(60):
        now = replace(idle, at_s=float(second), pump_ratio=held.pump_ratio)
        state, held = law.step(tuned, law.observe(tuned, state, now), now, supply_c=40.0, held=held)
        speeds.append(held.pump_ratio)
    young = round(tuned.mpc.young_s)
    assert min(speeds[:young]) >= 0.9
    assert speeds[-1] < 0.85


def test_heat_that_swings_is_not_chased() -> None:
    law, tuned = LAWS[LawName.MPC], CoolingSettings(law=LawName.MPC)

    def wish_after(swings: int) -> float:
        state = law.observe(tuned, LawState(), CALM)
        for second in range(40 * swings):
            heat_w = 300e3 if second // 20 % 2 else 180e3
            state = law.observe(tuned, state, replace(CALM, heat_w=heat_w))
        memory = LawState(
            foresight=replace(
                law.observe(tuned, LawState(), CALM).foresight,
                mean_heat_w=state.foresight.mean_heat_w,
                above_w=state.foresight.above_w,
                below_w=state.foresight.below_w,
            ),
            facility_c=31.0,
        )
        risen = replace(CALM, heat_w=300e3)
        return steps(memory, risen)

    assert wish_after(6) < wish_after(0) - 0.001
