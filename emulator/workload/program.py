"""Weights and activations of one model's shape, with the checksums that go with them."""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.workload.backend import Backend, Tensor
from emulator.workload.number_type import Matrix, NumberType, rounded
from emulator.workload.shapes import BUFFER_ROWS, SMALLEST_COLUMNS, ProductShape

Exact = NDArray[np.float64]

LANES: Final = 8
"""Running sums that a dot product has at the least: those of one 256-bit register."""

FALSE_ALARM_PROBABILITY: Final = 1e-9
"""At the most, of one comparison. It is far less where sums run in more lanes or in blocks, as
they do: E8 of the benchmark prints how near to their tolerance sound products come.
"""

LONE_SUM: Final = math.log(2.0 / FALSE_ALARM_PROBABILITY) / (2.0 * math.pi**2)
"""In place of 1 / 6 where one sum stands alone: see `ledger`."""

_DRAWN_ROWS: Final = 64

CHECK_COLUMNS: Final = 2
"""What a product carries beside its result: the promised checksum of that, and its source's."""


class Activations:
    """Rows that products read and write; a block with the check columns behind them."""

    def __init__(self, backend: Backend, drawn: Matrix, signs: Matrix) -> None:
        """Every row is one of those that were drawn [some, columns], turned by some columns."""
        some, columns = drawn.shape
        self.columns = columns
        block = np.zeros((BUFFER_ROWS, columns + CHECK_COLUMNS), np.float32)
        for number, first in enumerate(range(0, BUFFER_ROWS, some)):
            turn = number % columns
            rows = block[first : first + some]
            rows[:, turn:columns] = drawn[:, : columns - turn]
            rows[:, :turn] = drawn[:, columns - turn :]
        self.block: Tensor = backend.put(block)
        self.values: Tensor = self.block[:, :columns]
        self.signs: Tensor = backend.put(signs)
        notes = backend.put(np.zeros((2, BUFFER_ROWS), np.float32))
        backend.take_checksums(self.block, self.signs, notes, 0, carried=False)
        self.marks: Matrix = backend.host(notes)
        """Of the rows as they were made [2, rows], on the host: checksum, sum of squares."""


class Scatter(NamedTuple):
    """What the rounding errors of a product with weights B [depth, columns] grow with: the terms
    of the variance in `ledger`, before the unit roundoff comes in.
    """

    most_gain: float
    """No less than the largest sum of squares of a result over that of its source."""
    result_weight: float
    """For each unit of the result's sum of squares."""
    checksum_weight: float
    """For each unit of the result's checksum squared."""
    source_weight: float
    """For each unit of the source's sum of squares."""
    read_checksum_weight: float
    """For each unit of the source's checksum squared, when that is compared."""
    read_source_weight: float
    """For each unit of the source's sum of squares, when its checksum is compared."""

    @classmethod
    def of(cls, values: Matrix, checksum: Exact) -> "Scatter":
        """Of weights and their checksum column."""
        depth, columns = values.shape
        mean_row = float(np.vecdot(values, values).mean())
        mean_check = float((checksum**2).mean())
        return cls(
            most_gain=_most_gain(values),
            result_weight=depth / 3.0 + columns / LANES / 2.0,
            checksum_weight=depth / 3.0 + columns / LANES**2 / 3.0,
            source_weight=depth / 6.0 * mean_row + depth * LONE_SUM * mean_check,
            read_checksum_weight=depth / 3.0 + depth / LANES**2 / 3.0,
            read_source_weight=depth * LONE_SUM + depth / LANES / 2.0,
        )


class Operands(NamedTuple):
    """A product's operands cut to so many rows; once, since cutting costs as much as checking."""

    source: Tensor
    weights: Tensor
    result: Tensor
    """What source times weights fills: the values, and behind them the check columns if any."""
    block: Tensor
    """The target's rows, whole."""
    values: Tensor
    """The block without its check columns."""
    signs: Tensor
    """Of the values' columns."""


class Product:
    """One of a layer's products: source times weights into target.

    `weights` [depth, columns + 2] ends with the checksum column B w and the signs of the source,
    so that one product gives the result, what its checksum must be, and what its source's is.
    `partial` [depth, columns / 16] is B w over the first 16, 32, ... columns. The result of a
    product that closes a pair feeds the next pair, so it is kept bounded.
    """

    def __init__(
        self,
        source: Activations,
        weights: "_Weighed",
        target: Activations,
        *,
        closes_pair: bool,
        verify: bool,
    ) -> None:
        self.source = source
        self.weights = weights.columns
        self.partial = weights.partial
        self.scatter = weights.scatter
        self.target = target
        self.closes_pair = closes_pair
        self.row_flop = 2.0 * source.columns * target.columns
        self._verify = verify
        self._operands: list[Operands | None] = [None] * (BUFFER_ROWS + 1)

    def operands(self, rows: int) -> Operands:
        """Of the first so many rows."""
        known = self._operands[rows]
        if known is None:
            known = self._operands[rows] = self.cut(0, rows)
        return known

    def cut(self, first: int, end: int) -> Operands:
        """Of some rows."""
        block = self.target.block[first:end]
        columns = self.target.columns
        values = block[:, :columns]
        return Operands(
            source=self.source.values[first:end],
            weights=self.weights if self._verify else self.weights[:, :columns],
            result=block if self._verify else values,
            block=block,
            values=values,
            signs=self.target.signs,
        )


