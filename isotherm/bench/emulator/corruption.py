"""Case E8: bit flips in products of the engine, how many are caught, and what catching costs."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from emulator.models import MODELS
from emulator.workload import Orders, ProductOptions, WorkloadEngine, product_shape
from emulator.workload.flips import Operand, Strike
from emulator.workload.number_type import FP32_ROUNDOFF
from isotherm.bench.emulator.engine import served_orders
from isotherm.bench.report import Case

_MODEL: Final = "llama-3-70b"
_TENSOR_PARALLEL: Final = 4
_CHIPS: Final = 144
_STRIKE_PEAK_FLOP_PER_S: Final = 10e6
"""A fifth of the default, for a fifth of the rows: what is caught does not depend on them."""
_FLIPS_PER_CHIP_STEP: Final = 0.05


def e8(quick: bool, seed: int) -> Case:
    caught = run_flips(20_000 if quick else 1_000_000, seed)
    overhead = run_overhead(11 if quick else 41, seed)
    return Case(
        id="E8",
        title="bit flips in products of the served work, and the cost of looking for them",
        metrics={
            "caught_share": caught.caught_share,
            "false_alarms": float(caught.false_alarms),
            "overhead": overhead,
            "products": float(caught.products),
            "flips": float(caught.flips),
            "below_rounding_share": 1.0 - caught.beyond / max(caught.flips, 1),
            "below_rounding_caught_share": caught.caught_below / max(caught.below, 1),
            "nearest_sound_ratio": caught.nearest_sound_ratio,
        },
        target={
            "caught_share": (">=", 0.999),
            "false_alarms": ("==", 0.0),
            "overhead": ("<=", 0.05),
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CaughtFlips:
    """A flip is beyond rounding when it changes some element of the result by more than the
    classical bound of that element's rounding error, k u / (1 - k u) |A| |B| (Higham, Accuracy and
    Stability of Numerical Algorithms, 3.5), with k the depth and u the unit roundoff of fp32; the
    change and |A| |B| are taken in float64 from the operands as they were without the flip.
    """

    products: int
    flips: int
    beyond: int
    caught_beyond: int
    caught_below: int
    false_alarms: int
    """Reported products without a flip."""
    nearest_sound_ratio: float
    """Largest disagreement of checksums over its tolerance before any bit was flipped."""

    @property
    def below(self) -> int:
        return self.flips - self.beyond

    @property
    def caught_share(self) -> float:
        return self.caught_beyond / max(self.beyond, 1)


def run_flips(products: int, seed: int) -> CaughtFlips:
    """Uniformly random bits of random elements of A, B or C, in the shapes of served work."""
    rng = np.random.default_rng(seed)
    orders = served_orders(_CHIPS, spans=8, rng=rng, peak_flop_per_s=_STRIKE_PEAK_FLOP_PER_S)
    strikes: list[Strike] = []
    engine = _engine(rng, verify=True, strikes=strikes)
    judge = _Judge()
    ran = flips = beyond = caught_beyond = caught_below = false_alarms = 0
    sound = 0.0
    step = 0
    while ran < products:
        struck = ran >= products // 10  # the first tenth is sound
        order = orders[step % len(orders)]
        executed = engine.execute(_with_flips(order, _FLIPS_PER_CHIP_STEP if struck else 0.0))
        reported = {(found.chip, found.product) for found in executed.corrupted}
        for strike in strikes:
            caught = (strike.chip, strike.product) in reported
            is_beyond = judge.is_beyond_rounding(strike)
            beyond += is_beyond
            caught_beyond += is_beyond and caught
            caught_below += caught and not is_beyond
        false_alarms += len(reported - {(strike.chip, strike.product) for strike in strikes})
        flips += len(strikes)
        strikes.clear()
        ran += executed.products
        step += 1
        sound = sound if struck else engine.nearest_ratio
    return CaughtFlips(
        products=ran,
        flips=flips,
        beyond=beyond,
        caught_beyond=caught_beyond,
        caught_below=caught_below,
        false_alarms=false_alarms,
        nearest_sound_ratio=sound,
    )


def _engine(
    rng: np.random.Generator, *, verify: bool, strikes: list[Strike] | None = None
) -> WorkloadEngine:
    engine = WorkloadEngine(
        _CHIPS,
        rng,
        options=ProductOptions(verify=verify),
        on_strike=None if strikes is None else strikes.append,
    )
    engine.place(dict.fromkeys(range(_CHIPS), product_shape(MODELS[_MODEL], _TENSOR_PARALLEL)))
    return engine


def _with_flips(order: Orders, expected: float) -> Orders:
    return Orders(
        prefill_flop=order.prefill_flop,
        decode_flop=order.decode_flop,
        decode_rows=order.decode_rows,
        expected_flips=np.full(len(order.prefill_flop), expected),
    )


class _Judge:
    """Says what a flip did to the answer, from the operands in float64."""

    def is_beyond_rounding(self, strike: Strike) -> bool:
        change = abs(strike.after - strike.before)
        if not np.isfinite(change):
            return True
        source = np.abs(strike.source.astype(np.float64))
        weights = np.abs(strike.weights.astype(np.float64))
        depth = source.shape[1]
        gamma = depth * FP32_ROUNDOFF / (1.0 - depth * FP32_ROUNDOFF)
        row, column = strike.flip.row, strike.flip.column
        changes: NDArray[np.float64]
        match strike.flip.operand:
            case Operand.SOURCE:
                changes, magnitudes = change * weights[column], source[row] @ weights
            case Operand.WEIGHTS:
                changes, magnitudes = change * source[:, row], source @ weights[:, column]
            case Operand.RESULT:
                changes = np.array([change])
                magnitudes = np.array([source[row] @ weights[:, column]])
        return bool((changes > gamma * magnitudes).any())


def run_overhead(repeats: int, seed: int) -> float:
    """CPU time of the engine with verification over that without, less one; the median of pairs.

    At the default size of products, in alternating order, so that the host's moods fall on both.
    """
    rng = np.random.default_rng(seed)
    orders = served_orders(_CHIPS, spans=4, rng=rng)
    engines = [_engine(np.random.default_rng(seed), verify=verify) for verify in (True, False)]
    ratios: list[float] = []
    with ThreadpoolController().limit(limits=1, user_api="blas"):
        for number in range(repeats * len(orders)):
            order = orders[number % len(orders)]
            verified, plain = _times(engines, order, swapped=number % 2 == 1)
            ratios.append(verified / plain)
    return statistics.median(ratios[len(orders) :]) - 1.0


def _times(
    engines: Sequence[WorkloadEngine], order: Orders, *, swapped: bool
) -> tuple[float, float]:
    first, second = reversed(engines) if swapped else engines
    times = []
    for engine in (first, second):
        engine.rewind()
        started = time.process_time()
        engine.execute(order)
        times.append(time.process_time() - started)
    return (times[1], times[0]) if swapped else (times[0], times[1])
