import numpy as np
import pytest

from emulator.models import MODELS
from emulator.workload import WorkloadEngine, product_shape
from isotherm.bench.emulator.engine import PlainProducts, run_e1, served_orders

SHAPE = product_shape(MODELS["llama-3-70b"], 4)


def test_both_sides_run_the_same_products() -> None:
    rng = np.random.default_rng(0)
    (order,) = served_orders(8, spans=1, rng=rng)
    engine = WorkloadEngine(8, rng)
    engine.place(dict.fromkeys(range(8), SHAPE))

    plain = PlainProducts(order, SHAPE, rng)

    # A chip too idle for one whole row runs part of a row, which the plain side leaves out.
    assert engine.execute(order).flop.sum() == pytest.approx(plain.flop, rel=0.01)
    assert all(target.shape == (a.shape[0], b.shape[1]) for a, b, target in plain.triples)


def test_a_saturated_hall_asks_about_two_fifths_of_the_peak() -> None:
    (order,) = served_orders(40, spans=1, rng=np.random.default_rng(0))

    asked = float((order.prefill_flop + order.decode_flop).mean())
    assert 0.3 < asked / 50e6 < 0.5


@pytest.mark.slow
def test_the_quick_case_measures_both_sides() -> None:
    result = run_e1(quick=True, seed=0)

    assert result.engine_gflop_per_s > 0.0
    assert result.plain_gflop_per_s > 0.0
    assert 0.5 < result.ratio < 1.5
