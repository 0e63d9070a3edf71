import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from thermal import pump
from thermal.manifold import SystemCurve
from thermal.plant.pumps import Pumps, SystemCurves
from thermal.plant.settings import PlantSettings

CHIPS = (288, 1152, 96)
SETTINGS = [PlantSettings.sized(chips) for chips in CHIPS]
PUMPS = Pumps(SETTINGS)
DRIVE = SETTINGS[0].drive
ONE = Pumps(SETTINGS[:1])
NEW = np.ones((3, 2))


def system(scale: float = 1.0) -> SystemCurves:
    design = np.array([540.0 * chips / 288 for chips in CHIPS])
    return SystemCurves(
        coefficient=scale * 180.0 / design**1.85, knee_lpm=0.3 * design, exponent=1.85
    )


ratio = st.just(0.0) | st.floats(0.05, 1.0)


@given(st.lists(ratio, min_size=6, max_size=6), st.floats(0.2, 5.0))
@example([0.0, 0.0, 0.0, 0.0, 0.1875, 0.078125], 0.25)  # where a step once was next to none
def test_all_loops_at_once_meet_where_each_would_alone(speeds: list[float], scale: float) -> None:
    speed, curves = np.array(speeds).reshape(3, 2), system(scale)
    flow, head = PUMPS.balance(speed, NEW, curves, np.zeros(3))
    for loop, settings in enumerate(SETTINGS):
        alone = pump.operating_point(
            settings.pump,
            speed[loop].tolist(),
            SystemCurve(
                coefficient=float(curves.coefficient[loop]), knee_lpm=float(curves.knee_lpm[loop])
            ),
        )
        assert (flow[loop], head[loop]) == pytest.approx(alone, rel=1e-5, abs=1e-6)


def test_a_shut_loop_stands_at_the_shutoff_head_and_its_neighbours_flow() -> None:
    curves = system()
    curves.coefficient[1] = math.inf
    flow, head = PUMPS.balance(np.ones((3, 2)), NEW, curves, np.zeros(3))
    assert flow[1] == 0.0
    assert head[1] == SETTINGS[1].pump.shutoff_kpa
    assert (flow[[0, 2]] > 0.0).all()


def test_a_worn_pump_gives_less_and_a_badly_worn_one_is_held_shut_by_its_check_valve() -> None:
    speed = np.full((3, 2), 0.85)
    flow, _ = PUMPS.balance(speed, NEW, system(), np.zeros(3))
    worn = NEW - np.array([0.2, 0.0])
    less, head = PUMPS.balance(speed, worn, system(), np.zeros(3))
    assert (less < flow).all()
    own = PUMPS.flow_at_head_lpm(speed, worn, head)
    assert (own[:, 0] < own[:, 1]).all()
    assert own.sum(axis=1) == pytest.approx(less, rel=1e-6)
    dead = NEW - np.array([0.9, 0.0])
    _, head = PUMPS.balance(speed, dead, system(), np.zeros(3))
    assert (PUMPS.flow_at_head_lpm(speed, dead, head)[:, 0] == 0.0).all()


@given(st.floats(0.05, 1.0), st.floats(0.0, 700.0))
def test_power_falls_with_the_cube_of_speed(speed: float, flow_lpm: float) -> None:
    full = ONE.electric_w(np.ones((1, 1)), np.full((1, 1), flow_lpm))
    slower = ONE.electric_w(np.full((1, 1), speed), np.full((1, 1), flow_lpm * speed))
    assert slower == pytest.approx(full * speed**3)


def next_speed(speed: float, command: float, *, driven: bool, dt_s: float) -> float:
    speeds, commands = np.full((1, 2), speed), np.full((1, 2), command)
    return float(ONE.next_speed(speeds, commands, np.full((1, 2), driven), dt_s)[0, 1])


@given(ratio, st.floats(-1.0, 2.0), st.floats(0.01, 5.0), st.booleans())
def test_speed_stays_in_bounds_and_never_ramps_faster_than_the_drive(
    speed: float, command: float, dt_s: float, driven: bool
) -> None:
    after = next_speed(speed, command, driven=driven, dt_s=dt_s)
    assert 0.0 <= after <= 1.0
    if driven:
        assert abs(after - speed) <= dt_s / DRIVE.ramp_s + 1e-12


def test_a_tripped_pump_coasts_down_with_its_time_constant() -> None:
    speed = 1.0
    for _ in range(8):
        speed = next_speed(speed, 1.0, driven=False, dt_s=0.25)
    assert speed == pytest.approx(math.exp(-1.0))
    assert next_speed(0.001, 1.0, driven=False, dt_s=0.25) == 0.0


def test_a_running_pump_never_idles_below_its_least_speed() -> None:
    speed = 1.0
    for _ in range(200):
        speed = next_speed(speed, 0.0, driven=True, dt_s=0.25)
    assert speed == pytest.approx(DRIVE.minimum_ratio)
