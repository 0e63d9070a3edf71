import numpy as np
import pytest

from emulator.hbm.registers import EccRegisters, Overflow, RepairState

CHIP, STACK, TWO = np.array([1]), np.array([2]), np.array([2, 2])


def registers(overflow: Overflow = Overflow.SATURATE) -> EccRegisters:
    return EccRegisters(3, overflow)


@pytest.mark.parametrize(
    ("overflow", "shown"), [(Overflow.SATURATE, 65_535), (Overflow.WRAP, 70_000 - 65_536)]
)
def test_a_register_holds_16_bits(overflow: Overflow, shown: int) -> None:
    ecc = registers(overflow)
    ecc.count_corrected(CHIP, STACK, np.array([70_000]))

    assert ecc.read().hbm_corrected.tolist() == [0, shown, 0]


def test_a_chip_shows_the_sum_of_its_stacks_without_those_that_can_not_be_read() -> None:
    ecc = registers()
    ecc.count_corrected(np.array([1, 1, 1]), np.array([0, 2, 2]), np.array([5, 7, 1]))
    whole = ecc.read().hbm_corrected[1]
    ecc.set_unreadable(CHIP, 2, True)
    part = ecc.read().hbm_corrected[1]
    ecc.set_unreadable(CHIP, 2, False)

    assert (whole, part, ecc.read().hbm_corrected[1]) == (13, 5, 13)


def test_another_tool_may_clear_the_counts() -> None:
    ecc = registers()
    ecc.count_corrected(CHIP, STACK, np.array([9]))
    ecc.count_sram(np.array([1, 1]), np.array([1]))
    ecc.count_uncorrected(CHIP, STACK, np.array([False]))
    assert ecc.read().sram_corrected[1] == 2
    ecc.clear(CHIP)

    read = ecc.read()
    shown = (read.hbm_corrected, read.sram_corrected, read.hbm_uncorrected, read.sram_uncorrected)
    assert not any(counts.any() for counts in shown)


def test_a_pending_repair_shows_as_an_error_even_when_the_count_is_gone() -> None:
    ecc = registers()
    ecc.count_uncorrected(TWO[:1], STACK, np.array([True]))
    ecc.clear(TWO[:1])

    assert ecc.read().repair_state.tolist() == [0, 0, RepairState.PENDING]
    assert ecc.read().hbm_repairable_uncorrected.tolist() == [0, 0, 1]


def test_a_failed_repair_is_no_more_pending() -> None:
    ecc = registers()
    ecc.count_uncorrected(TWO, TWO, np.array([True, True]))
    ecc.end_repair(2, RepairState.FAILED)
    ecc.count_uncorrected(TWO[:1], STACK, np.array([True]))

    assert ecc.read().repair_state.tolist() == [0, 0, RepairState.FAILED]
