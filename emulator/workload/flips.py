"""Bit flips that are put into products, so that something can be caught."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from emulator.workload.backend import Backend, Tensor
from emulator.workload.number_type import Matrix, NumberType, bits_of, flip_bit
from emulator.workload.program import Operands, weight_scale


class Operand(StrEnum):
    SOURCE = "source"  # A, after it was written and before it is read
    WEIGHTS = "weights"  # B, at any time since it was made
    RESULT = "result"  # C, while or after it was computed


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A random bit of a random element of one operand."""

    operand: Operand
    row: int
    column: int
    bit: int
    precision: NumberType

    @classmethod
    def drawn(
        cls, rng: np.random.Generator, size: tuple[int, int, int], precision: NumberType
    ) -> "Flip":
        """In a product of size rows, depth, columns."""
        operand = tuple(Operand)[int(rng.integers(3))]
        rows, depth, columns = size
        height, width = {
            Operand.SOURCE: (rows, depth),
            Operand.WEIGHTS: (depth, columns),
            Operand.RESULT: (rows, columns),
        }[operand]
        kind = NumberType.FP32 if operand is Operand.RESULT else precision
        return cls(
            operand=operand,
            row=int(rng.integers(height)),
            column=int(rng.integers(width)),
            bit=int(rng.integers(bits_of(kind))),
            precision=kind,
        )

    def apply(self, operands: Operands, backend: Backend) -> tuple[float, float]:
        """The element before and after."""
        place = self._place(operands)
        row, column = self.row, self.column
        before = float(backend.host(place[row : row + 1, column])[0])
        depth = operands.weights.shape[0]
        scale = weight_scale(depth) if self.operand is Operand.WEIGHTS else 1.0
        after = flip_bit(before * scale, self.bit, self.precision) / scale
        place[row, column] = after
        return before, after

    def undo(self, operands: Operands, before: float) -> None:
        self._place(operands)[self.row, self.column] = before

    def _place(self, operands: Operands) -> Tensor:
        match self.operand:
            case Operand.SOURCE:
                return operands.source
            case Operand.WEIGHTS:
                return operands.weights
            case Operand.RESULT:
                return operands.values


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """One flipped bit, and what it met. Operands are as they were without the flip."""

    chip: int
    product: int
    """Number of the product within what the chip executes in this step, from 0."""
    flip: Flip
    before: float
    after: float
    source: Matrix
    weights: Matrix


OnStrike = Callable[[Strike], None]
