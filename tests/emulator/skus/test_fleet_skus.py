import numpy as np
import pytest

from emulator.chip import ChipBank
from emulator.skus import FleetSkus, generation_settings
from fleet.topology import FleetMap, Generation, LoopKind, LoopPlan, mixed_datacenter

FLEET = FleetMap(
    mixed_datacenter(
        [
            LoopPlan(kind=LoopKind.LIQUID_TO_LIQUID, ultraservers={Generation.TRN3_GEN2: 1}),
            LoopPlan(kind=LoopKind.AIR, ultraservers={Generation.TRN2: 1, Generation.TRN1: 1}),
            LoopPlan(kind=LoopKind.LIQUID_TO_AIR, ultraservers={Generation.CS3: 1}),
        ]
    )
)
SKUS = FleetSkus(FLEET)
OWNERS = [server.generation for server in FLEET.ultraservers for _ in range(server.fanout.chips)]


def test_each_chip_has_the_figures_of_its_own_generation() -> None:
    for row in (0, 143, 144, 159, 160, 175, 176):
        kind = generation_settings(OWNERS[row]).chip
        assert SKUS.of_chip(row) == kind
        assert SKUS.chips.tdp_w[row] == kind.power.tdp_w
        assert SKUS.chips.trip_c[row] == kind.limits.trip_c
        assert SKUS.chips.peak_flop_per_s[row] == kind.peak_flop_per_s


def test_each_sled_has_the_figures_of_its_own_generation() -> None:
    assert SKUS.of_sled(0).vcpus == 64
    assert SKUS.of_sled(36).vcpus == 192
    assert SKUS.sleds.cpu_w[[0, 36]].tolist() == [250.0, 700.0]
    assert SKUS.chip_of_sled(38) == generation_settings(Generation.CS3).chip


def test_a_column_of_any_figure() -> None:
    stacks = SKUS.chip_column(lambda chip: chip.hbm_stacks)
    assert (stacks[0], stacks[144], stacks[160], stacks[176]) == (4, 4, 2, 0)
    assert len(stacks) == FLEET.chips


def test_a_mixed_bank_caps_each_chip_by_its_own_rating() -> None:
    bank, chips = ChipBank.at_rest(SKUS.chips), FLEET.chips
    bank.protect(
        powered=np.ones(chips, dtype=np.bool_),
        cap_ratio=np.full(chips, 0.5),
        slow_ratio=np.ones(chips),
        dead=np.zeros(chips, dtype=np.bool_),
        unfit=np.zeros(chips, dtype=np.bool_),
        junction_c=np.full(chips, 50.0),
    )
    assert bank.power_cap_w[[0, 144, 160, 176]].tolist() == [500.0, 250.0, 125.0, 10_500.0]


def test_idle_power_differs_by_generation() -> None:
    bank = ChipBank.at_rest(SKUS.chips)
    bank.draw(np.zeros(FLEET.chips), np.zeros(FLEET.chips), np.full(FLEET.chips, 40.0))
    assert bank.power_w[[0, 144, 160, 176]] == pytest.approx([180.0, 110.0, 60.0, 6_000.0])
