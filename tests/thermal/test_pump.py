import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal.manifold import SystemCurve
from thermal.pump import (
    PumpCurve,
    flow_at_head_lpm,
    head_kpa,
    operating_point,
)

CURVE = PumpCurve()
SYSTEM = SystemCurve(coefficient=180.0 / 540.0**1.85, knee_lpm=162.0)
ratios = st.floats(0.0, 1.0)


@given(st.floats(0.05, 1.0), st.floats(0.0, 700.0))
def test_affinity_laws_hold(speed: float, flow_lpm: float) -> None:
    full = head_kpa(CURVE, 1.0, flow_lpm)
    assert head_kpa(CURVE, speed, flow_lpm * speed) == pytest.approx(full * speed**2)


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


def test_two_pumps_move_the_design_flow_below_full_speed() -> None:
    flow, head = operating_point(CURVE, (0.85, 0.85), SYSTEM)
    assert flow == pytest.approx(540.0, rel=0.01)
    assert head == pytest.approx(180.0, rel=0.02)


def test_a_pump_left_alone_moves_the_share_that_the_reference_names() -> None:
    both, _ = operating_point(CURVE, (0.85, 0.85), SYSTEM)
    alone, _ = operating_point(CURVE, (0.85, 0.0), SYSTEM)
    assert 0.55 <= alone / both <= 0.65
    fastest, _ = operating_point(CURVE, (1.0, 0.0), SYSTEM)
    assert fastest / both == pytest.approx(0.75, abs=0.02)


def test_a_shut_system_stands_at_the_shutoff_head() -> None:
    shut = SystemCurve(coefficient=math.inf, knee_lpm=162.0)
    assert operating_point(CURVE, (1.0, 0.5), shut) == (0.0, CURVE.shutoff_kpa)
