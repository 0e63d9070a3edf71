from dataclasses import replace

import pytest

from emulator.models import MODELS, ModelShape
from emulator.serving.roofline import Sharding, StepCost
from emulator.skus import generation_settings
from fleet.topology import Generation

SKU = generation_settings(Generation.TRN3_GEN2).chip
CONTEXT = 2_048


def cost_of(name: str, chips: int = 4) -> StepCost:
    # The published figures hold for FP8 weights and attention over the whole context.
    shape = replace(MODELS[name], weight_bytes=1.0, windowed_ratio=0.0)
    return StepCost(shape=shape, chips=chips, sku=SKU)


@pytest.mark.parametrize(
    ("name", "batch", "step_ms", "flop_per_byte", "tensor_percent"),
    [
        ("llama-3-70b", 1, 5.1, 2, 0.3),
        ("llama-3-70b", 32, 5.9, 58, 7.9),
        ("llama-3-70b", 128, 8.2, 164, 22),
        ("llama-3-70b", 256, 11.3, 238, 32),
        ("llama-3-8b", 32, 0.9, 44, 5.9),
        ("llama-3-8b", 256, 3.1, 98, 13),
        ("gpt-oss-120b", 32, 5.6, 5, 0.7),
        ("gpt-oss-120b", 256, 9.9, 22, 3.0),
        ("qwen3-235b-a22b", 32, 15, 7.5, 1.0),
        ("qwen3-235b-a22b", 256, 21, 44, 6.1),
    ],
)
def test_decode_steps_match_the_reference_table(
    name: str, batch: int, step_ms: float, flop_per_byte: float, tensor_percent: float
) -> None:
    cost = cost_of(name)

    seconds, flop, moved = cost.decode(batch, batch * CONTEXT)

    assert seconds * 1e3 == pytest.approx(step_ms, rel=0.05)
    assert flop / moved == pytest.approx(flop_per_byte, rel=0.08)
    tensor = flop / seconds / (4 * SKU.peak_flop_per_s)
    assert tensor * 100 == pytest.approx(tensor_percent, rel=0.15)


def test_dense_prefill_is_compute_bound_and_sparse_prefill_is_not() -> None:
    dense, sparse = cost_of("llama-3-70b"), cost_of("gpt-oss-120b")

    dense_s, dense_flop, _ = dense.prefill(CONTEXT, 1, CONTEXT**2)
    sparse_s, _, sparse_bytes = sparse.prefill(CONTEXT, 1, CONTEXT**2)

    assert dense_s == pytest.approx(0.057, rel=0.02)
    assert dense_s == pytest.approx(dense_flop / dense.flop_per_s)
    assert sparse_s == pytest.approx(sparse_bytes / sparse.bytes_per_s)


@pytest.mark.parametrize(
    ("name", "smallest"),
    [("llama-3-8b", 1), ("gpt-oss-120b", 1), ("llama-3-70b", 1), ("qwen3-235b-a22b", 2)],
)
def test_smallest_group_that_holds_a_model(name: str, smallest: int) -> None:
    shape = MODELS[name]

    assert StepCost(shape=shape, chips=smallest, sku=SKU).kv_tokens > 0
    if smallest > 1:
        assert StepCost(shape=shape, chips=smallest - 1, sku=SKU).kv_tokens <= 0


def test_405b_does_not_fit_on_two_chips() -> None:
    assert StepCost(shape=MODELS["llama-3.1-405b"], chips=2, sku=SKU).kv_tokens <= 0
    assert StepCost(shape=MODELS["llama-3.1-405b"], chips=4, sku=SKU).kv_tokens > 0


@pytest.mark.parametrize(("bf16", "ridge"), [(False, 514), (True, 137)])
def test_the_ridge_of_trainium3_is_the_published_one(bf16: bool, ridge: float) -> None:
    shape = MODELS["llama-3-70b"].at_bf16() if bf16 else MODELS["llama-3-70b"]

    cost = StepCost(shape=shape, chips=4, sku=SKU)

    assert round(cost.ridge_flop_per_byte) == ridge


