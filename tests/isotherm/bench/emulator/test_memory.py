import numpy as np
import pytest

from emulator.hbm.truth import CODE_OF_KIND, TRUTH_ROW, MemoryTruth, Rows
from isotherm.bench.emulator.foretelling import Foretelling, area
from isotherm.bench.emulator.memory import e7


@pytest.mark.parametrize(
    ("scores", "found"), [([1, 2, 3, 4], 1.0), ([4, 3, 2, 1], 0.0), ([1, 1, 1, 1], 0.5)]
)
def test_the_area_under_the_curve(scores: list[float], found: float) -> None:
    broke = np.array([False, False, True, True])

    assert area(np.array(scores, dtype=np.float64), broke) == found
    assert np.isnan(area(np.array(scores, dtype=np.float64), broke & False))


def rows(kind: MemoryTruth, chips: list[int]) -> Rows:
    told = np.zeros(len(chips), dtype=TRUTH_ROW)
    told["kind"], told["chip"], told["count"] = CODE_OF_KIND[kind], chips, 5
    return told


def test_a_count_that_always_foretells_is_found_to_do_so() -> None:
    foretelling, nobody = Foretelling(40), rows(MemoryTruth.CORRECTED, [])
    marked = [3, 4, 17, 18]
    for day in range(28):
        told = rows(MemoryTruth.CORRECTED, marked) if day % 14 == 2 else nobody
        if day % 14 == 9:
            told = rows(MemoryTruth.UNCORRECTED, marked)
        foretelling.see(told, np.full(40, 70.0))
    areas = foretelling.areas()

    assert (areas.by_count, areas.by_all) == (1.0, 1.0)


@pytest.mark.slow
def test_the_quick_case_meets_its_bars() -> None:
    case = e7(quick=True, seed=3)

    assert case.passed
    assert case.metrics["step_ratio"] == pytest.approx(
        1.0, abs=4 * case.metrics["step_ratio_sigma"]
    )
    assert 0.5 < case.metrics["auc_count"] < case.metrics["auc_all"] < 0.95
