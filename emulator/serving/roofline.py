"""How long prefill and decode steps of a replica take, and what they compute and move."""

from dataclasses import dataclass, field

from emulator.models import ModelShape
from emulator.skus import SkuSettings

ACTIVATION_BYTES = 2.0  # BF16 between the chips of a group


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCost:
    """Roofline of one model on a tensor-parallel group of `chips`.

    step = max(FLOP / (peak x efficiency), bytes / (bandwidth x efficiency)) + collectives; two
    all-reduces a layer of B d activations, each moving 2 (p - 1) / p of that per chip, and for
    mixtures of experts two all-to-alls of B k d.
    """

    shape: ModelShape
    chips: int
    sku: SkuSettings
    max_batch: int = 256
    touched: tuple[float, ...] = field(init=False)
    """Weight bytes of a decode step by batch, 0..max_batch."""
    token_collective_s: float = field(init=False)
    kv_tokens: int = field(init=False)
    """Tokens whose KV cache fits beside the weights; 0 or less: the model does not fit."""

    def __post_init__(self) -> None:
        shape, sku, p = self.shape, self.sku, self.chips
        moved = 2.0 * shape.hidden * 2.0 * (p - 1) / p
        if shape.experts > 1:
            moved += 2.0 * shape.top_k * shape.hidden * (p - 1) / p
        per_token = shape.layers * moved * ACTIVATION_BYTES / sku.link_bytes_per_s
        room = p * sku.hbm_bytes * sku.usable_hbm_ratio - shape.stored_bytes
        touched = tuple(shape.touched_bytes(batch) for batch in range(self.max_batch + 1))
        object.__setattr__(self, "touched", touched)
        object.__setattr__(self, "token_collective_s", per_token)
        object.__setattr__(self, "kv_tokens", int(room / shape.context_bytes))

    @property
    def flop_per_s(self) -> float:
        """That the group reaches."""
        return self.chips * self.sku.peak_flop_per_s * self.sku.tensor_efficiency_ratio

    @property
    def bytes_per_s(self) -> float:
        """That the group reaches."""
        return self.chips * self.sku.hbm_bytes_per_s * self.sku.hbm_efficiency_ratio

    def prefill(self, tokens: int, requests: int, squares: float) -> tuple[float, float, float]:
        """Seconds, FLOP and bytes of one pass over `requests` prompts of `tokens` in all.

        `squares` is the sum of squared prompt lengths: attention averages half of the prompt.
        """
        shape = self.shape
        flop = (
            tokens * shape.token_flop
            + requests * shape.head_flop
            + 0.5 * shape.context_flop * squares
        )
        moved = shape.touched_bytes(tokens) + tokens * shape.context_bytes
        seconds = max(flop / self.flop_per_s, moved / self.bytes_per_s)
        return seconds + tokens * self.token_collective_s, flop, moved

    def decode(self, batch: int, context: float) -> tuple[float, float, float]:
        """Seconds, FLOP and bytes of one step of `batch` requests with `context` tokens in all."""
        shape = self.shape
        flop = batch * (shape.token_flop + shape.head_flop) + shape.context_flop * context
        moved = self.touched[batch] + context * shape.context_read_bytes
        seconds = max(flop / self.flop_per_s, moved / self.bytes_per_s)
        return seconds + batch * self.token_collective_s, flop, moved

    def capacity_per_s(self, prompt_tokens: float, output_tokens: float) -> float:
        """Requests a second of one saturated replica for the mean request given."""
        length = prompt_tokens + output_tokens
        batch = max(1, min(self.max_batch, int(self.kv_tokens / length)))
        prefill_s, _, _ = self.prefill(round(prompt_tokens), 1, prompt_tokens**2)
        step_s, _, _ = self.decode(batch, batch * (prompt_tokens + 0.5 * output_tokens))
        return 1.0 / (prefill_s + output_tokens * step_s / batch)
