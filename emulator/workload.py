"""The real matrix products: scaled-down transformer layers, executed and counted."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from emulator.models import ModelShape

# Real hidden size, FFN width and vocabulary over those of the products.
SCALE: Final = 16
LONGEST_ROWS: Final = 256
_SMALLEST_COLUMNS: Final = 16

Matrix = NDArray[np.float32]
Flop = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductShape:
    """The products of one chip of a tensor-parallel group: hidden to width and back, by rows.

    `widths` is the order of a layer's up-and-down pairs: FFN, attention, and now and then the
    vocabulary, as often as their share of the true FLOP.
    """

    hidden: int
    widths: tuple[int, ...]


def product_shape(shape: ModelShape, tensor_parallel: int) -> ProductShape:
    """d, f and V divided by SCALE; f, heads and V also by the group."""
    ffn = _scaled(shape.top_k * shape.ffn, tensor_parallel)
    attention = _scaled((shape.heads + shape.kv_heads) * shape.head_dim, tensor_parallel)
    vocabulary = _scaled(shape.vocabulary, tensor_parallel)
    ffn_flop = shape.layers * shape.top_k * shape.expert_weights
    per_attention = ffn_flop / (shape.layers * shape.attention_weights) * attention / ffn
    per_vocabulary = ffn_flop / (shape.vocabulary * shape.hidden) * vocabulary / ffn
    layer = (*(ffn,) * max(1, round(per_attention)), attention)
    pairs = max(len(layer), round(per_vocabulary))
    return ProductShape(
        hidden=max(_SMALLEST_COLUMNS, shape.hidden // SCALE),
        widths=(*islice(cycle(layer), pairs), vocabulary),
    )


def _scaled(width: int, tensor_parallel: int) -> int:
    return max(_SMALLEST_COLUMNS, width // SCALE // tensor_parallel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One of a layer's products, with room for its longest operands."""

    source: Matrix
    weights: Matrix
    target: Matrix
    row_flop: float
    closes_pair: bool
    """Its result feeds the next pair, so it is kept bounded."""


class LayerProgram:
    """Weights and activations of one ProductShape, and its products in order.

    Each product reads what the one before wrote. Weights keep the mean square about constant, and
    a pair whose result has drifted away from one is scaled back, so values stay bounded for ever.
    Chips of one shape take turns on the same buffers.
    """

    def __init__(self, shape: ProductShape, rng: np.random.Generator) -> None:
        hidden = shape.hidden
        rows = _activations(rng, LONGEST_ROWS, hidden)
        pairs = {
            width: (_weights(rng, hidden, width), _weights(rng, width, hidden))
            for width in sorted(set(shape.widths))
        }
        wide = {width: np.zeros((LONGEST_ROWS, width), np.float32) for width in pairs}
        self.products: tuple[Product, ...] = tuple(
            product
            for width in shape.widths
            for product in (
                _product(rows, pairs[width][0], wide[width], closes_pair=False),
                _product(wide[width], pairs[width][1], rows, closes_pair=True),
            )
        )


def _product(source: Matrix, weights: Matrix, target: Matrix, *, closes_pair: bool) -> Product:
    return Product(
        source=source,
        weights=weights,
        target=target,
        row_flop=2.0 * weights.size,
        closes_pair=closes_pair,
    )


def _activations(rng: np.random.Generator, rows: int, columns: int) -> Matrix:
    return rng.standard_normal((rows, columns), dtype=np.float32)


def _weights(rng: np.random.Generator, rows: int, columns: int) -> Matrix:
    return rng.standard_normal((rows, columns), dtype=np.float32) / np.float32(math.sqrt(rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What each chip may execute now; arrays [chips]."""

    prefill_flop: Flop
    decode_flop: Flop
    decode_rows: NDArray[np.int64]
    """Longest batch that was decoded: the most rows of a decode product."""


class WorkloadEngine:
    """Executes the products of every chip in use, and says what was really executed.

    `place` gives a chip its shape; `execute` takes FLOP at the scale of the host and returns the
    FLOP [chips] counted from the shapes that ran. What is too small for a product is left over.
    """

    def __init__(self, chips: int, rng: np.random.Generator, *, threads: int = 1) -> None:
        self._rng = rng
        self._threads = threads
        self._blas = ThreadpoolController()
        self._programs: dict[ProductShape, LayerProgram] = {}
        self._program_of_chip: list[LayerProgram | None] = [None] * chips
        self._position = [0] * chips

    def place(self, chips: Mapping[int, ProductShape]) -> None:
        """Which chips are in use from now on, and with which products."""
        self._programs = {
            shape: self._programs.get(shape) or LayerProgram(shape, self._rng)
            for shape in sorted(set(chips.values()), key=lambda shape: (shape.hidden, shape.widths))
        }
        self._program_of_chip = [None] * len(self._program_of_chip)
        for chip, shape in chips.items():
            self._program_of_chip[chip] = self._programs[shape]
            self._position[chip] %= len(self._programs[shape].products)

    def rewind(self) -> None:
        """Every chip starts again at the first product of its layer."""
        self._position = [0] * len(self._position)

    def execute(self, orders: Orders) -> Flop:
        executed = np.zeros(len(self._program_of_chip))
        busy = np.flatnonzero(orders.prefill_flop + orders.decode_flop > 0.0).tolist()
        prefill = orders.prefill_flop.tolist()
        decode = orders.decode_flop.tolist()
        batch = np.clip(orders.decode_rows, 1, LONGEST_ROWS).tolist()
        with self._blas.limit(limits=self._threads, user_api="blas"):
            for chip in busy:
                program = self._program_of_chip[chip]
                if program is not None:
                    done = self._run(program, chip, prefill[chip], LONGEST_ROWS)
                    done += self._run(program, chip, decode[chip], batch[chip])
                    executed[chip] = done
        return executed

    def checksum(self) -> float:
        """Sum of all activations: finite, and equal for equal seeds and orders."""
        return math.fsum(
            float(program.products[0].source.sum()) for program in self._programs.values()
        )

    def _run(self, program: LayerProgram, chip: int, budget_flop: float, longest: int) -> float:
        """Products in the chip's order until less than a row of the next is left."""
        products, position = program.products, self._position[chip]
        left = budget_flop
        while True:
            product = products[position]
            rows = min(int(left / product.row_flop), longest)
            if not rows:
                break
            target = product.target[:rows]
            np.matmul(product.source[:rows], product.weights, target)
            if product.closes_pair:
                _bound(target)
            left -= rows * product.row_flop
            position += 1
            if position == len(products):
                position = 0
        if left == budget_flop:
            left -= _run_columns(products[position], left)
        self._position[chip] = position
        return budget_flop - left


def _run_columns(product: Product, budget_flop: float) -> float:
    """Part of one row, so that a nearly idle chip does its little each time; FLOP executed."""
    depth = product.weights.shape[0]
    columns = int(budget_flop / (2.0 * depth))
    columns -= columns % _SMALLEST_COLUMNS
    if not columns:
        return 0.0
    np.matmul(product.source[:1], product.weights[:, :columns], out=product.target[:1, :columns])
    if product.closes_pair:
        _bound(product.target[:1])
    return 2.0 * float(depth * columns)


def _bound(rows: Matrix) -> None:
    flat = rows.ravel()
    mean_square = float(np.dot(flat, flat)) / flat.size
    if not 0.25 <= mean_square <= 4.0:
        rows *= np.float32(1.0 / math.sqrt(mean_square + 1e-12))
