"""Transformer shapes, and the FLOP and bytes that serving them takes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class Precision(StrEnum):
    FP8 = "fp8"  # weights, cache and products of 8 bits; MXFP4 runs at the same rate
    BF16 = "bf16"  # 16 bits throughout


class Role(StrEnum):
    SERVE = "serve"  # prompts and answers on the same chips
    PREFILL = "prefill"  # prompts only; the cache moves on
    DECODE = "decode"  # answers only, from a cache that was moved here


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """One transformer. Formulae: per layer d e (2h + 2g) attention and 3 d f FFN weights, 2 FLOP a
    weight, 4 L h e c for attention over c tokens.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    """Width of one expert, or of the dense FFN."""
    experts: int = 1
    top_k: int = 1
    vocabulary: int
    weight_bytes: float = 1.0
    """Per weight: 1 is FP8; MXFP4 has 4 bits and a shared scale."""
    kv_bytes: float = 1.0
    """Per cached value."""
    windowed_ratio: float = 0.0
    """Share of layers that attend to the last `window` tokens only."""
    window: int = 0
    precision: Precision = Precision.FP8

    @property
    def attention_weights(self) -> float:
        """Of one layer."""
        return self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)

    @property
    def expert_weights(self) -> float:
        """Of one expert of one layer."""
        return 3.0 * self.hidden * self.ffn

    @property
    def total_weights(self) -> float:
        """Input and output embedding included."""
        stored = self.attention_weights + self.experts * self.expert_weights
        return self.layers * stored + 2.0 * self.vocabulary * self.hidden

    @property
    def active_weights(self) -> float:
        """That one token meets, without the embeddings."""
        return self.layers * (self.attention_weights + self.top_k * self.expert_weights)

    @property
    def stored_bytes(self) -> float:
        return self.total_weights * self.weight_bytes

    @property
    def head_flop(self) -> float:
        """Logits of one token."""
        return 2.0 * self.vocabulary * self.hidden

    @property
    def token_flop(self) -> float:
        """One token through all layers, without attention over its context and without logits."""
        return 2.0 * self.active_weights

    @property
    def context_flop(self) -> float:
        """Attention of one token over one token of context, in the layers that see all of it."""
        return self._attended_flop * (1.0 - self.windowed_ratio)

    @property
    def window_flop(self) -> float:
        """The same in the layers that see the window only."""
        return self._attended_flop * self.windowed_ratio

    @property
    def _attended_flop(self) -> float:
        return 4.0 * self.layers * self.heads * self.head_dim

    @property
    def context_bytes(self) -> float:
        """KV cache of one token, all layers."""
        return 2.0 * self.layers * self.kv_heads * self.head_dim * self.kv_bytes

    @property
    def context_read_bytes(self) -> float:
        """Read of one token of context by the layers that see all of it."""
        return self.context_bytes * (1.0 - self.windowed_ratio)

    @property
    def window_read_bytes(self) -> float:
        """The same by the layers that see the window only."""
        return self.context_bytes * self.windowed_ratio

    @property
    def rank_weights(self) -> float:
        """Read by every data-parallel rank of attention: attention and the logits' matrix."""
        return self.layers * self.attention_weights + self.vocabulary * self.hidden

    def experts_touched(self, tokens: float) -> float:
        """Of each layer, by one pass of `tokens`: E (1 - (1 - k/E)^tokens)."""
        if self.experts == 1:
            return 1.0
        missed: float = (1.0 - self.top_k / self.experts) ** tokens
        return self.experts * (1.0 - missed)

    def touched_bytes(self, tokens: float, ranks: int = 1) -> float:
        """Weights read by one pass of `tokens` in a group of so many ranks of attention."""
        experts = self.layers * self.experts_touched(tokens) * self.expert_weights
        return (ranks * self.rank_weights + experts) * self.weight_bytes

    def at_bf16(self) -> "ModelShape":
        """The model with weights and cache of 16 bits."""
        return replace(self, weight_bytes=2.0, kv_bytes=2.0, precision=Precision.BF16)


def _shapes(*shapes: ModelShape) -> dict[str, ModelShape]:
    return {shape.name: shape for shape in shapes}


# Published config files of the models; Llama 3.1 405B after the Llama 3 paper.
MODELS: Final[Mapping[str, ModelShape]] = _shapes(
    ModelShape(
        name="llama-3-8b",
        layers=32,
        hidden=4_096,
        heads=32,
        kv_heads=8,
        head_dim=128,
        ffn=14_336,
        vocabulary=128_256,
    ),
    ModelShape(
        name="llama-3-70b",
        layers=80,
        hidden=8_192,
        heads=64,
        kv_heads=8,
        head_dim=128,
        ffn=28_672,
        vocabulary=128_256,
    ),
    ModelShape(
        name="llama-3.1-405b",
        layers=126,
        hidden=16_384,
        heads=128,
        kv_heads=8,
        head_dim=128,
        ffn=53_248,
        vocabulary=128_256,
    ),
    ModelShape(
        name="gpt-oss-120b",
        layers=36,
        hidden=2_880,
        heads=64,
        kv_heads=8,
        head_dim=64,
        ffn=2_880,
        experts=128,
        top_k=4,
        vocabulary=201_088,
        weight_bytes=0.53125,
        windowed_ratio=0.5,
        window=128,
    ),
    ModelShape(
        name="qwen3-235b-a22b",
        layers=94,
        hidden=4_096,
        heads=64,
        kv_heads=4,
        head_dim=128,
        ffn=1_536,
        experts=128,
        top_k=8,
        vocabulary=151_936,
    ),
)


SERVED: Final[Mapping[str, tuple[ModelShape, Role]]] = {
    name + suffix: (shape, role)
    for name, shape in MODELS.items()
    for suffix, role in (("", Role.SERVE), (":prefill", Role.PREFILL), (":decode", Role.DECODE))
}
"""What a job's model text asks for: `llama-3-70b`, or a role of it as `llama-3-70b:decode`."""
