import pytest

from isotherm.bench.emulator.loss_of_flow import REFERENCE_S, SHED_PEAK_C, shed_peak_c, times_s


@pytest.mark.parametrize("case", [(40.0, 1.0), (45.0, 0.5)])
def test_chips_left_on_heat_up_as_fast_as_the_reference_says(case: tuple[float, float]) -> None:
    assert times_s(*case) == pytest.approx(REFERENCE_S[case], rel=0.15)


@pytest.mark.parametrize("case", [(40.0, 0.2, 3.0), (45.0, 0.1, 7.0)])
def test_chips_shed_in_time_get_as_warm_as_the_reference_says(
    case: tuple[float, float, float],
) -> None:
    assert shed_peak_c(*case) == pytest.approx(SHED_PEAK_C[case], abs=2.0)
