"""Case E1: the workload engine against plain matrix products on the same shapes and threads."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from threadpoolctl import ThreadpoolController

from emulator.models import MODELS
from emulator.serving.backlog import Backlog
from emulator.serving.replica import BatchLimits, Replica
from emulator.serving.request import Request
from emulator.serving.roofline import StepCost
from emulator.serving.services import Work
from emulator.serving.traffic import GeneratedTraffic, draw
from emulator.skus import ChipColumns, SkuSettings, generation_settings
from emulator.workload import (
    LONGEST_ROWS,
    Flop,
    Orders,
    ProductOptions,
    ProductShape,
    WorkloadEngine,
    product_shape,
)
from emulator.workload.number_type import Matrix
from emulator.workload.shapes import BUFFER_ROWS
from fleet.topology import Generation
from isotherm.bench.report import Case

TARGET_RATIO: Final = 0.90
_MODEL: Final = "llama-3-70b"
_TENSOR_PARALLEL: Final = 4
_PEAK_FLOP_PER_S: Final = 50e6

Triple = tuple[Matrix, Matrix, Matrix]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineResult:
    """Medians over rounds, one process, one set of shapes."""

    engine_gflop_per_s: float
    plain_gflop_per_s: float
    ratio: float
    """Median of the rounds' own ratios."""
    rounds: int
    threads: int


def e1(quick: bool, seed: int) -> Case:
    result = run_e1(quick, seed)
    return Case(
        id="E1",
        title="workload engine over plain numpy matmul, same shapes and threads",
        metrics={
            "ratio": result.ratio,
            "engine_gflop_per_s": result.engine_gflop_per_s,
            "plain_gflop_per_s": result.plain_gflop_per_s,
            "rounds": float(result.rounds),
            "threads": float(result.threads),
        },
        target={"ratio": (">=", TARGET_RATIO)},
    )


def run_e1(quick: bool, seed: int, *, threads: int = 1) -> EngineResult:
    """GFLOP/s of `WorkloadEngine.execute`, bookkeeping and verification included, over
    `numpy.matmul`; by the CPU time of the process, since the host may run other things as well.

    Both run the products of the same served seconds at full load, in alternating order, with the
    same operands' shapes and BLAS threads. The plain side is a bare loop over prepared operands.
    """
    rng = np.random.default_rng(seed)
    chips, repeats = (72, 11) if quick else (288, 15)
    orders = served_orders(chips, spans=4, rng=rng)
    shape = product_shape(MODELS[_MODEL], _TENSOR_PARALLEL)
    engine = WorkloadEngine(chips, rng, options=ProductOptions(threads=threads))
    engine.place(dict.fromkeys(range(chips), shape))
    pairs = [(EngineProducts(order, engine), PlainProducts(order, shape, rng)) for order in orders]
    speeds: list[tuple[float, float]] = []
    with ThreadpoolController().limit(limits=threads, user_api="blas"):
        # Short turns: what else the host does then falls on both sides alike.
        for number in range(repeats * len(pairs)):
            engine_turn, plain_turn = pairs[number % len(pairs)]
            speeds.append(_turns(engine_turn, plain_turn, plain_first=number % 2 == 1))
    speeds = speeds[len(pairs) :]
    return EngineResult(
        engine_gflop_per_s=statistics.median(fast for fast, _ in speeds) / 1e9,
        plain_gflop_per_s=statistics.median(plain for _, plain in speeds) / 1e9,
        ratio=statistics.median(fast / plain for fast, plain in speeds),
        rounds=len(speeds),
        threads=threads,
    )


class PlainProducts:
    """A bare loop over the operands of every product that an engine on rewound chips executes.

    The data flow is the engine's too: each product reads what the one before wrote. Without the
    engine's scaling values grow, so `prepare` sets them back between turns, outside of the clock.
    """

    def __init__(self, order: Orders, shape: ProductShape, rng: np.random.Generator) -> None:
        layer = _plain_layer(shape, rng)
        self.triples = list(_whole_products(order, layer))
        self.flop = sum(2.0 * float(a.shape[0] * b.size) for a, b, _ in self.triples)
        self._rows = layer[0][0]
        self._fresh = self._rows.copy()

    def prepare(self) -> None:
        self._rows[:] = self._fresh

    def __call__(self) -> float:
        for source, weights, target in self.triples:
            np.matmul(source, weights, out=target)
        return self.flop