class LayerProgram:
    """Weights and activations of one ProductShape, and its products in order.

    Each product reads what the one before wrote. Weights keep the mean square about constant, and
    a pair whose result has drifted away from one is scaled back, so values stay bounded for ever.
    Chips of one shape take turns on the same buffers.
    """

    def __init__(
        self,
        shape: ProductShape,
        rng: np.random.Generator,
        backend: Backend,
        precision: NumberType = NumberType.FP32,
        *,
        verify: bool = True,
    ) -> None:
        hidden = shape.hidden
        widths = sorted(set(shape.widths))
        first = rounded(_some_rows(rng, hidden), precision)
        pairs = {
            width: (_drawn(rng, hidden, width), _drawn(rng, width, hidden)) for width in widths
        }
        signs = {size: _signs(rng, size) for size in sorted({hidden, *widths})}
        self.rows = Activations(backend, first, signs[hidden])
        made: dict[int, tuple[Product, Product]] = {}
        for width, (up, down) in pairs.items():
            # A chip may begin in the middle of a pair, on rows that none has written yet.
            wide = Activations(backend, rounded(_some_rows(rng, width), precision), signs[width])
            rise = _Weighed(_rounded_weights(up, precision), signs[hidden], signs[width], backend)
            fall = _Weighed(_rounded_weights(down, precision), signs[width], signs[hidden], backend)
            made[width] = (
                Product(self.rows, rise, wide, closes_pair=False, verify=verify),
                Product(wide, fall, self.rows, closes_pair=True, verify=verify),
            )
        self.products = tuple(product for width in shape.widths for product in made[width])
        self.activations = (self.rows, *(rise.target for rise, _ in made.values()))


class _Weighed:
    """Weights with their checksums, made once; so a weight that changes later is found out."""

    def __init__(
        self, values: Matrix, source_signs: Matrix, target_signs: Matrix, backend: Backend
    ) -> None:
        depth, columns = values.shape
        signed = np.multiply(values, target_signs, dtype=np.float64)
        checksum = signed.sum(axis=1)
        pieces = columns // SMALLEST_COLUMNS
        of_piece = signed[:, : pieces * SMALLEST_COLUMNS].reshape(depth, pieces, SMALLEST_COLUMNS)
        partial = np.cumsum(of_piece.sum(axis=2), axis=1)
        self.columns: Tensor = backend.put(np.column_stack([values, checksum, source_signs]))
        self.partial: Tensor = backend.put(partial.astype(np.float32))
        self.scatter = Scatter.of(values, checksum)


def _most_gain(values: Matrix) -> float:
    """Spectral norm squared, from above: the eighth root of the Frobenius norm of the eighth power
    of the Gram matrix, which is too large by the 16th root of its dimension at the most. In a
    tenth of the time that eigenvalues take.
    """
    depth, columns = values.shape
    gram = values @ values.T if depth < columns else values.T @ values
    size = float(gram.trace())
    power = gram / np.float32(size)
    for _ in range(3):
        power = power @ power
    squares = float(np.vdot(power, power))
    return size * math.pow(squares, 1.0 / 16.0)


def _some_rows(rng: np.random.Generator, columns: int) -> Matrix:
    return rng.standard_normal((_DRAWN_ROWS, columns), dtype=np.float32)


def _drawn(rng: np.random.Generator, rows: int, columns: int) -> Matrix:
    return rng.standard_normal((rows, columns), dtype=np.float32) / np.float32(math.sqrt(rows))


def _signs(rng: np.random.Generator, size: int) -> Matrix:
    """Checksum weights of +1 and -1: exact in every type, and no error is weighed more."""
    return np.where(rng.integers(0, 2, size) == 1, 1.0, -1.0).astype(np.float32)


def _rounded_weights(values: Matrix, precision: NumberType) -> Matrix:
    """Rounded about one, where e4m3 is at its best, and scaled back by a power of two."""
    scale = np.float32(weight_scale(values.shape[0]))
    return rounded(values * scale, precision) / scale


def weight_scale(depth: int) -> float:
    """Power of two that brings weights of such a depth to about one."""
    return 2.0 ** round(0.5 * math.log2(depth))
