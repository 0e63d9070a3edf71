"""What is learnt of a heat exchanger from its supply."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal.model.observer import ExchangerDoubt, Look, ObserverSettings, looked

SETTINGS = ObserverSettings()


def learnt(
    *, settled_per_log_ua_k: float, error_k: float, seconds: int = 60
) -> tuple[ExchangerDoubt, float]:
    """A model whose exchanger is off by so much, watched for a while; the last gap."""
    doubt, supply_k, sensed_k, gap_k = ExchangerDoubt(), 0.0, 0.0, 0.0
    for _ in range(seconds):
        missed_k = error_k - doubt.offset_k - doubt.ua_log_ratio * settled_per_log_ua_k
        supply_k += 0.2 * (missed_k - supply_k)
        sensed_k += 0.28 * (supply_k - sensed_k)
        gap_k = sensed_k
        correction = looked(
            SETTINGS,
            doubt,
            Look(
                gap_k=gap_k,
                seconds=1,
                supply_share=0.2,
                sensor_share=0.28,
                settled_per_log_ua_k=settled_per_log_ua_k,
            ),
        )
        supply_k -= correction.supply_k
        sensed_k -= correction.sensed_k
        doubt = correction.doubt
    return doubt, gap_k


def test_a_gap_that_ua_does_not_show_in_becomes_an_offset() -> None:
    doubt, gap_k = learnt(settled_per_log_ua_k=0.0, error_k=1.0)
    assert doubt.offset_k == pytest.approx(1.0, abs=0.1)
    assert doubt.ua_log_ratio == pytest.approx(0.0, abs=1e-9)
    assert abs(gap_k) < 0.05


def test_where_ua_shows_strongly_it_is_doubted_first() -> None:
    low, _ = learnt(settled_per_log_ua_k=-0.5, error_k=1.0)
    high, _ = learnt(settled_per_log_ua_k=-8.0, error_k=1.0)
    assert abs(high.ua_log_ratio * 8.0) > abs(low.ua_log_ratio * 0.5)
    assert high.ua_ratio < 1.0, "warmer than foreseen means less UA"


@given(
    st.lists(st.floats(-100.0, 100.0), max_size=40),
    st.floats(-20.0, 5.0),
    st.integers(0, 5),
)
def test_whatever_is_seen_the_beliefs_stay_within_their_ends(
    gaps_k: list[float], per_log_ua_k: float, seconds: int
) -> None:
    doubt = ExchangerDoubt()
    for gap_k in gaps_k:
        look = Look(
            gap_k=gap_k,
            seconds=seconds,
            supply_share=0.3,
            sensor_share=0.28,
            settled_per_log_ua_k=per_log_ua_k,
        )
        doubt = looked(SETTINGS, doubt, look).doubt
        assert abs(doubt.offset_k) <= SETTINGS.most_offset_k
        assert abs(doubt.ua_log_ratio) <= SETTINGS.most_ua_log_ratio
        assert all(map(math.isfinite, doubt.spread))
