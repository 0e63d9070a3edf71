import numpy as np
import pytest

from emulator.workload.flips import Flip, Operand, Strike
from emulator.workload.number_type import NumberType
from isotherm.bench.emulator.corruption import _Judge, run_flips


def strike(operand: Operand, after: float) -> Strike:
    """One row of ones times a matrix of ones, 64 deep: each element is 64."""
    flip = Flip(operand=operand, row=0, column=0, bit=0, precision=NumberType.FP32)
    return Strike(
        chip=0,
        product=0,
        flip=flip,
        before=64.0 if operand is Operand.RESULT else 1.0,
        after=after,
        source=np.ones((1, 64), dtype=np.float32),
        weights=np.ones((64, 8), dtype=np.float32),
    )


@pytest.mark.parametrize(
    ("operand", "before"), [(Operand.SOURCE, 1.0), (Operand.WEIGHTS, 1.0), (Operand.RESULT, 64.0)]
)
def test_beyond_rounding_begins_at_depth_times_roundoff_times_the_magnitudes(
    operand: Operand, before: float
) -> None:
    bound = 64 * 2.0**-24 * 64.0

    assert not _Judge().is_beyond_rounding(strike(operand, before + 0.9 * bound))
    assert _Judge().is_beyond_rounding(strike(operand, before + 1.1 * bound))
    assert _Judge().is_beyond_rounding(strike(operand, float("nan")))


@pytest.mark.slow
def test_a_small_run_catches_nearly_all_and_invents_nothing() -> None:
    caught = run_flips(4_000, seed=11)

    assert caught.products >= 4_000
    assert caught.beyond > 20
    assert caught.caught_share > 0.9
    assert caught.false_alarms == 0
    assert 0.0 < caught.nearest_sound_ratio < 1.0
