import pytest

from emulator.models import MODELS

BILLION = 1e9
KIB = 1024.0


@pytest.mark.parametrize(
    ("name", "total", "kv_kib_at_bf16"),
    [
        ("llama-3-8b", 8.0, 128),
        ("llama-3-70b", 70.6, 320),
        ("llama-3.1-405b", 405.8, 504),
        ("gpt-oss-120b", 116.8, 72),
        ("qwen3-235b-a22b", 235.1, 188),
    ],
)
def test_published_parameter_counts_and_kv_sizes(
    name: str, total: float, kv_kib_at_bf16: float
) -> None:
    shape = MODELS[name]

    assert shape.total_weights / BILLION == pytest.approx(total, rel=0.005)
    assert shape.context_bytes * 2.0 / KIB == pytest.approx(kv_kib_at_bf16)


def test_a_pass_over_many_tokens_reads_all_experts_and_over_one_its_own() -> None:
    shape = MODELS["gpt-oss-120b"]
    layer = shape.attention_weights + shape.top_k * shape.expert_weights
    one = (shape.layers * layer + shape.vocabulary * shape.hidden) * shape.weight_bytes

    assert shape.touched_bytes(1) == pytest.approx(one)
    input_embedding = shape.vocabulary * shape.hidden * shape.weight_bytes
    assert shape.touched_bytes(10_000) == pytest.approx(shape.stored_bytes - input_embedding)
