import numpy as np

from emulator.hardware_errors import KEPT, HardwareErrors
from emulator.hbm.status import NrtStatus
from emulator.readings import FailedExecution
from fleet.topology import FleetMap, trn3_datacenter

FLEET = FleetMap(trn3_datacenter())
ON = np.ones(FLEET.sleds, dtype=np.bool_)
UE = NrtStatus.HBM_UNCORRECTED


def totals(**chips: int) -> dict[NrtStatus, np.ndarray]:
    total = np.zeros(FLEET.chips, dtype=np.int64)
    for chip, times in chips.items():
        total[int(chip.removeprefix("c"))] = times
    return {UE: total}


def error(at_unix_ns: int, chip: int) -> FailedExecution:
    return FailedExecution(at_unix_ns=at_unix_ns, chip=chip, status=UE)


def test_each_error_is_kept_once_with_its_time_and_place() -> None:
    errors = HardwareErrors(FLEET)
    assert errors.take(totals(), ON, 1) == {}
    first = error(2, 1)
    assert errors.take(totals(c5=1), ON, 2) == {1: (first,)}
    assert errors.take(totals(c5=1), ON, 3) == {1: (first,)}
    assert errors.take(totals(c5=2, c0=1), ON, 4) == {0: (error(4, 0),), 1: (first, error(4, 1))}


def test_the_log_ends_with_the_host_and_counts_that_begin_anew_are_no_errors() -> None:
    errors = HardwareErrors(FLEET)
    errors.take(totals(c5=3), ON, 1)
    off = ON.copy()
    off[1] = False
    assert errors.take(totals(c5=3), off, 2) == {}
    assert errors.take(totals(), ON, 3) == {}
    assert errors.take(totals(c5=1), ON, 4) == {1: (error(4, 1),)}


def test_only_the_last_errors_are_kept() -> None:
    errors = HardwareErrors(FLEET)
    errors.take(totals(c0=1), ON, 1)
    kept = errors.take(totals(c0=KEPT * 9), ON, 2)[0]
    assert kept == (error(2, 0),) * KEPT
