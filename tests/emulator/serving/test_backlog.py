import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.chip import ChipBank
from emulator.serving.backlog import Backlog
from emulator.serving.services import Work
from emulator.skus import ChipColumns, generation_settings
from fleet.topology import Generation

SKU = generation_settings(Generation.TRN3_GEN2).chip
KIND = ChipColumns.alike(SKU, chips=1)
PEAK = 50e6
USABLE = np.ones(1, dtype=np.bool_)
ONE = np.ones(1)


def work_of(tensor: float, hbm: float) -> Work:
    """Work of a second at such utilizations, half of the FLOP in prefill."""
    flop = np.array([0.5 * tensor * SKU.peak_flop_per_s])
    return Work(
        prefill_flop=flop,
        decode_flop=flop,
        moved_bytes=np.array([hbm * SKU.hbm_bytes_per_s]),
        decode_rows=np.array([8]),
    )


def test_all_executed_gives_the_utilizations_back() -> None:
    backlog = Backlog(KIND, peak_flop_per_s=PEAK)
    backlog.add(work_of(0.4, 0.2), usable=USABLE, dt_s=1.0)

    orders = backlog.orders(ONE, 1.0)
    tensor, hbm = backlog.settle(orders.prefill_flop + orders.decode_flop, 1.0)

    assert orders.prefill_flop[0] == pytest.approx(0.2 * PEAK)
    assert tensor[0] == pytest.approx(0.4)
    assert hbm[0] == pytest.approx(0.2)
    assert backlog.wanted(1.0)[0][0] == pytest.approx(0.0)


@given(st.lists(st.tuples(st.floats(0.0, 0.6), st.floats(0.0, 1.0)), min_size=1, max_size=30))
def test_nothing_is_lost_or_made_by_carrying(spans: list[tuple[float, float]]) -> None:
    backlog = Backlog(KIND, peak_flop_per_s=PEAK)
    wanted = done = 0.0
    for tensor, share in spans:
        backlog.add(work_of(tensor, 0.1), usable=USABLE, dt_s=10.0)
        wanted += tensor * PEAK
        orders = backlog.orders(ONE, 10.0)
        executed = (orders.prefill_flop + orders.decode_flop) * share
        backlog.settle(executed, 10.0)
        done += float(executed[0])

    left = float(backlog.wanted(1e6)[0][0]) * PEAK * 1e6
    assert done + left == pytest.approx(wanted, rel=1e-6, abs=1.0)


def test_a_lump_beyond_the_peak_can_not_pass_a_cap() -> None:
    backlog, chips = Backlog(KIND, peak_flop_per_s=PEAK), ChipBank.at_rest(KIND)
    chips.power_cap_w = np.array([600.0])
    backlog.add(work_of(1.8, 2.5), usable=USABLE, dt_s=1.0)
    at_c = np.array([70.0])

    orders = backlog.orders(chips.allowed_ratio(*backlog.wanted(1.0), at_c), 1.0)
    chips.draw(*backlog.settle(orders.prefill_flop + orders.decode_flop, 1.0), at_c)

    assert chips.power_w[0] <= 600.0 + 1e-6


def test_work_of_a_stopped_chip_is_gone() -> None:
    backlog = Backlog(KIND, peak_flop_per_s=PEAK)
    backlog.add(work_of(0.4, 0.2), usable=USABLE, dt_s=1.0)
    backlog.add(work_of(0.4, 0.2), usable=~USABLE, dt_s=1.0)

    assert backlog.wanted(1.0)[0][0] == 0.0


def test_a_capped_chip_does_not_store_up_work_without_end() -> None:
    backlog = Backlog(KIND, peak_flop_per_s=PEAK)
    for _ in range(100):
        backlog.add(work_of(0.6, 0.2), usable=USABLE, dt_s=1.0)

    assert backlog.orders(ONE, 100.0).prefill_flop[0] * 2.0 <= 3.0 * PEAK + 1.0
