"""The vote on supply temperature and flow: liars are outvoted at once, sound sensors never."""

import math
from collections.abc import Iterable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.cooling import vote
from controller.cooling.settings import VoteSettings
from controller.cooling.vote import FlowVote, SupplyVote

SETTINGS = VoteSettings()


class Well:
    """A sensor of the CDU and the sleds' inlets, 8 s behind it, with noise and a built bias."""

    def __init__(self, *, bias_k: float = 0.0, seed: int = 1) -> None:
        self.state = SupplyVote()
        self.inlet_c = math.nan
        self.bias_k = bias_k
        self.rng = np.random.default_rng(seed)

    def run(
        self, truth_c: Iterable[float], *, off_k: float = 0.0, model_off_k: float = 0.0
    ) -> list[SupplyVote]:
        seen = []
        for supply_c in truth_c:
            before = self.inlet_c if math.isfinite(self.inlet_c) else supply_c
            self.inlet_c = before + (1.0 - math.exp(-1.0 / 8.0)) * (supply_c - before)
            noise_k = float(np.round(self.rng.normal(0.0, 0.05), 1))
            self.state = vote.supply(
                SETTINGS,
                self.state,
                sensor_c=supply_c + self.bias_k + noise_k + off_k,
                inlet_c=self.inlet_c,
                model_c=supply_c + model_off_k,
                dt_s=1.0,
            )
            seen.append(self.state)
        return seen


@settings(max_examples=20)
@given(st.floats(-0.5, 0.5), st.integers(0, 1000))
def test_sound_sensors_are_believed_through_load_steps(bias_k: float, seed: int) -> None:
    well = Well(bias_k=bias_k, seed=seed)
    calm = [40.0] * 240
    rise = [
        40.0 + 3.0 * math.sin(second / 12.0) * math.exp(-second / 40.0) for second in range(120)
    ]
    assert not any(seen.substituted for seen in well.run([*calm, *rise, *calm]))


def test_a_cold_start_is_no_fault_of_the_sensor() -> None:
    well = Well()
    well.inlet_c = 38.5  # the headers have not been flushed yet
    assert not any(seen.substituted for seen in well.run([40.0] * 60))


@settings(max_examples=20)
@given(st.floats(1.5, 10.0), st.booleans(), st.integers(0, 1000))
def test_a_bias_is_outvoted_within_fifteen_seconds(off_k: float, low: bool, seed: int) -> None:
    well = Well(seed=seed)
    well.run([40.0] * 240)
    late = well.run([40.0] * 60, off_k=-off_k if low else off_k)[15:]
    assert all(seen.substituted for seen in late)
    assert all(abs(seen.value_c - 40.0) < 0.3 for seen in late)
    assert late[-1].words == vote.DISAGREES


def test_a_drift_of_three_kelvin_an_hour_is_found_at_half_a_kelvin() -> None:
    well = Well()
    well.run([40.0] * 240)
    worst_k = 0.0
    for second in range(1800):
        [seen] = well.run([40.0], off_k=-3.0 * second / 3600.0)
        worst_k = max(
            worst_k, abs(seen.value_c - 40.0) if seen.substituted else 3.0 * second / 3600
        )
    assert seen.substituted
    assert worst_k < 0.6


def test_a_frozen_sensor_is_outvoted_when_the_loop_moves() -> None:
    well = Well()
    well.run([40.0] * 240)
    moving = [40.0 + 0.2 * second for second in range(40)]
    seen = [well.run([truth], off_k=40.0 - truth)[0] for truth in moving]
    assert seen[-1].substituted


def test_the_balance_decides_between_a_sensor_and_inlets_that_are_far_apart() -> None:
    well = Well()
    well.run([40.0] * 240)
    well.inlet_c = 50.0
    state = vote.supply(SETTINGS, well.state, sensor_c=40.0, inlet_c=52.0, model_c=40.5, dt_s=5.0)
    assert not state.substituted
    assert state.words == vote.INLETS_LIE
    assert state.value_c == 40.0


def test_a_sensor_alone_must_fit_the_balance() -> None:
    alone = vote.supply(
        SETTINGS, SupplyVote(), sensor_c=40.0, inlet_c=math.nan, model_c=46.0, dt_s=1.0
    )
    assert math.isnan(alone.value_c)
    fits = vote.supply(
        SETTINGS, SupplyVote(), sensor_c=40.0, inlet_c=math.nan, model_c=41.0, dt_s=1.0
    )
    assert fits.value_c == 40.0


@given(st.floats(), st.floats(), st.floats(), st.floats(0.0, 10.0))
def test_any_readings_give_one_of_them_or_nothing(
    sensor_c: float, inlet_c: float, model_c: float, dt_s: float
) -> None:
    said = [value for value in (sensor_c, inlet_c) if math.isfinite(value)]
    if len(said) < 2 and math.inf in (abs(sensor_c), abs(inlet_c)):
        return  # infinities never get past the range checks
    state = vote.supply(
        SETTINGS, SupplyVote(), sensor_c=sensor_c, inlet_c=inlet_c, model_c=model_c, dt_s=dt_s
    )
    assert (
        math.isnan(state.value_c)
        or any(abs(state.value_c - one) <= SETTINGS.most_bias_k + 1e-6 * abs(one) for one in said)
        or math.isinf(state.value_c)
    )


def test_a_meter_that_reads_gallons_is_outvoted_and_a_real_loss_is_not() -> None:
    state = FlowVote()
    for _ in range(3):
        state = vote.flow(SETTINGS, state, 142.0, 540.0, 1.0)
    assert state.outvoted
    for _ in range(3):
        state = vote.flow(SETTINGS, state, 142.0, 150.0, 1.0)
    assert not state.outvoted
    assert not vote.flow(SETTINGS, FlowVote(), 100.0, math.nan, 60.0).outvoted


def test_who_speaks_late_is_known_to() -> None:
    well = Well()
    assert not any(seen.late for seen in well.run([40.0] * 60))
    voices = {"inlet_c": 40.0, "model_c": 40.0, "dt_s": 1.0}
    silent = vote.supply(SETTINGS, well.state, sensor_c=math.nan, **voices)
    assert silent.substituted
    assert silent.late
    assert not vote.supply(SETTINGS, silent, sensor_c=40.0, **voices).late


def test_how_far_a_sensor_is_off_is_sure_only_at_rest() -> None:
    well = Well(bias_k=0.3)
    assert vote.apart_k(SETTINGS, well.run([40.0] * 30)[-1], 41.0, 40.0) == 0.0
    rested = well.run([40.0] * 240)[-1]
    shown_c = 40.3
    assert vote.apart_k(SETTINGS, rested, shown_c, well.inlet_c) < 0.1
    assert vote.apart_k(SETTINGS, rested, shown_c, well.inlet_c + 0.5) > 0.2
    moving = well.run([40.0 + 0.1 * second for second in range(30)])[-1]
    assert vote.apart_k(SETTINGS, moving, 43.2, well.inlet_c) == 0.0
    assert vote.apart_k(SETTINGS, rested, shown_c, math.nan) == 0.0
