import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.skus import SledColumns, generation_settings
from emulator.sled import sled_power, vcpu_busy_ratio
from fleet.topology import Generation

KINDS = SledColumns.of(
    [generation_settings(kind).sled for kind in (Generation.TRN3_GEN2, Generation.TRN2)],
    np.array([0, 1], dtype=np.int32),
)


@given(chip_w=st.floats(0.0, 20_000.0), vcpu=st.floats(0.0, 1.0), powered=st.booleans())
def test_the_parts_add_up_and_all_of_it_is_heat(chip_w: float, vcpu: float, powered: bool) -> None:
    on = np.full(2, powered)
    drawn = sled_power(KINDS, chip_w=np.full(2, chip_w), vcpu_ratio=np.full(2, vcpu), powered=on)

    parts = drawn.chips_w + drawn.cpu_w + drawn.nitro_w + drawn.switch_w + drawn.regulators_w
    assert drawn.total_w == pytest.approx(parts + drawn.standby_w)
    assert (drawn.other_liquid_w <= drawn.other_w + 1e-9).all()
    assert (drawn.total_w > 0.0).all()


def test_a_sled_without_power_draws_its_standby_alone() -> None:
    drawn = sled_power(
        KINDS,
        chip_w=np.full(2, 500.0),
        vcpu_ratio=np.ones(2),
        powered=np.zeros(2, dtype=np.bool_),
    )
    assert drawn.total_w.tolist() == KINDS.standby_w.tolist()
    assert drawn.other_liquid_w.tolist() == [0.0, 0.0]


def test_a_liquid_sled_gives_85_to_90_percent_of_its_heat_to_the_coolant_and_an_air_host_none() -> (
    None
):
    chip_w = np.array([4 * 1_000.0, 16 * 500.0])
    drawn = sled_power(
        KINDS, chip_w=chip_w, vcpu_ratio=np.ones(2), powered=np.ones(2, dtype=np.bool_)
    )
    assert 0.85 <= (chip_w[0] + drawn.other_liquid_w[0]) / drawn.total_w[0] <= 0.90
    assert drawn.other_liquid_w[1] == 0.0


def test_vcpus_follow_the_chips_that_work() -> None:
    idle, half, over = (vcpu_busy_ratio(KINDS, np.full(2, busy))[0] for busy in (0.0, 0.5, 2.0))
    assert idle == KINDS.vcpu_idle_ratio[0]
    assert idle < half < over == KINDS.vcpu_busy_ratio[0]
