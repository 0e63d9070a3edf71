import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.serving.latency import RELATIVE_ERROR_RATIO, Durations

PERCENTS = (0.0, 50.0, 90.0, 99.0, 100.0)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=200))
def test_percentiles_are_within_the_stated_error(samples: list[float]) -> None:
    durations = Durations()
    for part in np.array_split(np.array(samples), 3):
        durations.add(part)

    found = durations.percentiles_s(PERCENTS)

    exact = np.percentile(samples, PERCENTS, method="lower")
    assert np.allclose(found, exact, rtol=RELATIVE_ERROR_RATIO * 1.0001)
    assert durations.count == len(samples)
    assert durations.mean_s == pytest.approx(np.mean(samples))


def test_nothing_has_no_percentile() -> None:
    assert all(math.isnan(value) for value in Durations().percentiles_s(PERCENTS))
    assert math.isnan(Durations().mean_s)


def test_no_time_at_all_is_nought() -> None:
    durations = Durations()
    durations.add(np.array([0.0, 0.0, 5.0]))

    assert durations.percentiles_s((0.0, 50.0))[1] == 0.0


def test_one_takes_in_what_another_counted() -> None:
    one, other = Durations(), Durations()
    one.add(np.array([1.0]))
    other.add(np.array([9.0, 9.0]))

    one.take(other)

    assert one.count == 3
    assert one.percentiles_s((50.0,))[0] == pytest.approx(9.0, rel=0.01)
