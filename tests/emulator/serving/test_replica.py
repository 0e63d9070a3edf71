import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.models import MODELS
from emulator.serving.replica import BatchLimits, Replica
from emulator.serving.request import Completion, Request, columns_of
from emulator.serving.roofline import StepCost
from emulator.skus import generation_settings
from fleet.topology import Generation

SKU = generation_settings(Generation.TRN3_GEN2).chip
COST = StepCost(shape=MODELS["llama-3-70b"], chips=4, sku=SKU)
LIMITS = BatchLimits(max_batch=8, prefill_tokens=8_192, max_waiting=16)


def replica_of(limits: BatchLimits = LIMITS) -> Replica:
    return Replica(COST, limits, 0.0)


def prefill_s(tokens: int) -> float:
    return COST.prefill(tokens, 1, tokens**2).busy_s + COST.collective_s(
        tokens, SKU.link_bytes_per_s
    )


def step_s(context: int) -> float:
    return COST.decode(1, context).busy_s + COST.collective_s(1, SKU.link_bytes_per_s)


def done_by(replica: Replica) -> list[Completion]:
    return [Completion(*row) for row in columns_of(replica.completions).tolist()]


def serve(
    replica: Replica, seconds: int, speed_ratio: float = 1.0, *, start_s: int = 0
) -> tuple[float, float]:
    """Prefill and decode FLOP of whole seconds."""
    prefill = decode = 0.0
    for second in range(start_s, start_s + seconds):
        completions = replica.completions
        replica.start_span()
        replica.completions = completions
        replica.pace(speed_ratio, SKU.link_bytes_per_s)
        replica.advance(second + 1.0)
        prefill += replica.prefill_flop
        decode += replica.decode_flop
    return prefill, decode


def test_one_request_alone_takes_its_prefill_and_its_steps() -> None:
    replica = replica_of()
    replica.offer(Request(0.25, 1_000, 101))

    serve(replica, 3)

    (done,) = done_by(replica)
    assert done.ttft_s == pytest.approx(prefill_s(1_000))
    assert step_s(1_000) <= done.tpot_s <= step_s(1_100)
    assert done.latency_s == pytest.approx(prefill_s(1_000) + 100 * done.tpot_s)


def test_half_the_clock_takes_twice_as_long() -> None:
    alone = StepCost(shape=MODELS["llama-3-70b"], chips=1, sku=SKU)
    full, half = Replica(alone, LIMITS, 0.0), Replica(alone, LIMITS, 0.0)
    for replica, speed in ((full, 1.0), (half, 0.5)):
        replica.offer(Request(0.0, 1_000, 101))
        serve(replica, 5, speed)

    assert done_by(half)[0].latency_s == pytest.approx(2.0 * done_by(full)[0].latency_s, rel=1e-4)


def test_a_request_that_waits_for_a_place_joins_when_one_ends() -> None:
    replica = replica_of(BatchLimits(max_batch=1, prefill_tokens=8_192, max_waiting=16))
    replica.offer(Request(0.0, 100, 50))
    replica.offer(Request(0.0, 100, 50))

    serve(replica, 2)

    first, second = done_by(replica)
    assert second.ttft_s == pytest.approx(first.latency_s + prefill_s(100))
    assert second.queue_s == pytest.approx(first.latency_s)


def test_a_full_queue_refuses_and_counts() -> None:
    replica = replica_of(BatchLimits(max_batch=1, prefill_tokens=8_192, max_waiting=2))

    taken = [replica.offer(Request(0.0, 10, 10)) for _ in range(4)]

    assert taken == [True, True, False, False]


def test_a_request_longer_than_the_memory_is_refused() -> None:
    assert not replica_of().offer(Request(0.0, COST.kv_tokens, 10))


def test_kv_memory_caps_the_batch() -> None:
    tight = StepCost(shape=MODELS["llama-3-70b"], chips=1, sku=SKU)
    half = tight.kv_tokens // 2 // LIMITS.block_tokens * LIMITS.block_tokens
    replica = Replica(tight, BatchLimits(max_batch=8, prefill_tokens=10**6, max_waiting=16), 0.0)
    for _ in range(3):
        replica.offer(Request(0.0, half - 10, 10))

    replica.advance(0.001)

    assert replica.queue_length == 3
    assert replica.cached_bytes == pytest.approx(2 * (half - 10) * tight.shape.context_bytes)


def test_dropping_all_frees_the_memory_and_counts_the_lost() -> None:
    replica = replica_of()
    for _ in range(10):
        replica.offer(Request(0.0, 500, 400))
    replica.advance(0.2)

    assert len(replica.drop_all()) == 10
    assert replica.cached_bytes == 0.0
    assert replica.queue_length == 0


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.floats(0.0, 4.0), st.integers(1, 4_000), st.integers(1, 300)),
        min_size=1,
        max_size=16,
    )
)
def test_all_work_is_done_once_whatever_the_order_of_events(
    requests: list[tuple[float, int, int]],
) -> None:
    replica = replica_of()
    ordered = sorted(requests)
    for at, prompt, output in ordered:
        assert replica.offer(Request(at, prompt, output))

    prefill, decode = serve(replica, 30)

    shape = COST.shape
    assert len(done_by(replica)) == len(requests)
    assert replica.queue_length == 0
    assert replica.cached_bytes == 0.0
    wanted_prefill = sum(
        prompt * shape.token_flop + shape.head_flop + 0.5 * shape.context_flop * prompt**2
        for _, prompt, _ in ordered
    )
    assert prefill == pytest.approx(wanted_prefill)
    tokens = sum(output - 1 for _, _, output in ordered)
    attention = sum((output - 1) * (prompt + 0.5 * output) for _, prompt, output in ordered)
    wanted_decode = tokens * (shape.token_flop + shape.head_flop) + shape.context_flop * attention
    assert decode == pytest.approx(wanted_decode, rel=0.05, abs=shape.token_flop)
    assert all(done.latency_s >= done.ttft_s > 0.0 for done in done_by(replica))


def test_the_nominal_capacity_is_what_a_saturated_replica_completes() -> None:
    limits = BatchLimits(max_batch=256, prefill_tokens=8_192, max_waiting=100_000)
    replica = replica_of(limits)
    rng = np.random.default_rng(1)
    prompts = rng.integers(500, 1_500, 4_000).tolist()
    for prompt in prompts:
        replica.offer(Request(0.0, prompt, 200))

    serve(replica, 20)  # the batch fills
    before = len(done_by(replica))
    serve(replica, 40, start_s=20)

    rate = (len(done_by(replica)) - before) / 40.0
    assert rate == pytest.approx(COST.capacity_per_s(1_000, 200), rel=0.08)
