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

SAMPLED_COLUMNS: Final = 128
"""So many columns stand for all where a row's sum of squares only sets how much rounding to allow:
12 % of the sum, and a few of the tolerance. Weights mix the columns, so any are as good.
"""

CHECK_COLUMNS: Final = 2
"""What a product carries beside its result: the promised checksum of that, and its source's."""


class Activations:
    """Rows that products read and write; a block with the check columns behind them."""

    def __init__(self, backend: Backend, values: Matrix, signs: Matrix) -> None:
        rows, columns = values.shape
        self.columns = columns
        self.block: Tensor = backend.put(np.zeros((rows, columns + CHECK_COLUMNS), np.float32))
        self.values: Tensor = self.block[:, :columns]
        self.values[:] = backend.put(values)
        self.signs: Tensor = backend.put(signs)
        exact = values.astype(np.float64)
        marks = np.column_stack([exact @ signs, (exact**2).sum(axis=1)])
        self.marks: Matrix = marks.astype(np.float32)
        """What was last judged of each row [rows, 2], on the host: checksum, sum of squares."""


class Scatter(NamedTuple):
    """What the rounding errors of a product with weights B [depth, columns] grow with: the terms
    of the variance in `ledger`, before the unit roundoff comes in.
    """

    most_gain: float
    """Largest sum of squares of a result over that of its source: the spectral norm squared."""
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
    def of(cls, values: Exact, checksum: Exact) -> "Scatter":
        """Of weights and their checksum column."""
        depth, columns = values.shape
        mean_row = float((values**2).sum(axis=1).mean())
        mean_check = float((checksum**2).mean())
        # Of the shorter side: a tenth of the time of singular values.
        gram = values @ values.T if depth < columns else values.T @ values
        return cls(
            most_gain=float(np.linalg.eigvalsh(gram)[-1]),
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
    block: Tensor
    values: Tensor
    """The block without its check columns."""
    signs: Tensor
    """Of the values' columns."""
    promised: Tensor
    """[2, rows]: what the result's checksum must be, and the source's as it was read."""
    sampled: Tensor
    """Those of the values whose squares are added up."""
    sampled_factor: float
    """The values' columns over those."""


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
        # What closes a pair is scaled by its sum of squares, so there it is the whole one.
        sampled = columns if self.closes_pair else min(columns, SAMPLED_COLUMNS)
        return Operands(
            source=self.source.values[first:end],
            weights=self.weights if self._verify else self.weights[:, :columns],
            block=block if self._verify else values,
            values=values,
            signs=self.target.signs,
            promised=block[:, columns:].T,
            sampled=block[:, :sampled],
            sampled_factor=columns / sampled,
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
        first = rounded(rng.standard_normal((BUFFER_ROWS, hidden), dtype=np.float32), precision)
        pairs = {
            width: (_drawn(rng, hidden, width), _drawn(rng, width, hidden)) for width in widths
        }
        signs = {size: _signs(rng, size) for size in sorted({hidden, *widths})}
        self.rows = Activations(backend, first, signs[hidden])
        made: dict[int, tuple[Product, Product]] = {}
        for width, (up, down) in pairs.items():
            # A chip may begin in the middle of a pair, on rows that none has written yet.
            between = rng.standard_normal((BUFFER_ROWS, width), dtype=np.float32)
            wide = Activations(backend, rounded(between, precision), signs[width])
            rise = _Weighed(_rounded_weights(up, precision), signs[hidden], signs[width], backend)
            fall = _Weighed(_rounded_weights(down, precision), signs[width], signs[hidden], backend)
            made[width] = (
                Product(self.rows, rise, wide, closes_pair=False, verify=verify),
                Product(wide, fall, self.rows, closes_pair=True, verify=verify),
            )
        self.products = tuple(product for width in shape.widths for product in made[width])


class _Weighed:
    """Weights with their checksums, made once; so a weight that changes later is found out."""

    def __init__(
        self, values: Matrix, source_signs: Matrix, target_signs: Matrix, backend: Backend
    ) -> None:
        columns = values.shape[1]
        exact = values.astype(np.float64)
        signed = exact * target_signs
        checksum = signed.sum(axis=1)
        ends = range(SMALLEST_COLUMNS, columns + 1, SMALLEST_COLUMNS)
        partial = np.cumsum(signed, axis=1)[:, [end - 1 for end in ends]]
        self.columns: Tensor = backend.put(np.column_stack([values, checksum, source_signs]))
        self.partial: Tensor = backend.put(partial.astype(np.float32))
        self.scatter = Scatter.of(exact, checksum)


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
