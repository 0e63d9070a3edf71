"""Budgets of row repair."""

from dataclasses import replace

import numpy as np

from emulator.hbm.locations import LOCATION
from emulator.hbm.repair import RowRepairs
from emulator.hbm.truth import CLASSES, FaultClass, Rows
from tests.emulator.hbm.halls import RATES

SURE = replace(RATES.repair, success_ratio=1.0)


def faults(kind: FaultClass, rows: list[int], banks: list[int]) -> Rows:
    found = np.zeros(len(rows), dtype=LOCATION)
    found["fault_class"], found["row"], found["bank"] = CLASSES.index(kind), rows, banks
    return found


def cured(repairs: RowRepairs, found: Rows) -> list[bool]:
    repairs.wait(found)
    return [repaired for _, repaired in repairs.reload(0)]


def repairs_of(**changes: int) -> RowRepairs:
    return RowRepairs(replace(SURE, **changes), np.random.default_rng(1))


def test_a_bank_takes_eight_rows() -> None:
    repairs = repairs_of()

    assert cured(repairs, faults(FaultClass.ROW, list(range(9)), [3] * 9)) == [True] * 8 + [False]
    assert cured(repairs, faults(FaultClass.ROW, [0], [4])) == [True]


def test_a_chip_takes_so_many_rows() -> None:
    repairs = repairs_of(rows_per_chip=3)

    assert cured(repairs, faults(FaultClass.ROW, [0] * 4, [0, 1, 2, 3])) == [True] * 3 + [False]


def test_a_row_that_was_remapped_fails_for_good() -> None:
    repairs = repairs_of()

    assert cured(repairs, faults(FaultClass.ROW, [5], [0])) == [True]
    assert cured(repairs, faults(FaultClass.ROW, [5], [0])) == [False]


def test_wider_faults_take_more_rows() -> None:
    banks = repairs_of()
    channels = repairs_of(rows_per_chip=40)

    assert cured(banks, faults(FaultClass.BANK, [0, 1, 2], [0, 0, 0])) == [True, True, False]
    assert cured(channels, faults(FaultClass.CHANNEL, [0, 1, 2], [0, 1, 2])) == [True, True, False]


def test_a_new_chip_has_all_its_spare_rows() -> None:
    repairs = repairs_of(rows_per_chip=1)
    cured(repairs, faults(FaultClass.ROW, [0], [0]))
    repairs.wait(faults(FaultClass.ROW, [1], [1]))
    repairs.forget(0)

    assert repairs.reload(0) == []
    assert cured(repairs, faults(FaultClass.ROW, [0], [0])) == [True]
