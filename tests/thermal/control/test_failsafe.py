import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal.control.failsafe import (
    FailsafeReason,
    SensorLimits,
    SensorTrust,
    distrust,
    floor,
    observe,
)

LIMITS = SensorLimits(low=5.0, high=80.0, most_per_s=3.0, stale_s=5.0, frozen_s=60.0, trust_s=3.0)


def fed(values: list[float], trust: SensorTrust | None = None, start_s: float = 0.0) -> SensorTrust:
    """One reading a second, each known at once."""
    now = trust or distrust(LIMITS, start_s)
    for second, value in enumerate(values):
        now = observe(LIMITS, now, value, start_s + second, start_s + second)
    return now


def reason(trust: SensorTrust) -> FailsafeReason | None:
    return None if trust.failsafe is None else trust.failsafe.reason


def trusted() -> SensorTrust:
    return fed([40.0, 40.1, 40.0, 40.1, 40.0])


def test_a_sensor_starts_distrusted_and_earns_trust() -> None:
    assert reason(distrust(LIMITS, 0.0)) is FailsafeReason.UNPROVEN
    assert reason(fed([40.0, 40.1, 40.0])) is FailsafeReason.UNPROVEN
    assert reason(trusted()) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, FailsafeReason.INVALID),
        (math.inf, FailsafeReason.INVALID),
        (65535.0, FailsafeReason.OUT_OF_RANGE),
        (4.9, FailsafeReason.OUT_OF_RANGE),
        (50.0, FailsafeReason.TOO_FAST),
    ],
)
def test_an_implausible_reading_loses_trust_with_its_reason(
    value: float, expected: FailsafeReason
) -> None:
    trust = fed([value], trusted(), start_s=5.0)
    assert reason(trust) is expected
    assert trust.failsafe is not None
    assert trust.failsafe.since_s == 5.0


def test_silence_is_stale_even_when_the_last_reading_is_repeated() -> None:
    trust = trusted()
    for second in range(5, 10):
        trust = observe(LIMITS, trust, 40.0, 4.0, float(second))
        assert reason(trust) is None
    assert reason(observe(LIMITS, trust, 40.0, 4.0, 9.1)) is FailsafeReason.STALE


def test_a_frozen_sensor_is_found_and_a_calm_one_is_not() -> None:
    assert reason(fed([40.0] * 62, trusted(), start_s=5.0)) is FailsafeReason.FROZEN
    assert reason(fed([40.0, 40.1] * 60, trusted(), start_s=5.0)) is None


def test_trust_comes_back_only_after_a_run_of_good_readings() -> None:
    failed = fed([99.0], trusted(), start_s=5.0)
    assert reason(fed([40.0, 40.1, 40.0], failed, start_s=6.0)) is FailsafeReason.OUT_OF_RANGE
    assert reason(fed([40.0, 40.1, 40.0, 40.1], failed, start_s=6.0)) is None
    flapping = fed([40.0, 99.0] * 20, failed, start_s=6.0)
    assert reason(flapping) is FailsafeReason.OUT_OF_RANGE
    assert flapping.failsafe is not None
    assert flapping.failsafe.since_s == 5.0


def test_a_true_step_is_believed_again_at_its_new_level() -> None:
    stepped = fed([50.0, 50.1, 50.0, 50.1, 50.0], trusted(), start_s=5.0)
    assert reason(stepped) is None
    assert stepped.value == 50.0


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(allow_nan=True, allow_infinity=True))))
def test_a_trusted_value_is_always_finite_in_range_and_fresh(
    readings: list[tuple[float, float]],
) -> None:
    trust, now_s = distrust(LIMITS, 0.0), 0.0
    for gap_s, value in readings:
        now_s += gap_s
        trust = observe(LIMITS, trust, value, now_s, now_s)
        if trust.failsafe is None:
            assert LIMITS.low <= trust.value <= LIMITS.high
            assert now_s - trust.read_at_s <= LIMITS.stale_s


def test_the_worst_level_of_a_set_is_the_floor() -> None:
    mild = distrust(SensorLimits(low=0.0, high=1.0, level=0.5), 0.0).failsafe
    grave = distrust(SensorLimits(low=0.0, high=1.0, level=0.9), 0.0).failsafe
    assert floor([None, mild, grave]) == 0.9
    assert floor([None]) == 0.0
