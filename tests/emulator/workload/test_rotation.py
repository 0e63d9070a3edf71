import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emulator.models import MODELS
from emulator.workload import Orders, ProductOptions, WorkloadEngine, product_shape
from emulator.workload.rotation import Rotation


@given(chips=st.integers(1, 60), limit=st.integers(1, 70), seed=st.integers(0, 99))
def test_every_busy_chip_has_its_turn_in_the_promised_steps(
    chips: int, limit: int, seed: int
) -> None:
    rotation = Rotation(chips, np.random.default_rng(seed), limit=limit)
    busy = np.ones(chips, dtype=np.bool_)
    turns = math.ceil(chips / limit)

    for _ in range(3):
        seen = [rotation.sample(busy) for _ in range(turns)]

        assert all(len(rows) == min(chips, limit) for rows in seen)
        assert set(np.concatenate(seen).tolist()) == set(range(chips))


def test_idle_chips_take_no_turn() -> None:
    rotation = Rotation(4, np.random.default_rng(0), limit=1)

    seen = [rotation.sample(np.array([True, False, False, True])).tolist() for _ in range(4)]

    assert sorted(seen[0] + seen[1]) == [0, 3]
    assert seen[:2] == seen[2:]


def test_the_seed_decides_who_is_first() -> None:
    busy = np.ones(50, dtype=np.bool_)
    first = [Rotation(50, np.random.default_rng(seed), limit=5).sample(busy) for seed in (1, 1, 2)]

    assert first[0].tolist() == first[1].tolist()
    assert first[0].tolist() != first[2].tolist()


def test_flop_say_whether_they_were_executed() -> None:
    shape = product_shape(MODELS["llama-3-8b"], 4)
    options = ProductOptions(real_chips_limit=2)
    engine = WorkloadEngine(6, np.random.default_rng(0), options=options)
    engine.place(dict.fromkeys(range(5), shape))
    asked = np.array([3e6, 3e6, 3e6, 3e6, 0.0, 3e6])
    orders = Orders(
        prefill_flop=asked, decode_flop=np.zeros(6), decode_rows=np.zeros(6, dtype=np.int64)
    )

    ran = engine.execute(orders)

    # Chip 4 has nothing to do and chip 5 no job, which needs no formula.
    assert ran.real[4:].tolist() == [True, True]
    assert ran.real[:4].sum() == 2
    assert (ran.flop[:4][~ran.real[:4]] == 3e6).all()
    assert ((ran.flop[:4] > 2.5e6) & (ran.flop[:4] <= 3e6)).all()
    assert ran.flop[4:].tolist() == [0.0, 0.0]
