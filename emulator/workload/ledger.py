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
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emulator.workload import checksums
from emulator.workload.backend import Backend, Tensor
from emulator.workload.number_type import FP32_ROUNDOFF, Matrix
from emulator.workload.program import (
    FALSE_ALARM_PROBABILITY,
    Activations,
    LayerProgram,
    Operands,
    Product,
    Scatter,
)
from emulator.workload.shapes import BUFFER_ROWS, SMALLEST_COLUMNS

Vector = NDArray[np.float32]

_WIDTH: Final = NormalDist().inv_cdf(1.0 - FALSE_ALARM_PROBABILITY / 2.0)
_ROUNDING_VARIANCE: Final = FP32_ROUNDOFF**2 / 3.0 * 3.0 / (8.0 * math.log(2.0))
"""Of one rounding, in units of the squared sum that is rounded."""
_ROWS_KEPT: Final = 16 * BUFFER_ROWS

_TINY: Final = float(np.finfo(np.float32).tiny)
"""Rows of zeros agree too."""
Chips = tuple[int, ...]


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
        checksums.prepare()
        self._backend = backend
        self.notes: Tensor = backend.put(np.zeros((4, _ROWS_KEPT), np.float32))
        """The result's checksums, its sums of squares, what was promised of it, and what was found
        of its source; by row, from the slot of its product on.
        """
        self._scale: Vector = np.ones(_ROWS_KEPT, np.float32)
        self._filled = 0
        self._entries: list[int] = []
        """As `checksums.judge` reads them, one behind the other."""
        self._whose: list[tuple[Chips, int]] = []
        """Chips and index of the product, of each entry."""
        self._parts = 0
        self._first_mark: dict[Activations, int] = {}
        self._marks: Matrix = np.zeros((2, 0), np.float32)
        """What each row was when it was last written: checksum, sum of squares."""
        self._place: dict[Product, tuple[int, int, int]] = {}
        """Number of the product, first marks of its source and of its target."""
        self._scatter: Matrix = np.zeros((0, len(Scatter._fields)), np.float32)
        self._found: list[Corruption] = []
        self._step = 0
        self.nearest_ratio = 0.0
        """Largest disagreement over its tolerance among the products that passed, ever."""

    def watch(self, programs: Iterable[LayerProgram]) -> None:
        """Whose products are noted from now on; what is known of their rows stays known."""
        first_mark: dict[Activations, int] = {}
        products: dict[Product, None] = {}
        marks = [np.zeros((2, 0), np.float32)]
        for program in programs:
            products.update(dict.fromkeys(program.products))
            for rows in program.activations:
                known = self._first_mark.get(rows)
                first_mark[rows] = len(first_mark) * BUFFER_ROWS
                marks.append(
                    rows.marks if known is None else self._marks[:, known : known + BUFFER_ROWS]
                )
        self._marks = np.concatenate(marks, axis=1)
        self._first_mark = first_mark
        self._place = {
            product: (number, first_mark[product.source], first_mark[product.target])
            for number, product in enumerate(products)
        }
        scatter = [product.scatter for product in products]
        self._scatter = np.array(scatter, np.float32).reshape(-1, len(Scatter._fields))

    def begin(self, step: int) -> None:
        self._step = step

    def has_room(self, rows: int) -> bool:
        return self._filled + rows <= _ROWS_KEPT

    def slot(self, product: Product, rows: slice, chips: Chips, index: int) -> int:
        """Where the notes of the next result begin; they are judged in the order of the slots.

        The chips have equal parts of the rows. Without any, the rows are only as they now are.
        """
        number, source, target = self._place[product]
        first, start, parts = rows.start, self._filled, len(chips)
        count = rows.stop - first
        self._entries += (number, source + first, target + first, count, start, parts, self._parts)
        self._whose.append((chips, index))
        self._parts += parts
        self._filled = start + count
        return start

    def note(self, product: Product, operands: Operands, slot: int) -> None:
        """What the rows of a result say now; of some columns of it, where that is all there is."""
        rows, columns = operands.values.shape
        whole = columns == product.target.columns
        self._backend.take_checksums(operands.block, operands.signs, self.notes, slot, whole)
        if not whole:
            promised = self.notes[2:, slot : slot + rows]
            checksum = product.partial[:, columns // SMALLEST_COLUMNS - 1]
            self._backend.matmul(operands.source, checksum, out=promised[0])
            self._backend.matmul(operands.source, product.source.signs, out=promised[1])

    def note_scaled(self, slot: int, scale: Vector) -> None:
        """Rows of the slot's result have been multiplied since, exactly, by `scale` [rows]."""
        self._scale[slot : slot + len(scale)] = scale

    def close(self) -> tuple[Corruption, ...]:
        """Judge what was noted in this step."""
        self.judge()
        found, self._found = self._found, []
        return tuple(found)

    def judge(self) -> None:
        """Judge what is in the slots, and empty them."""
        if not self._entries:
            return
        entries = np.array(self._entries, np.int64).reshape(len(self._whose), -1)
        notes = self._backend.host(self.notes[:, : self._filled])
        worst = np.zeros(self._parts, np.float32)
        checksums.judge(entries, self._scatter, notes, self._scale, self._marks, worst, _TINY)
        with np.errstate(over="ignore"):  # what is judged may be any bit pattern
            ratio = np.sqrt(worst / np.float32(_WIDTH**2 * _ROUNDING_VARIANCE))
        bad = ratio > 1.0
        first_part = entries[:, -1]
        for part in np.flatnonzero(bad).tolist():
            # An entry without parts begins where the one behind it does, which is meant.
            number = int(np.searchsorted(first_part, part, side="right")) - 1
            chips, index = self._whose[number]
            chip = chips[part - int(first_part[number])]
            self._found.append(Corruption(chip=chip, step=self._step, product=index))
        self.nearest_ratio = max(self.nearest_ratio, float(ratio[~bad].max(initial=0.0)))
        self._scale[: self._filled] = 1.0
        self._entries.clear()
        self._whose.clear()
        self._filled = self._parts = 0
