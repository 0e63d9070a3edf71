import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest

from emulator.models import MODELS
from emulator.workload import LONGEST_ROWS, Orders, WorkloadEngine, product_shape
from emulator.workload.number_type import Matrix
from emulator.workload.program import CHECK_COLUMNS

SHAPE = product_shape(MODELS["llama-3-70b"], 4)


def engine_of(chips: int, seed: int = 0) -> WorkloadEngine:
    engine = WorkloadEngine(chips, np.random.default_rng(seed))
    engine.place(dict.fromkeys(range(chips), SHAPE))
    return engine


def orders_of(prefill: list[float], decode: list[float], rows: int = 64) -> Orders:
    return Orders(
        prefill_flop=np.array(prefill),
        decode_flop=np.array(decode),
        decode_rows=np.full(len(prefill), rows),
    )


@contextmanager
def products_seen(
    engine: WorkloadEngine, see: Callable[[Matrix, Matrix, Matrix], None]
) -> Iterator[None]:
    """Show the operands and the result of every product, without the check columns."""
    backend = engine._backend
    true_matmul = backend.matmul

    def spying(a: Matrix, b: Matrix, out: Matrix) -> None:
        true_matmul(a, b, out=out)
        if b.ndim == 2:
            checks = CHECK_COLUMNS if b.base is None else 0
            columns = b.shape[1] - checks
            see(a, b[:, :columns], out[:, :columns])

    backend.matmul = spying
    try:
        yield
    finally:
        backend.matmul = true_matmul


def test_shapes_are_the_models_divided_by_sixteen_and_by_the_group() -> None:
    assert SHAPE.hidden == 8_192 // 16
    assert 28_672 // 16 // 4 in SHAPE.widths
    assert SHAPE.widths[-1] == 128_256 // 16 // 4


def test_products_have_the_shares_of_the_true_flop() -> None:
    shape = MODELS["llama-3-70b"]
    ffn, vocabulary = 28_672 // 16 // 4, 128_256 // 16 // 4
    total = sum(SHAPE.widths)
    ffn_flop = shape.layers * shape.expert_weights
    all_flop = shape.active_weights + shape.vocabulary * shape.hidden

    assert SHAPE.widths.count(ffn) * ffn / total == pytest.approx(ffn_flop / all_flop, abs=0.15)
    assert vocabulary / total == pytest.approx(shape.vocabulary * shape.hidden / all_flop, abs=0.02)


def test_counted_flop_is_that_of_the_products_really_run() -> None:
    engine = engine_of(3)
    counted = 0.0

    def count(a: Matrix, b: Matrix, out: Matrix) -> None:
        nonlocal counted
        counted += 2.0 * a.shape[0] * a.shape[1] * b.shape[1]
        assert out.shape == (a.shape[0], b.shape[1])

    with products_seen(engine, count):
        executed = engine.execute(orders_of([30e6, 0.0, 4e5], [5e6, 2e5, 0.0])).flop

    assert executed.sum() == counted
    assert (executed > 0.0).all()


def test_what_is_left_over_is_less_than_a_row_of_any_product() -> None:
    engine = engine_of(2)
    wanted = np.array([40e6, 3e6])

    executed = engine.execute(orders_of(wanted.tolist(), [0.0, 0.0])).flop

    assert (executed <= wanted).all()
    assert (wanted - executed < 2.0 * SHAPE.hidden * max(SHAPE.widths)).all()


def test_a_nearly_idle_chip_runs_part_of_a_row() -> None:
    engine = engine_of(1)

    executed = engine.execute(orders_of([0.0], [1e5], rows=1)).flop

    assert 0.8e5 < executed[0] <= 1e5


def test_decode_products_are_no_longer_than_the_batch() -> None:
    engine = engine_of(1)
    rows: list[int] = []

    with products_seen(engine, lambda a, _b, _out: rows.append(a.shape[0])):
        engine.execute(orders_of([0.0], [20e6], rows=8))

    assert max(rows) == 8
    assert len(rows) > 2


def test_each_product_reads_what_the_one_before_wrote() -> None:
    engine = engine_of(1)
    calls: list[tuple[Matrix, Matrix]] = []

    with products_seen(engine, lambda a, _b, out: calls.append((a, out))):
        engine.execute(orders_of([0.0], [20e6], rows=8))

    for (_, written), (read, _) in pairwise(calls):
        assert np.shares_memory(written, read)


def test_values_stay_bounded_over_many_layers() -> None:
    engine = engine_of(1)
    flop_of_a_round = 2.0 * 2.0 * SHAPE.hidden * sum(SHAPE.widths)

    for _ in range(3):
        engine.execute(orders_of([0.0], [flop_of_a_round * 4.0], rows=4))

    (program,) = engine._programs.values()
    rows = program.rows.values[:4]
    assert math.isfinite(engine.checksum())
    assert 1.0 / 16.0 <= float(np.mean(rows**2)) <= 16.0


def test_equal_seeds_and_orders_give_equal_results() -> None:
    first, second, other = engine_of(2), engine_of(2), engine_of(2, seed=9)
    for engine in (first, second, other):
        engine.execute(orders_of([9e6, 7e6], [2e6, 1e6]))

    assert first.checksum() == second.checksum()
    assert first.checksum() != other.checksum()


def test_chips_without_a_job_run_nothing() -> None:
    engine = engine_of(2)
    engine.place({1: SHAPE})

    executed = engine.execute(orders_of([9e6, 9e6], [0.0, 0.0])).flop

    assert executed[0] == 0.0
    assert executed[1] > 0.0


def test_long_prefills_are_cut_into_products_that_fit_the_buffers() -> None:
    engine = engine_of(1)
    row_flop = 2.0 * SHAPE.hidden * SHAPE.widths[0]

    executed = engine.execute(orders_of([row_flop * LONGEST_ROWS * 3.0], [0.0])).flop

    assert executed[0] == pytest.approx(row_flop * LONGEST_ROWS * 3.0)
