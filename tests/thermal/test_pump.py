import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal.manifold import SystemCurve
from thermal.pump import (
    PumpCurve,
    PumpDrive,
    electric_w,
    flow_at_head_lpm,
    head_kpa,
    next_speed,
    operating_point,
)

CURVE, DRIVE = PumpCurve(), PumpDrive()
SYSTEM = SystemCurve(coefficient=180.0 / 540.0**1.85, knee_lpm=162.0)
ratios = st.floats(0.0, 1.0)


@given(st.floats(0.05, 1.0), st.floats(0.0, 700.0))
def test_affinity_laws_hold(speed: float, flow_lpm: float) -> None:
    full = head_kpa(CURVE, 1.0, flow_lpm)
    assert head_kpa(CURVE, speed, flow_lpm * speed) == pytest.approx(full * speed**2)
    assert electric_w(DRIVE, CURVE, speed, flow_lpm * speed) == pytest.approx(
        electric_w(DRIVE, CURVE, 1.0, flow_lpm) * speed**3
    )


@given(st.lists(ratios, min_size=1, max_size=4))
def test_the_operating_point_balances_pumps_and_system(speeds: list[float]) -> None:
    flow, head = operating_point(CURVE, speeds, SYSTEM)
    given_lpm = sum(flow_at_head_lpm(CURVE, speed, head) for speed in speeds)
    assert flow == pytest.approx(given_lpm, rel=1e-4, abs=2e-2)
    assert 0.0 <= head <= CURVE.shutoff_kpa * max(speeds) ** 2 + 1e-9


@given(ratios, ratios, ratios)
def test_a_faster_pump_never_moves_less(one: float, other: float, beside: float) -> None:
    low, high = sorted((one, other))
    less, more = (operating_point(CURVE, (speed, beside), SYSTEM)[0] for speed in (low, high))
    assert less <= more + 1e-3


def test_one_pump_alone_carries_the_design_flow() -> None:
    flow, head = operating_point(CURVE, (1.0, 0.0), SYSTEM)
    assert flow == pytest.approx(540.0, rel=0.01)
    assert head == pytest.approx(180.0, rel=0.02)


def test_a_shut_system_stands_at_the_shutoff_head() -> None:
    shut = SystemCurve(coefficient=math.inf, knee_lpm=162.0)
    assert operating_point(CURVE, (1.0, 0.5), shut) == (0.0, CURVE.shutoff_kpa)


@given(ratios, st.floats(-1.0, 2.0), st.floats(0.01, 5.0), st.booleans())
def test_speed_stays_in_bounds_and_never_ramps_faster_than_the_drive(
    speed: float, command: float, dt_s: float, driven: bool
) -> None:
    after = next_speed(DRIVE, speed, command, driven=driven, dt_s=dt_s)
    assert 0.0 <= after <= 1.0
    if driven:
        assert abs(after - speed) <= dt_s / DRIVE.ramp_s + 1e-12


def test_a_tripped_pump_coasts_down_with_its_time_constant() -> None:
    speed = 1.0
    for _ in range(8):
        speed = next_speed(DRIVE, speed, 1.0, driven=False, dt_s=0.25)
    assert speed == pytest.approx(math.exp(-1.0))
    assert next_speed(DRIVE, 0.001, 1.0, driven=False, dt_s=0.25) == 0.0


def test_a_running_pump_never_idles_below_its_least_speed() -> None:
    speed = 1.0
    for _ in range(200):
        speed = next_speed(DRIVE, speed, 0.0, driven=True, dt_s=0.25)
    assert speed == pytest.approx(DRIVE.minimum_ratio)
