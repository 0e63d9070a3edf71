import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermal.manifold import (
    BranchConductance,
    SledBranches,
    SystemCurve,
    chip_flow_lpm,
    conductance,
    share_of_flow,
)

SLED_OF_CHIP = np.repeat(np.arange(3), 4)


def make_branches() -> SledBranches:
    return SledBranches(
        chip_conductance=np.full(12, 0.17),
        other_conductance=np.full(3, 0.17),
        coupling_coefficient=np.array([0.3, 0.35, 0.4]),
        sled_of_chip=SLED_OF_CHIP,
    )


def opened(
    chip: dict[int, float] | None = None,
    sled: dict[int, float] | None = None,
    isolated: tuple[int, ...] = (),
) -> BranchConductance:
    chip_ratio, sled_ratio, shut = np.zeros(12), np.zeros(3), np.zeros(3, dtype=np.bool_)
    for row, value in (chip or {}).items():
        chip_ratio[row] = value
    for row, value in (sled or {}).items():
        sled_ratio[row] = value
    shut[list(isolated)] = True
    return conductance(
        make_branches(),
        chip_blockage_ratio=chip_ratio,
        sled_blockage_ratio=sled_ratio,
        sled_isolated=shut,
    )


def test_every_branch_meets_the_same_pressure_difference() -> None:
    branches, now = make_branches(), opened(chip={0: 0.6, 7: 1.0})
    sled = share_of_flow(now.sled) * 20.0
    chip = chip_flow_lpm(sled, now, SLED_OF_CHIP)
    couplings = branches.coupling_coefficient * sled**branches.exponent
    open_chips = now.chip > 0
    plates = np.zeros(12)
    plates[open_chips] = (chip[open_chips] / now.chip[open_chips]) ** branches.exponent
    total = couplings[SLED_OF_CHIP] + plates
    assert np.ptp(total[open_chips]) < 1e-9 * total[0]


def test_flow_is_conserved_and_the_ageing_coupling_gets_less() -> None:
    now = opened()
    sled = share_of_flow(now.sled) * 20.0
    assert sled.sum() == pytest.approx(20.0)
    assert sled[0] > sled[1] > sled[2]
    assert (chip_flow_lpm(sled, now, SLED_OF_CHIP) > 0).all()


def test_a_blocked_plate_sends_its_flow_to_its_neighbours() -> None:
    clean = chip_flow_lpm(np.full(3, 7.5), opened(), SLED_OF_CHIP)
    now = opened(chip={0: 1.0})
    blocked = chip_flow_lpm(np.full(3, 7.5), now, SLED_OF_CHIP)
    assert blocked[0] == 0.0
    assert (blocked[1:4] > clean[1:4]).all()
    assert blocked[4:] == pytest.approx(clean[4:])


@pytest.mark.parametrize("now", [opened(isolated=(1,)), opened(sled={1: 1.0})])
def test_a_shut_sled_gets_nothing_and_the_rest_shares_all(now: BranchConductance) -> None:
    share = share_of_flow(now.sled)
    assert share[1] == 0.0
    assert share.sum() == pytest.approx(1.0)


def test_all_sleds_shut_is_no_flow_and_no_error() -> None:
    assert share_of_flow(opened(isolated=(0, 1, 2)).sled).tolist() == [0.0, 0.0, 0.0]


@given(st.floats(0.0, 3000.0))
def test_the_system_curve_and_its_inverse_agree(flow_lpm: float) -> None:
    curve = SystemCurve(coefficient=180.0 / 540.0**1.85, knee_lpm=162.0)
    assert curve.flow_lpm(curve.dp_kpa(flow_lpm)) == pytest.approx(flow_lpm, rel=1e-9, abs=1e-9)


def test_the_gb300_rack_table_follows_the_exponent_within_ten_percent() -> None:
    """2.3 to 18.4 psi for 59 to 177 l/min."""
    curve = SystemCurve(coefficient=2.3 / 59.0**1.85, knee_lpm=1.0)
    assert curve.dp_kpa(177.0) == pytest.approx(18.4, rel=0.10)
