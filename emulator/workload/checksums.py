"""Row checksums on the host: taken of what was just written, and judged; each compiled, one pass.

As passes of numpy they took twice as long, and what they take is the price of looking.
"""

from typing import Final

import numba
import numpy as np
from numpy.typing import NDArray

from emulator.workload.number_type import Matrix

_ANY_ORDER: Final = {"reassoc", "contract", "nsz"}
"""Sums may run in many lanes; infinities and NaN stay what they are, for a flip can make them."""


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_ANY_ORDER)
def take(block: Matrix, signs: Matrix, notes: Matrix, start: int, carried: bool) -> None:
    """Checksum and sum of squares of each row of `block` [rows, at least columns] over the columns
    that `signs` [columns] has, into `notes` [4, ...] from `start` on; of a block that carries its
    two check columns behind them, those as well.
    """
    columns = len(signs)
    for number in range(len(block)):
        row = block[number]
        checksum = np.float32(0.0)
        square = np.float32(0.0)
        for column in range(columns):
            value = row[column]
            checksum += value * signs[column]
            square += value * value
        notes[0, start + number] = checksum
        notes[1, start + number] = square
        if carried:
            notes[2, start + number] = row[columns]
            notes[3, start + number] = row[columns + 1]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def judge(
    entries: NDArray[np.int64],
    scatter: Matrix,
    notes: Matrix,
    scale: Matrix,
    marks: Matrix,
    worst: Matrix,
    tiny_factor: float,
) -> None:
    """Squared disagreement over variance of every part of every entry, into `worst`; inf if it is
    no number. `marks` [2, ...] follow: what each row was when it was last written.

    An entry is product, first mark of its source and of its target, rows, where they are in the
    notes, parts, and where those are in `worst`; one without parts only says what rows have become.
    `scale` [...] is what rows were multiplied by, `tiny_factor` the variance of a row of zeros.
    """
    least = np.float32(tiny_factor)
    for entry in entries:
        product, source, target, rows, start, parts, first_part = entry
        of_product = scatter[product]
        rows_of_part = rows // max(parts, 1)
        for row in range(rows):
            at = start + row
            result_sum, result_square = notes[0, at], notes[1, at]
            if parts > 0:
                source_sum, source_square = marks[0, source + row], marks[1, source + row]
                promised, read = notes[2, at], notes[3, at]
                # Of a spoilt result the norm says nothing, but it can not be above what its source
                # allows; NaN is neither.
                most = of_product[0] * source_square
                spread = result_square if result_square <= most else most
                result_variance = (
                    of_product[1] * spread
                    + of_product[2] * promised * promised
                    + of_product[3] * source_square
                    + least
                )
                source_variance = (
                    of_product[4] * source_sum * source_sum + of_product[5] * source_square + least
                )
                difference, drift = result_sum - promised, read - source_sum
                of_result = difference * difference / result_variance
                of_source = drift * drift / source_variance
                part = first_part + row // rows_of_part
                if not (np.isfinite(of_result) and np.isfinite(of_source)):
                    worst[part] = np.inf
                else:
                    worst[part] = max(worst[part], of_result, of_source)
            marks[0, target + row] = result_sum * scale[at]
            marks[1, target + row] = result_square * scale[at] * scale[at]


def prepare() -> None:
    """Compile, or read what was compiled before, before products wait for it."""
    notes = np.zeros((4, 1), np.float32)
    take(np.zeros((0, 2), np.float32), np.zeros(0, np.float32), notes, 0, True)
    none = np.zeros(0, np.float32)
    judge(np.zeros((0, 7), np.int64), notes, notes, none, notes, none, 0.0)
