import math

from hypothesis import given
from hypothesis import strategies as st

from thermal.control.voting import vote

finite = st.floats(0.0, 100.0)


@given(finite, finite, st.floats(allow_nan=True, allow_infinity=True))
def test_one_liar_of_three_cannot_leave_the_range_of_the_honest(
    one: float, other: float, liar: float
) -> None:
    value = vote((one, liar, other), tolerance=0.5).value
    assert min(one, other) <= value <= max(one, other)


def test_the_liar_is_named() -> None:
    assert vote((40.0, 40.1, 37.0), tolerance=0.5).outvoted == (2,)


def test_of_two_that_differ_nobody_is_believed() -> None:
    assert vote((40.0, math.nan, 37.0), tolerance=0.5).outvoted == (0, 2)
    assert vote((40.0, math.nan, 40.4), tolerance=0.5).outvoted == ()


def test_no_reading_is_no_value() -> None:
    silent = vote((math.nan, math.nan), tolerance=0.5)
    assert math.isnan(silent.value)
    assert silent.voters == 0
