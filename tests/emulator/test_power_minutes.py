import numpy as np
import pytest

from emulator.power_minutes import PowerMinute, PowerMinutes
from emulator.skus.columns import ChipColumns
from emulator.skus.fleet import generation_settings
from fleet.clock import NS_PER_S
from fleet.topology import Generation

SKU = generation_settings(Generation.TRN3_GEN2).chip
IDLE_W, SPAN_W = SKU.power.idle_w, SKU.power.tdp_w - SKU.power.idle_w
MINUTE_S = 1_760_000_040  # a full minute of the wall clock


def power_w(percent: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([IDLE_W + percent / 100.0 * SPAN_W, IDLE_W])


def taken(minutes: PowerMinutes, percent: float, at_s: float) -> PowerMinute:
    return minutes.take(power_w(percent), round(at_s * NS_PER_S))[0]


def test_a_minute_is_told_when_it_is_over() -> None:
    minutes = PowerMinutes(ChipColumns.alike(SKU, chips=2))
    assert MINUTE_S % 60 == 0
    for second, percent in enumerate((20.0, 80.0, 50.0)):
        assert not taken(minutes, percent, MINUTE_S + second).valid
    told = taken(minutes, 99.0, MINUTE_S + 60)
    assert told.at_unix_s == MINUTE_S + 60
    shown = (told.low_percent, told.high_percent, told.mean_percent)
    assert shown == pytest.approx((20.0, 80.0, 50.0))
    assert taken(minutes, 10.0, MINUTE_S + 119) == told
    assert taken(minutes, 10.0, MINUTE_S + 120).high_percent == pytest.approx(99.0)


def test_percents_stay_between_0_and_100() -> None:
    minutes = PowerMinutes(ChipColumns.alike(SKU, chips=2))
    taken(minutes, 130.0, MINUTE_S)
    taken(minutes, -20.0, MINUTE_S + 1)
    told = taken(minutes, 0.0, MINUTE_S + 60)
    assert (told.low_percent, told.high_percent) == (0.0, 100.0)
