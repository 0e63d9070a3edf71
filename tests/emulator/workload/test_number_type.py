import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.workload.number_type import NumberType, bits_of, flip_bit, rounded

FINITE = st.floats(-400.0, 400.0, width=32)


@pytest.mark.parametrize("precision", list(NumberType))
@given(value=FINITE)
def test_rounding_stays_within_the_unit_roundoff(precision: NumberType, value: float) -> None:
    got = float(rounded(np.array([value], dtype=np.float32), precision)[0])

    # Below the smallest normal number of e4m3 the error is absolute.
    assert abs(got - value) <= max(precision.roundoff * abs(value), 2.0**-10)
    assert float(rounded(np.array([got], dtype=np.float32), precision)[0]) == got


def test_e4m3_saturates_instead_of_becoming_no_number() -> None:
    values = np.array([1e6, -500.0, 448.0], dtype=np.float32)

    assert rounded(values, NumberType.FP8).tolist() == [448.0, -448.0, 448.0]


@pytest.mark.parametrize("precision", list(NumberType))
@given(value=FINITE, data=st.data())
def test_a_bit_flipped_twice_is_as_before(
    precision: NumberType, value: float, data: st.DataObject
) -> None:
    kept = float(rounded(np.array([value], dtype=np.float32), precision)[0])
    bit = data.draw(st.integers(0, bits_of(precision) - 1))

    flipped = flip_bit(kept, bit, precision)

    assert flipped != kept or math.copysign(1.0, flipped) != math.copysign(1.0, kept)
    if math.isfinite(flipped):
        assert flip_bit(flipped, bit, precision) == kept


def test_the_highest_bit_is_the_sign() -> None:
    assert [flip_bit(1.5, bits_of(p) - 1, p) for p in NumberType] == [-1.5] * 3
