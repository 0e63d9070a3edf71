import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.chip import ChipBank, dynamic_w, leakage_w, static_w, thermal_speed_ratio
from emulator.skus import ChipColumns, generation_settings
from fleet.topology import Generation

SKU = generation_settings(Generation.TRN3_GEN2).chip
POWER = SKU.power
KIND = ChipColumns.alike(SKU, chips=1)


def bank_of(chips: int = 1) -> ChipBank:
    return ChipBank.at_rest(ChipColumns.alike(SKU, chips=chips))


def protect(
    bank: ChipBank, *, junction_c: float, on: bool = True, cap: float = 1.0, slow: float = 1.0
) -> None:
    chips = len(bank.powered)
    bank.protect(
        powered=np.full(chips, on),
        cap_ratio=np.full(chips, cap),
        slow_ratio=np.full(chips, slow),
        dead=np.zeros(chips, dtype=np.bool_),
        unfit=np.zeros(chips, dtype=np.bool_),
        junction_c=np.full(chips, junction_c),
    )


def test_idle_power_at_the_idle_junction() -> None:
    idle = static_w(KIND, np.array([POWER.idle_junction_c]))

    assert idle[0] == pytest.approx(POWER.idle_w)


def test_leakage_doubles_within_the_published_span() -> None:
    doubling_k = np.log(2.0) / POWER.leakage_per_k

    assert 35.0 <= doubling_k <= 58.0
    assert leakage_w(KIND, np.array([85.0]))[0] == pytest.approx(POWER.leakage_w)


def test_saturated_serving_draws_more_than_the_sustained_power_and_less_than_the_peak() -> None:
    # Llama-3 70B on chat at capacity: 0.43 of the peak FLOP/s and 0.17 of the bandwidth.
    drawn = static_w(KIND, np.array([71.0])) + dynamic_w(KIND, np.array([0.43]), np.array([0.17]))

    assert POWER.sustained_w <= drawn[0] <= POWER.tdp_w


def test_dense_prefill_alone_comes_near_the_peak() -> None:
    tensor = np.array([SKU.tensor_efficiency_ratio])
    drawn = static_w(KIND, np.array([75.0])) + dynamic_w(KIND, tensor, np.array([0.1]))

    assert drawn[0] == pytest.approx(POWER.tdp_w, rel=0.07)


@pytest.mark.parametrize(
    ("junction_c", "speed"), [(60.0, 1.0), (95.0, 1.0), (100.0, 0.55), (104.999, 0.1)]
)
def test_the_clock_falls_between_throttle_and_trip(junction_c: float, speed: float) -> None:
    assert thermal_speed_ratio(KIND, np.array([junction_c]))[0] == pytest.approx(speed, abs=1e-3)


def test_a_trip_lasts_until_the_next_power_up() -> None:
    bank = bank_of()
    protect(bank, junction_c=105.0)
    assert not bank.usable[0]

    protect(bank, junction_c=40.0)
    assert not bank.usable[0]

    protect(bank, junction_c=40.0, on=False)
    protect(bank, junction_c=40.0)
    assert bank.usable[0]


def test_a_chip_too_hot_at_power_up_trips_again() -> None:
    bank = bank_of()
    protect(bank, junction_c=105.0)
    protect(bank, junction_c=106.0, on=False)
    protect(bank, junction_c=106.0)

    assert not bank.usable[0]


def test_no_power_and_a_trip_draw_nothing() -> None:
    bank = bank_of(2)
    bank.protect(
        powered=np.array([False, True]),
        cap_ratio=np.ones(2),
        slow_ratio=np.ones(2),
        dead=np.zeros(2, dtype=np.bool_),
        unfit=np.zeros(2, dtype=np.bool_),
        junction_c=np.array([40.0, 105.0]),
    )
    bank.draw(np.full(2, 0.4), np.full(2, 0.2), np.array([40.0, 105.0]))

    assert bank.power_w.tolist() == [0.0, 0.0]
    assert bank.tensor_ratio.tolist() == [0.0, 0.0]


def test_a_dead_chip_draws_nothing_and_an_unfit_one_idles() -> None:
    bank = bank_of(3)
    bank.protect(
        powered=np.ones(3, dtype=np.bool_),
        cap_ratio=np.ones(3),
        slow_ratio=np.ones(3),
        dead=np.array([True, False, False]),
        unfit=np.array([False, True, False]),
        junction_c=np.full(3, 40.0),
    )
    bank.draw(np.full(3, 0.4), np.full(3, 0.2), np.full(3, 40.0))

    assert bank.usable.tolist() == [False, False, True]
    assert bank.power_w[0] == 0.0
    assert bank.power_w[1] == POWER.idle_w
    assert bank.power_w[2] > 2 * POWER.idle_w


@given(
    cap=st.floats(0.0, 1.0),
    tensor=st.floats(0.0, 1.0),
    hbm=st.floats(0.0, 1.0),
    junction_c=st.floats(20.0, 104.0),
)
def test_the_cap_is_never_passed_by_work(
    cap: float, tensor: float, hbm: float, junction_c: float
) -> None:
    bank, at_c = bank_of(), np.array([junction_c])
    protect(bank, junction_c=junction_c, cap=cap)

    share = bank.allowed_ratio(np.array([tensor]), np.array([hbm]), at_c)
    bank.draw(tensor * share, hbm * share, at_c)

    floor_w = static_w(KIND, at_c)[0]
    assert bank.power_w[0] <= max(cap * POWER.tdp_w, floor_w) + 1e-6
    assert 0.0 <= share[0] <= 1.0


def test_a_cap_slows_the_clock_by_what_the_work_would_draw() -> None:
    bank, at_c = bank_of(), np.array([60.0])
    bank.expect(np.array([0.4]), np.array([0.2]))
    protect(bank, junction_c=60.0, cap=0.5)

    full_w = dynamic_w(KIND, np.array([0.4]), np.array([0.2]))[0]
    budget_w = 500.0 - static_w(KIND, at_c)[0]
    assert bank.speed_ratio[0] == pytest.approx(budget_w / full_w)


def test_a_slow_chip_is_slower() -> None:
    bank = bank_of()
    protect(bank, junction_c=60.0, slow=0.7)

    assert bank.speed_ratio[0] == pytest.approx(0.7)
