"""One chip's share of products after another, on buffers that the chips of a shape share."""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final

import numpy as np

from emulator.workload.backend import Backend, Tensor
from emulator.workload.flips import Flip, OnStrike, Operand, Strike
from emulator.workload.ledger import Chips, Ledger
from emulator.workload.number_type import NumberType
from emulator.workload.program import LayerProgram, Operands, Product
from emulator.workload.shapes import BUFFER_ROWS, SMALLEST_COLUMNS

# Of a pair's result; beyond, it is scaled back to about one. Within e4m3's best part.
_LOWEST_MEAN_SQUARE: Final = 1.0 / 16.0
_HIGHEST_MEAN_SQUARE: Final = 16.0
_LEAST: Final = np.float32(1e-30)


class _Kind(Enum):
    RUN = auto()  # whole rows of a product
    PART = auto()  # some columns of one row
    STRUCK = auto()  # either, with one bit flipped; its sound run follows
    SETTLE = auto()  # what a result has become since: rounded, or one row of two products


_Operation = tuple[_Kind, Product, Operands, int, Chips, int]
"""..., slot in the ledger, whose rows they are, index of the product among those of each chip."""
FlipAt = tuple[float, int]
"""A bit flips when the chip reaches so many FLOP, and which chip of those together it is."""


