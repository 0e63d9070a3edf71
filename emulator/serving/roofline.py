"""How long prefill and decode steps of a replica take, and what they compute and move."""

from dataclasses import dataclass, field
from typing import NamedTuple

from emulator.models import ModelShape, Precision
from emulator.skus import SkuSettings

_ACTIVATION_BYTES = 2.0  # BF16 between the chips of a group


class StepWork(NamedTuple):
    """One pass or step: seconds of compute at full clock without collectives, FLOP and bytes."""

    busy_s: float
    flop: float
    moved_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharding:
    """How a group of chips holds a model.

    Attention is split over `tensor` chips, no more than there are KV heads in a mixture of experts;
    what is left of such a group are data-parallel ranks of attention with requests of their own.
    Experts are spread whole over all chips. A dense model is split over all of them. Wafers have
    only a network between them, so each holds some of the layers, and batches pass in a pipeline.
    """

    chips: int
    tensor: int
    stages: int = 1

    @classmethod
    def of(cls, shape: ModelShape, chips: int, *, pipelined: bool = False) -> "Sharding":
        if pipelined:
            return cls(chips=chips, tensor=1, stages=chips)
        if shape.experts == 1:
            return cls(chips=chips, tensor=chips)
        tensor = min(chips, shape.kv_heads)
        while chips % tensor:
            tensor -= 1
        return cls(chips=chips, tensor=tensor)

    @property
    def ranks(self) -> int:
        return self.chips // self.tensor // self.stages

    def collective_bytes(self, shape: ModelShape) -> float:
        """Moved by each chip for one token of the group.

        Two all-reduces a layer of the d activations in the tensor group, each 2 (t - 1) / t of
        that; with experts two all-to-alls of k d, of which a chip sends its own tokens' share. In
        a pipeline only the d activations from stage to stage.
        """
        tensor, chips = self.tensor, self.chips
        if self.stages > 1:
            return (self.stages - 1) * shape.hidden * _ACTIVATION_BYTES
        moved = 2.0 * shape.hidden * 2.0 * (tensor - 1) / tensor / self.ranks
        if shape.experts > 1 and chips > 1:
            moved += 2.0 * shape.top_k * shape.hidden * (chips - 1) / chips / chips
        return shape.layers * moved * _ACTIVATION_BYTES

    def stored_bytes(self, shape: ModelShape) -> float:
        """On all chips: each further rank holds attention and embeddings again."""
        again = shape.rank_weights + shape.vocabulary * shape.hidden
        return shape.stored_bytes + (self.ranks - 1) * again * shape.weight_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCost:
    """Roofline of one model on a group of chips.

    step = max(FLOP / (peak x efficiency), bytes / (bandwidth x efficiency)) + collectives. In a
    pipeline the batch is in as many parts as there are stages, each of which reads the weights.
    """

    shape: ModelShape
    chips: int
    sku: SkuSettings
    max_batch: int = 256
    sharding: Sharding = field(init=False)
    flop_per_s: float = field(init=False)
    """That the group reaches."""
    bytes_per_s: float = field(init=False)
    """That the group reaches."""
    touched: tuple[float, ...] = field(init=False)
    """Weight bytes of a decode step by batch, 0..max_batch."""
    collective_bytes: float = field(init=False)
    """Moved by each chip for one token."""
    kv_tokens: int = field(init=False)
    """Tokens whose KV cache fits beside the weights; 0 or less: the model does not fit."""
    token_flop: float = field(init=False)
    """One token through all layers and the logits, without its context."""
    # The shape's figures, worked out once: they are asked for at every pass.
    layers_flop: float = field(init=False)
    head_flop: float = field(init=False)
    context_flop: float = field(init=False)
    context_bytes: float = field(init=False)
    context_read_bytes: float = field(init=False)
    one_token_bytes: float = field(init=False)
    """Weights read by a pass over one token; over many, if there are no experts."""

    def __post_init__(self) -> None:
        shape, sku = self.shape, self.sku
        pipelined = self.chips > 1 and not sku.hbm_stacks
        sharding = Sharding.of(shape, self.chips, pipelined=pipelined)
        room = self.chips * sku.hbm_bytes * sku.usable_hbm_ratio - sharding.stored_bytes(shape)
        for name, value in (
            ("sharding", sharding),
            ("flop_per_s", self.chips * self.peak_flop_per_s * sku.tensor_efficiency_ratio),
            ("bytes_per_s", self.chips * sku.hbm_bytes_per_s * sku.hbm_efficiency_ratio),
            ("touched", self._touched(sharding)),
            ("collective_bytes", sharding.collective_bytes(shape)),
            ("kv_tokens", int(room / shape.context_bytes)),
            ("token_flop", shape.token_flop + shape.head_flop),
            ("layers_flop", shape.token_flop),
            ("head_flop", shape.head_flop),
            ("context_flop", shape.context_flop),
            ("context_bytes", shape.context_bytes),
            ("context_read_bytes", shape.context_read_bytes),
            ("one_token_bytes", shape.touched_bytes(1, sharding.ranks)),
        ):
            object.__setattr__(self, name, value)

    def _touched(self, sharding: Sharding) -> tuple[float, ...]:
        return tuple(
            sharding.stages * self.shape.touched_bytes(batch / sharding.stages, sharding.ranks)
            for batch in range(self.max_batch + 1)
        )

    @property
    def peak_flop_per_s(self) -> float:
        """Of one chip at the model's precision."""
        if self.shape.precision is Precision.BF16:
            return self.sku.peak_bf16_flop_per_s
        return self.sku.peak_flop_per_s

    @property
    def ridge_flop_per_byte(self) -> float:
        """Where compute and bandwidth of a chip take equally long, at their nameplates."""
        return self.peak_flop_per_s / self.sku.hbm_bytes_per_s

    def prefill(self, tokens: int, requests: int, squares: float, cached: int = 0) -> StepWork:
        """One pass over `requests` prompts, of which `tokens` in all are to be computed.

        `squares` is the sum of squared prompt lengths less that of their `cached` parts: attention
        averages half of the prompt. What is cached is read and not computed.
        """
        shape = self.shape
        flop = tokens * self.layers_flop + requests * self.head_flop
        flop += 0.5 * self.context_flop * squares
        if shape.window:
            flop += shape.window_flop * min(0.5 * squares, float(tokens * shape.window))
        moved = self.one_token_bytes
        if shape.experts > 1:
            moved = shape.touched_bytes(tokens, self.sharding.ranks)
        moved += tokens * self.context_bytes + cached * self.context_read_bytes
        return StepWork(max(flop / self.flop_per_s, moved / self.bytes_per_s), flop, moved)

    def decode(self, batch: int, context: float) -> StepWork:
        """One step of `batch` requests with `context` tokens in all."""
        shape = self.shape
        flop = batch * self.token_flop + self.context_flop * context
        moved = self.touched[batch] + context * self.context_read_bytes
        if shape.window:
            windowed = min(context, float(batch * shape.window))
            flop += windowed * shape.window_flop
            moved += windowed * shape.window_read_bytes
        return StepWork(max(flop / self.flop_per_s, moved / self.bytes_per_s), flop, moved)

    def collective_s(self, tokens: int, bytes_per_s: float) -> float:
        """Of one pass or step over `tokens`, with what each chip can move."""
        return tokens * self.collective_bytes / bytes_per_s if self.collective_bytes else 0.0

    def capacity_per_s(
        self, prompt_tokens: float, output_tokens: float, pass_tokens: int = 1
    ) -> float:
        """Requests a second of one saturated replica for the mean request given."""
        prompts_per_s, answers_per_s = self.rates_per_s(prompt_tokens, output_tokens, pass_tokens)
        return 1.0 / (1.0 / prompts_per_s + 1.0 / answers_per_s)

    def rates_per_s(
        self,
        prompt_tokens: float,
        output_tokens: float,
        pass_tokens: int = 1,
        link_bytes_per_s: float | None = None,
    ) -> tuple[float, float]:
        """Requests a second, if the replica did nothing but prompts, and nothing but answers.

        A pass takes whole prompts of `pass_tokens` in all, and at least one. Links are those of the
        chip, if nothing is said.
        """
        length = prompt_tokens + output_tokens
        batch = max(1, min(self.max_batch, int(self.kv_tokens / length)))
        prompts = max(1, int(pass_tokens / prompt_tokens))
        tokens, link = round(prompts * prompt_tokens), link_bytes_per_s or self.sku.link_bytes_per_s
        pass_s = self.prefill(tokens, prompts, prompts * prompt_tokens**2).busy_s
        step_s = self.decode(batch, batch * (prompt_tokens + 0.5 * output_tokens)).busy_s
        pass_s += self.collective_s(tokens, link)
        step_s += self.collective_s(batch, link)
        return prompts / pass_s, batch / (output_tokens * step_s)