def test_a_step_turns_from_bandwidth_to_compute_at_the_ridge() -> None:
    cost = cost_of("llama-3-70b")
    turn = cost.flop_per_s / cost.bytes_per_s
    for tokens in (64, 4_096):
        work = cost.prefill(tokens, 1, 0.0)
        bound = work.flop / cost.flop_per_s, work.moved_bytes / cost.bytes_per_s
        assert work.busy_s == max(bound)
        assert (bound[0] > bound[1]) is (work.flop / work.moved_bytes > turn)
    # 0.5 of the peak over 0.7 of the bandwidth.
    assert turn == pytest.approx(cost.ridge_flop_per_byte * 0.5 / 0.7)


def test_half_of_the_layers_of_gpt_oss_see_their_window_only() -> None:
    windowed, plain = MODELS["gpt-oss-120b"], replace(MODELS["gpt-oss-120b"], windowed_ratio=0.0)
    long, short = 8 * 100_000, 8 * 100

    def read(shape: ModelShape, context: int) -> float:
        cost = StepCost(shape=shape, chips=4, sku=SKU)
        return cost.decode(8, context).moved_bytes - cost.touched[8]

    assert read(windowed, long) == pytest.approx(0.5 * read(plain, long), rel=0.01)
    assert read(windowed, short) == pytest.approx(read(plain, short))


def test_the_logits_are_paid_once_a_prompt() -> None:
    cost = cost_of("llama-3-8b")

    one, two = cost.prefill(1_000, 1, 0.0), cost.prefill(1_000, 2, 0.0)

    assert two.flop - one.flop == pytest.approx(2.0 * 128_256 * 4_096)


def test_what_is_cached_is_read_and_not_computed() -> None:
    cost = cost_of("llama-3-70b")
    whole = cost.prefill(8_192, 1, 8_192.0**2)
    rest = cost.prefill(4_096, 1, 8_192.0**2 - 4_096.0**2, cached=4_096)
    first = cost.prefill(4_096, 1, 4_096.0**2)

    assert first.flop + rest.flop - cost.shape.head_flop == pytest.approx(whole.flop)
    assert rest.busy_s < whole.busy_s


@pytest.mark.parametrize(
    ("name", "chips", "tensor", "ranks"),
    [
        ("llama-3-70b", 16, 16, 1),
        ("gpt-oss-120b", 8, 8, 1),
        ("gpt-oss-120b", 64, 8, 8),
        ("qwen3-235b-a22b", 16, 4, 4),
        ("qwen3-235b-a22b", 6, 3, 2),
    ],
)
def test_wide_groups_of_experts_have_ranks_of_attention(
    name: str, chips: int, tensor: int, ranks: int
) -> None:
    sharding = Sharding.of(MODELS[name], chips)

    assert (sharding.tensor, sharding.ranks) == (tensor, ranks)


def test_collectives_are_two_all_reduces_and_with_experts_two_all_to_alls() -> None:
    dense, sparse = MODELS["llama-3-70b"], MODELS["qwen3-235b-a22b"]

    # 80 layers, 2 all-reduces of 8,192 BF16 values, 2 x 3/4 of which each chip moves.
    assert Sharding.of(dense, 4).collective_bytes(dense) == 80 * 2 * 8_192 * 2 * 2 * 0.75
    assert Sharding.of(dense, 1).collective_bytes(dense) == 0.0
    reduced = 94 * 2 * 4_096 * 2 * 2 * 0.75 / 2  # four chips of eight, so half of the tokens
    exchanged = 94 * 2 * 8 * 4_096 * 2 * (7 / 8) / 8
    assert Sharding.of(sparse, 8).collective_bytes(sparse) == pytest.approx(reduced + exchanged)


def test_wafers_hold_a_model_in_stages() -> None:
    wafer = generation_settings(Generation.CS3).chip
    shape = MODELS["llama-3-70b"]

    assert StepCost(shape=shape, chips=1, sku=wafer).kv_tokens <= 0
    pair = StepCost(shape=shape, chips=2, sku=wafer)
    assert pair.kv_tokens > 0
    assert pair.sharding.stages == 2
    assert pair.collective_bytes == 8_192 * 2.0
    assert pair.decode(8, 8 * CONTEXT).busy_s < 0.2 * cost_of("llama-3-70b").decode(8, 8).busy_s
