"""Flipped bits are found in every operand, and sound products are left in peace."""

import numpy as np
import pytest

from emulator.models import MODELS
from emulator.workload import Executed, Orders, ProductOptions, WorkloadEngine, product_shape
from emulator.workload.flips import Operand, Strike
from emulator.workload.number_type import NumberType
from emulator.workload.program import Scatter

SHAPE = product_shape(MODELS["llama-3-8b"], 4)
CHIPS = 6


def steps(
    count: int, *, flips: float, seed: int, options: ProductOptions | None = None
) -> tuple[list[Executed], list[Strike], WorkloadEngine]:
    """Chips with prefill and decode, some of them nearly idle."""
    strikes: list[Strike] = []
    rng = np.random.default_rng(seed)
    engine = WorkloadEngine(CHIPS, rng, options=options, on_strike=strikes.append)
    engine.place(dict.fromkeys(range(CHIPS), SHAPE))
    executed = []
    for _ in range(count):
        orders = Orders(
            prefill_flop=rng.uniform(0.0, 4e6, CHIPS) * (rng.random(CHIPS) < 0.4),
            decode_flop=rng.uniform(1e4, 4e6, CHIPS),
            decode_rows=rng.integers(1, 24, CHIPS),
            expected_flips=np.full(CHIPS, flips),
        )
        executed.append(engine.execute(orders))
    return executed, strikes, engine


def obvious(strike: Strike) -> bool:
    """Changes an element by more than a tenth of what is usual there."""
    usual = np.abs(strike.weights if strike.flip.operand is Operand.WEIGHTS else strike.source)
    change = abs(strike.after - strike.before)
    return not change < 0.1 * float(usual.mean())


@pytest.mark.parametrize("precision", list(NumberType))
def test_sound_products_raise_no_alarm(precision: NumberType) -> None:
    executed, _, engine = steps(40, flips=0.0, seed=3, options=ProductOptions(precision=precision))

    assert sum(step.products for step in executed) > 300
    assert [step.corrupted for step in executed if step.corrupted] == []
    # Neither so tight that it is luck, nor so wide that all would pass.
    assert 0.02 < engine.nearest_ratio < 0.8


@pytest.mark.parametrize("precision", list(NumberType))
def test_flips_that_matter_are_reported_with_chip_step_and_product(precision: NumberType) -> None:
    executed, strikes, _ = steps(50, flips=0.4, seed=5, options=ProductOptions(precision=precision))
    reported = [(found.chip, found.product) for step in executed for found in step.corrupted]
    flipped = [(strike.chip, strike.product) for strike in strikes]
    mattered = [
        (strike.chip, strike.product, strike.flip.operand) for strike in strikes if obvious(strike)
    ]

    assert {operand for _, _, operand in mattered} == set(Operand)
    assert {(chip, product) for chip, product, _ in mattered} <= set(reported)
    assert set(reported) <= set(flipped)
    assert all(
        found.step == number for number, step in enumerate(executed) for found in step.corrupted
    )


def test_a_flip_does_not_outlive_its_product() -> None:
    _, strikes, flipped = steps(20, flips=0.5, seed=7)
    _, none, sound = steps(20, flips=0.0, seed=7)

    assert len(strikes) > 20
    assert none == []
    assert flipped.checksum() == sound.checksum()


def test_verification_changes_no_result() -> None:
    _, _, verified = steps(10, flips=0.0, seed=2)
    _, _, plain = steps(10, flips=0.0, seed=2, options=ProductOptions(verify=False))

    assert plain.checksum() == pytest.approx(verified.checksum(), rel=1e-4)
    assert plain.nearest_ratio == 0.0


def test_without_verification_nothing_is_reported() -> None:
    executed, strikes, _ = steps(10, flips=1.0, seed=2, options=ProductOptions(verify=False))

    assert strikes
    assert all(step.corrupted == () for step in executed)


def test_of_chips_that_execute_as_one_only_the_struck_one_is_named() -> None:
    strikes: list[Strike] = []
    engine = WorkloadEngine(4, np.random.default_rng(1), on_strike=strikes.append)
    engine.place(dict.fromkeys(range(4), SHAPE))
    orders = Orders(
        prefill_flop=np.zeros(4),
        decode_flop=np.full(4, 4e6),
        decode_rows=np.full(4, 3),
        expected_flips=np.array([0.0, 0.0, 1.0, 0.0]),
    )

    found = [each for _ in range(40) for each in engine.execute(orders).corrupted]

    assert {strike.flip.operand for strike in strikes} == set(Operand)
    assert {each.chip for each in found} == {2}
    assert len({(each.step, each.product) for each in found}) > 10


@pytest.mark.parametrize("size", [(512, 144), (68, 1024), (256, 256)])
def test_no_result_gains_more_than_is_allowed_for(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(4)
    weights = rng.standard_normal(size, dtype=np.float32)

    allowed = Scatter.of(weights, weights.sum(axis=1, dtype=np.float64)).most_gain

    assert np.linalg.norm(weights, 2) ** 2 <= allowed <= 1.5 * np.linalg.norm(weights, 2) ** 2