class ProductRunner:
    """Plans the products of many chips, then runs them, and has each verified if there is a ledger.

    Planning first keeps the bookkeeping out of the loop of products, where every product has
    thrown it out of the processor's caches.
    """

    def __init__(
        self,
        backend: Backend,
        precision: NumberType,
        ledger: Ledger | None,
        rng: np.random.Generator,
        on_strike: OnStrike | None,
    ) -> None:
        self._backend = backend
        self._rounds = precision is not NumberType.FP32
        self._precision = precision
        self._ledger = ledger
        self._rng = rng
        self._on_strike = on_strike
        self._squares: Tensor = backend.put(np.zeros(BUFFER_ROWS, np.float32))
        self._plan: list[_Operation] = []
        self._chips: Chips = ()
        self._index = 0
        self._flips: Sequence[FlipAt] = ()
        self._spent_flop = 0.0
        self.products = 0
        """Products planned, parts of a row included."""

    # --- planning --------------------------------------------------------------------------------

    def begin(self, chips: Chips, flips: Sequence[FlipAt]) -> None:
        """The next products are those of so many chips that do the same, as one product each."""
        self._chips = chips
        self._index = 0
        self._flips = flips
        self._spent_flop = 0.0

    def plan(
        self, program: LayerProgram, position: int, budget_flop: float, longest: int
    ) -> tuple[float, int]:
        """Products from a position on until less than a row of the next is left; the FLOP of each
        chip, and the next position. Budget and longest are those of one chip.
        """
        products, together = program.products, len(self._chips)
        left = budget_flop
        while True:
            product = products[position]
            rows = min(int(left / product.row_flop), longest)
            if not rows:
                break
            self._add(_Kind.RUN, product, product.operands(rows * together), rows)
            left -= rows * product.row_flop
            position += 1
            if position == len(products):
                position = 0
        if left == budget_flop:
            left -= self._plan_columns(products[position], left)
        return budget_flop - left, position

    def _plan_columns(self, product: Product, budget_flop: float) -> float:
        """Part of one row, so that a nearly idle chip does its little each time; its FLOP."""
        column_flop: float = 2.0 * product.source.columns
        columns = int(budget_flop / column_flop)
        columns -= columns % SMALLEST_COLUMNS
        if not columns:
            return 0.0
        together = len(self._chips)
        values = product.target.values[:together, :columns]
        operands = Operands(
            source=product.source.values[:together],
            weights=product.weights[:, :columns],
            result=values,
            block=product.target.block[:together],
            values=values,
            signs=product.target.signs[:columns],
        )
        self._add(_Kind.PART, product, operands, 1)
        return column_flop * columns

    def _add(self, kind: _Kind, product: Product, operands: Operands, rows: int) -> None:
        """Rows of one chip."""
        chips, index = self._chips, self._index
        every = slice(0, rows * len(chips))
        if self._ledger is not None and not self._ledger.has_room(3 * every.stop):
            self.run()
        if self._flips:
            columns = operands.values.shape[1]
            for member in self._struck(2.0 * rows * columns * product.source.columns):
                own = slice(member * rows, (member + 1) * rows)
                alone = self._alone(kind, product, operands, own)
                slot = self._slot(product, own, (chips[member],), index)
                self._plan.append((_Kind.STRUCK, product, alone, slot, (chips[member],), index))
        slot = self._slot(product, every, chips, index)
        self._plan.append((kind, product, operands, slot, chips, index))
        if self._rounds or kind is _Kind.PART:
            slot = self._slot(product, every, (), index)
            whole = product.operands(every.stop)
            self._plan.append((_Kind.SETTLE, product, whole, slot, chips, index))
        self._index += 1
        self.products += len(chips)

    def _slot(self, product: Product, rows: slice, chips: Chips, index: int) -> int:
        return self._ledger.slot(product, rows, chips, index) if self._ledger is not None else 0

    def _alone(self, kind: _Kind, product: Product, operands: Operands, rows: slice) -> Operands:
        """One chip's part, since what is flipped in its memory is in no other's."""
        if kind is _Kind.RUN:
            return product.cut(rows.start, rows.stop)
        values = operands.values[rows]
        return operands._replace(
            source=operands.source[rows],
            result=values,
            block=operands.block[rows],
            values=values,
        )

    def _struck(self, flop: float) -> list[int]:
        """Which of the chips are hit in a product of so many FLOP of each, once at the most."""
        self._spent_flop += flop
        hit = sorted({member for at, member in self._flips if at < self._spent_flop})
        self._flips = [flip for flip in self._flips if flip[0] >= self._spent_flop]
        return hit

    # --- running ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Run what was planned, and have it judged."""
        backend, ledger = self._backend, self._ledger
        for kind, product, operands, slot, chips, index in self._plan:
            if kind is _Kind.STRUCK:
                self._strike(product, operands, slot, (chips[0], index))
                continue
            if kind is not _Kind.SETTLE:
                backend.matmul(operands.source, operands.weights, out=operands.result)
            elif self._rounds:
                backend.round_to(operands.values, self._precision)
            if ledger is not None:
                ledger.note(product, operands, slot)
            if product.closes_pair and kind is not _Kind.SETTLE:
                self._bound(operands.values, slot)
        self._plan.clear()
        if ledger is not None:
            ledger.judge()

    def _bound(self, values: Tensor, slot: int) -> None:
        """Scale each row back to about one by a power of two, which is exact."""
        rows, columns = values.shape
        if self._ledger is None:
            squares = self._squares[:rows]
            self._backend.row_dots(values, values, out=squares)
        else:
            squares = self._ledger.notes[1, slot : slot + rows]
        mean_square = self._backend.total(squares) / (rows * columns)
        if _LOWEST_MEAN_SQUARE <= mean_square <= _HIGHEST_MEAN_SQUARE:
            return
        each = self._backend.host(squares) / np.float32(columns)
        factors = np.exp2(-np.round(0.5 * np.log2(np.maximum(each, _LEAST)))).astype(np.float32)
        values *= self._backend.put(factors[:, np.newaxis])
        if self._ledger is not None:
            self._ledger.note_scaled(slot, factors)

    def _strike(
        self, product: Product, operands: Operands, slot: int, place: tuple[int, int]
    ) -> None:
        """Run the product with one bit flipped, note what its checksums say, take the flip back.

        The product then runs once more, because chips share buffers: what one chip corrupts must
        not reach another's memory.
        """
        backend = self._backend
        rows, columns = operands.values.shape
        flip = Flip.drawn(self._rng, (rows, product.source.columns, columns), self._precision)
        late = flip.operand is Operand.RESULT
        with np.errstate(all="ignore"):  # the flipped value may be any bit pattern
            before, after = (0.0, 0.0) if late else flip.apply(operands, backend)
            backend.matmul(operands.source, operands.weights, out=operands.result)
            if late:
                before, after = flip.apply(operands, backend)
            if self._ledger is not None:
                self._ledger.note(product, operands, slot)
        flip.undo(operands, before)
        if self._on_strike is not None:
            self._on_strike(
                Strike(
                    chip=place[0],
                    product=place[1],
                    flip=flip,
                    before=before,
                    after=after,
                    source=backend.host(operands.source),
                    weights=backend.host(product.weights[:, :columns]),
                )
            )
