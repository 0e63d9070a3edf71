from dataclasses import replace

import pytest

from emulator.models import MODELS
from emulator.serving.roofline import StepCost
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