def _plain_layer(shape: ProductShape, rng: np.random.Generator) -> list[Triple]:
    """Contiguous operands of every product of a layer, as long as the longest."""

    def drawn(rows: int, columns: int) -> Matrix:
        return rng.standard_normal((rows, columns), dtype=np.float32)

    rows = drawn(BUFFER_ROWS, shape.hidden)
    pairs = {
        width: (
            drawn(shape.hidden, width) / np.float32(shape.hidden**0.5),
            np.zeros((BUFFER_ROWS, width), np.float32),
            drawn(width, shape.hidden) / np.float32(width**0.5),
        )
        for width in set(shape.widths)
    }
    layer: list[Triple] = []
    for up, wide, down in (pairs[width] for width in shape.widths):
        layer += [(rows, up, wide), (wide, down, rows)]
    return layer


def _whole_products(order: Orders, layer: list[Triple]) -> Iterator[Triple]:
    """Those of a group as one, as the engine has them."""
    for chip in range(0, len(order.prefill_flop), _TENSOR_PARALLEL):
        batch = int(np.clip(order.decode_rows[chip], 1, LONGEST_ROWS))
        position = 0
        for left, longest in (
            (float(order.prefill_flop[chip]), LONGEST_ROWS),
            (float(order.decode_flop[chip]), batch),
        ):
            for product, rows in _whole_rows(layer, position, left, longest):
                source, weights, target = product
                together = rows * _TENSOR_PARALLEL
                yield source[:together], weights, target[:together]
                position += 1


def _whole_rows(
    layer: list[Triple], position: int, left_flop: float, longest: int
) -> Iterator[tuple[Triple, int]]:
    """Products from a position on with their rows, until less than a row of the next is left."""
    while True:
        product = layer[position % len(layer)]
        row_flop = 2.0 * product[1].size
        rows = min(int(left_flop / row_flop), longest)
        if not rows:
            return
        yield product, rows
        left_flop -= rows * row_flop
        position += 1


class EngineProducts:
    """The engine on one second's orders, each time from the first product on."""

    def __init__(self, order: Orders, engine: WorkloadEngine) -> None:
        self._order = order
        self._engine = engine

    def __call__(self) -> float:
        self._engine.rewind()
        return float(self._engine.execute(self._order).flop.sum())


def served_orders(
    chips: int, *, spans: int, rng: np.random.Generator, peak_flop_per_s: float = _PEAK_FLOP_PER_S
) -> list[Orders]:
    """What replicas of a saturated hall ask of their chips, second by second."""
    sku = generation_settings(Generation.TRN3_GEN2).chip
    cost = StepCost(shape=MODELS[_MODEL], chips=_TENSOR_PARALLEL, sku=sku)
    limits = BatchLimits(max_batch=256, prefill_tokens=8_192, max_waiting=512)
    replicas = [Replica(cost, limits, 0.0) for _ in range(chips // _TENSOR_PARALLEL)]
    traffic = GeneratedTraffic(rng)
    capacity = cost.capacity_per_s(traffic.mean_prompt_tokens, traffic.mean_output_tokens)
    orders = []
    warm_up = 10
    for second in range(warm_up + spans):
        for replica in replicas:
            replica.start_span()
            arrived = draw(traffic, rate_per_s=capacity, span_s=1.0)
            for at, prompt, output in zip(
                (arrived.offset_s + second).tolist(),
                arrived.prompt_tokens.tolist(),
                arrived.output_tokens.tolist(),
                strict=True,
            ):
                replica.offer(Request(at, prompt, output))
            replica.advance(second + 1.0)
        if second >= warm_up:
            orders.append(_orders(replicas, sku, peak_flop_per_s))
    return orders


def _orders(replicas: list[Replica], sku: SkuSettings, peak_flop_per_s: float) -> Orders:
    def per_chip(values: list[float]) -> Flop:
        return np.repeat(np.array(values) / _TENSOR_PARALLEL, _TENSOR_PARALLEL)

    chips = len(replicas) * _TENSOR_PARALLEL
    work = Work(
        prefill_flop=per_chip([replica.prefill_flop for replica in replicas]),
        decode_flop=per_chip([replica.decode_flop for replica in replicas]),
        moved_bytes=per_chip([replica.moved_bytes for replica in replicas]),
        decode_rows=np.repeat([replica.decode_rows for replica in replicas], _TENSOR_PARALLEL),
    )
    backlog = Backlog(ChipColumns.alike(sku, chips=chips), peak_flop_per_s=peak_flop_per_s)
    backlog.add(work, usable=np.ones(chips, dtype=np.bool_), dt_s=1.0)
    return backlog.orders(np.ones(chips), 1.0)


def _turns(
    engine: EngineProducts, plain: PlainProducts, *, plain_first: bool
) -> tuple[float, float]:
    """FLOP/s of engine and plain products, one after the other."""
    plain.prepare()
    if plain_first:
        plain_speed = _flop_per_s(plain)
        return _flop_per_s(engine), plain_speed
    return _flop_per_s(engine), _flop_per_s(plain)


def _flop_per_s(run: Callable[[], float]) -> float:
    started = time.process_time()
    flop = run()
    return flop / (time.process_time() - started)
