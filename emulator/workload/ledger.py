"""Row checksums of the products as they run, and the judgement whether they agree.

Algorithm-based fault tolerance after Huang and Abraham (IEEE Trans. Computers C-33, 1984): for
C = A B and signs w, the checksum C w must be A (B w). B w is made with the weights, A (B w) comes
with the product, C w is taken from the result. The checksum of A is taken again when A is read, so
that what changes between writing and reading is found too.

Agreement is up to rounding. Forming a sum of k addends x with total S in random order has partial
sums whose squares add up to about k S^2 / 3 + k |x|^2 / 6; a product forms its elements so, a dot
product with l running sums has k / l addends in each: k S^2 / 3 l^2 + k |x|^2 / 2 l. The 1/6 is the
mean of the integral of a squared Brownian bridge, as it is found over many sums; of one sum alone
it has a tail of exp(-pi^2 x / 2) (the statistic of Cramer and von Mises), which together with the
normal tail of the errors makes it ln(2 / P) / (2 pi^2) for a probability P. Every partial
sum is rounded with an error that is uniform within half a unit in its last place, so of variance
u^2 / 3 of the power of two below it, squared; over significands that is 3 / (8 ln 2) of its square
(Knuth, The Art of Computer Programming 2, 4.2.4). The variances of all sums on both sides of a
comparison add up to V, the variance of an error that is about normal, being a sum of hundreds
(Higham and Mary, SIAM J. Sci. Comput. 41, 2019, bound it without that). How many deviations are
allowed follows from how many false alarms one is ready to take.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emulator.workload.backend import Backend, Tensor
from emulator.workload.number_type import FP32_ROUNDOFF, Matrix
from emulator.workload.program import FALSE_ALARM_PROBABILITY, Product
from emulator.workload.shapes import BUFFER_ROWS

_WIDTH: Final = NormalDist().inv_cdf(1.0 - FALSE_ALARM_PROBABILITY / 2.0)
_ROUNDING_VARIANCE: Final = FP32_ROUNDOFF**2 / 3.0 * 3.0 / (8.0 * math.log(2.0))
"""Of one rounding, in units of the squared sum that is rounded."""
_ROWS_KEPT: Final = 16 * BUFFER_ROWS

_TINY: Final = float(np.finfo(np.float32).tiny)
"""Rows of zeros agree too."""
Chips = tuple[int, ...]
_Entry = tuple[Product, int, int, int, Chips, int]
"""Product, its first row, how many, where they are in the notes, whose they are, index."""
Slot = tuple[Tensor, Tensor, Tensor]
"""Room for the result's checksums [rows], its sums of squares [rows], and what was promised
[2, rows] of it and found of its source.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corruption:
    """A product whose checksums do not agree: silent data corruption."""

    chip: int
    """Row of the chip in fleet order."""
    step: int
    """Number of the engine's `execute`, from 0."""
    product: int
    """Number of the product within what the chip executed in that step, from 0."""


class Ledger:
    """Notes every product's checksums on the device, and judges them together on the host."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._notes: Tensor = backend.put(np.zeros((4, _ROWS_KEPT), np.float32))
        self._sums, self._squares = self._notes[0], self._notes[1]
        self._promised = self._notes[2:]
        self._filled = 0
        self._entries: list[_Entry] = []
        self._factors: dict[int, NDArray[np.float32]] = {}
        self._found: list[Corruption] = []
        self._step = 0
        self.nearest_ratio = 0.0
        """Largest disagreement over its tolerance among the products that passed, ever."""

    def begin(self, step: int) -> None:
        self._step = step

    def has_room(self, rows: int) -> bool:
        return self._filled + rows <= _ROWS_KEPT

    def slot(self, product: Product, rows: slice, chips: Chips, index: int) -> Slot:
        """Where the checksums of the next result go; they are judged in the order of the slots.

        The chips have equal parts of the rows. Without any, the rows are only as they now are.
        """
        count = rows.stop - rows.start
        start, end = self._filled, self._filled + count
        self._entries.append((product, rows.start, count, start, chips, index))
        self._filled = end
        return self._sums[start:end], self._squares[start:end], self._promised[:, start:end]

    def note_scaled(self, entry: int, scale: NDArray[np.float32]) -> None:
        """Rows of a result have been multiplied since, exactly, by `scale` [rows]. Entries count
        from the last `judge`.
        """
        self._factors[entry] = scale

    def close(self) -> tuple[Corruption, ...]:
        """Judge what was noted in this step."""
        self.judge()
        found, self._found = self._found, []
        return tuple(found)

    def judge(self) -> None:
        """Judge what is in the slots, and empty them."""
        if not self._entries:
            return
        notes = self._backend.host(self._notes[:, : self._filled].T)
        rows = np.array([entry[2] for entry in self._entries])
        with np.errstate(all="ignore"):  # what is judged may be any bit pattern
            worst = _excess(self._replay(notes[:, :2]), notes, self._entries, rows)
        chips = np.array([len(entry[4]) for entry in self._entries])
        parts = np.maximum(chips, 1)
        entry_of_part = np.repeat(np.arange(len(parts)), parts)
        part_rows = (rows // parts)[entry_of_part]
        by_part = np.sqrt(np.maximum.reduceat(worst, np.cumsum(part_rows) - part_rows))
        by_part[chips[entry_of_part] == 0] = 0.0
        first_part = np.cumsum(parts) - parts
        bad = by_part > 1.0
        for part in np.flatnonzero(bad).tolist():
            number = int(entry_of_part[part])
            *_, whose, index = self._entries[number]
            chip = whose[part - int(first_part[number])]
            self._found.append(Corruption(chip=chip, step=self._step, product=index))
        self.nearest_ratio = max(self.nearest_ratio, float(by_part[~bad].max(initial=0.0)))
        self._entries.clear()
        self._factors.clear()
        self._filled = 0

    def _replay(self, noted: Matrix) -> Matrix:
        """Checksum and sum of squares [rows, 2] that each source had when it was written."""
        marks = np.empty_like(noted)
        factors = self._factors
        for number, (product, first, count, start, _, _) in enumerate(self._entries):
            end, last = start + count, first + count
            marks[start:end] = product.source.marks[first:last]
            written = product.target.marks
            written[first:last] = noted[start:end]
            if number in factors:
                written[first:last, 0] *= factors[number]
                written[first:last, 1] *= factors[number] ** 2
        return marks


def _excess(source: Matrix, notes: Matrix, entries: list[_Entry], rows: NDArray[np.intp]) -> Matrix:
    """Square of disagreement over tolerance of each row, the worse of result and source; inf if
    it is no number.
    """
    scatter = np.array([product.scatter for product, *_ in entries], dtype=np.float32)
    weighs = np.repeat(scatter.T, rows, axis=1)
    source_sum, source_square = source.T.copy()
    result_sum, result_square, promised, read = notes.T.copy()
    # Of a spoilt result the norm says nothing, but it can not be above what its source allows.
    result_square = np.fmin(result_square, weighs[0] * source_square)
    promised_square = promised * promised
    result_variance = (
        weighs[1] * result_square + weighs[2] * promised_square + weighs[3] * source_square
    ) + _TINY
    source_variance = weighs[4] * source_sum * source_sum + weighs[5] * source_square + _TINY
    difference, drift = result_sum - promised, read - source_sum
    ratio: Matrix = np.maximum(
        difference * difference / result_variance, drift * drift / source_variance
    )
    ratio *= np.float32(1.0 / (_WIDTH**2 * _ROUNDING_VARIANCE))
    ratio[~np.isfinite(ratio)] = np.inf
    return ratio
