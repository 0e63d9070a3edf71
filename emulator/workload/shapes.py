"""Which products stand for a model: its layers, scaled down to what the host can execute."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final

from emulator.models import ModelShape

# Real hidden size, FFN width and vocabulary over those of the products.
SCALE: Final = 16
LONGEST_ROWS: Final = 256
"""Of one chip in one product."""
TOGETHER: Final = 4
"""Chips that execute a product as one, at the most: those of a small tensor-parallel group."""
BUFFER_ROWS: Final = TOGETHER * LONGEST_ROWS
SMALLEST_COLUMNS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductShape:
    """The products of one chip of a tensor-parallel group: hidden to width and back, by rows.

    `widths` is the order of a layer's up-and-down pairs: FFN, attention, and now and then the
    vocabulary, as often as their share of the true FLOP.
    """

    hidden: int
    widths: tuple[int, ...]


Shapes = Mapping[int, ProductShape]
"""By chip."""


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
        hidden=max(SMALLEST_COLUMNS, shape.hidden // SCALE),
        widths=(*islice(cycle(layer), pairs), vocabulary),
    )


def _scaled(width: int, tensor_parallel: int) -> int:
    return max(SMALLEST_COLUMNS, width // SCALE // tensor_parallel)
