import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.inputs.ecc import MAX_TOTAL, EccSemantics, EccTotals


def totals(semantics: EccSemantics, values: list[int]) -> list[int]:
    ecc = EccTotals(semantics)
    return [ecc.add(("hbm", 0), value) for value in values]


@pytest.mark.parametrize(
    ("semantics", "values", "expected"),
    [
        (EccSemantics.DELTA, [3, 0, 0, 1], [3, 3, 3, 4]),
        (EccSemantics.CUMULATIVE, [3, 3, 5], [3, 3, 5]),
        # 0 is an unreadable register, not a repair, and what comes back is not new.
        (EccSemantics.CUMULATIVE, [5, 0, 5, 6], [5, 5, 5, 6]),
        # A register that was cleared has counted what it shows since.
        (EccSemantics.CUMULATIVE, [100, 0, 2, 3], [100, 100, 102, 103]),
        (EccSemantics.CUMULATIVE, [65_535, 4], [65_535, 65_539]),
        (EccSemantics.AUTO, [0, 2, 2, 2, 7], [0, 2, 2, 2, 7]),
    ],
)
def test_totals(semantics: EccSemantics, values: list[int], expected: list[int]) -> None:
    assert totals(semantics, values) == expected


def test_auto_learns_that_values_are_deltas() -> None:
    ecc = EccTotals(EccSemantics.AUTO)
    for value in [5, 0, 3, 0, 1, 0]:
        ecc.add(("hbm", 0), value)
    before = ecc.add(("hbm", 0), 0)
    assert ecc.deltas
    assert ecc.add(("hbm", 0), 4) == before + 4


def test_auto_is_not_misled_by_a_register_cleared_twice() -> None:
    ecc = EccTotals(EccSemantics.AUTO)
    for value in [5] * 30 + [2] * 30 + [1] * 30:
        ecc.add(("hbm", 0), value)
    assert not ecc.deltas
    assert ecc.add(("hbm", 0), 1) == 8


@given(st.sampled_from(EccSemantics), st.lists(st.integers(0, 2**70), max_size=50))
def test_totals_never_fall_and_fit(semantics: EccSemantics, values: list[int]) -> None:
    found = totals(semantics, values)
    assert found == sorted(found)
    assert all(total <= MAX_TOTAL for total in found)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=50))
def test_a_rising_register_is_its_own_total(steps: list[int]) -> None:
    values = [sum(steps[: place + 1]) for place in range(len(steps))]
    assert totals(EccSemantics.AUTO, values) == values
