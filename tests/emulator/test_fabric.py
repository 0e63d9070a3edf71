import math

import numpy as np
import pytest

from emulator.fabric import Fabric
from emulator.faults.fault import Fault
from emulator.faults.kinds import FaultKind
from emulator.skus import FleetSkus
from fleet.topology import FleetMap, Generation, LoopKind, LoopPlan, mixed_datacenter
from tests.emulator.worlds import small_hall
from thermal.arrays import BoolArray

FLEET = FleetMap(
    mixed_datacenter(
        [
            LoopPlan(
                kind=LoopKind.LIQUID_TO_LIQUID,
                ultraservers={Generation.TRN3_GEN2: 2, Generation.CS3: 2},
            ),
            LoopPlan(
                kind=LoopKind.AIR,
                ultraservers={
                    Generation.TRN1: 1,
                    Generation.TRN2: 1,
                    Generation.TRN2_ULTRASERVER: 1,
                    Generation.TRN3_GEN1: 1,
                },
            ),
        ]
    )
)
SKUS = FleetSkus(FLEET)
CHIP = FLEET.chip


def rows(*chip_ids: str) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array([CHIP(chip_id) for chip_id in chip_ids], dtype=np.int32)


def chips_of(ultraserver: str) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(
        [row for row, name in enumerate(FLEET.chip_ids) if name.startswith(f"{ultraserver}/")],
        dtype=np.int32,
    )


class Faults:
    def __init__(self) -> None:
        self.link: BoolArray = np.zeros((FLEET.chips, 3), np.bool_)
        self.switch: BoolArray = np.zeros((FLEET.sleds, 2), np.bool_)

    def lose_link(self, chip_id: str, tier: int) -> "Faults":
        self.link[CHIP(chip_id), tier] = True
        return self

    def lose_switch(self, *sleds: str, level: int) -> "Faults":
        for sled in sleds:
            self.switch[FLEET.sled(sled), level] = True
        return self

    def fabric(self) -> Fabric:
        fabric = Fabric(SKUS)
        fabric.break_links(self.link, self.switch)
        return fabric


HEALTHY = Fabric(SKUS)
SLED = rows(*(f"h1/us01/r1/s01/c{chip}" for chip in range(4)))
TWO_SLEDS = rows(*(f"h1/us01/r1/s0{sled}/c{chip}" for sled in (1, 2) for chip in range(4)))
RACK_PAIR = rows("h1/us01/r1/s03/c2", "h1/us01/r1/s09/c1")
POSITION_PAIR = rows("h1/us01/r1/s03/c2", "h1/us01/r2/s03/c2")


@pytest.mark.parametrize(
    ("group", "gb_per_s"), [(SLED, 256), (RACK_PAIR, 320), (POSITION_PAIR, 128)]
)
def test_a_healthy_fabric_has_the_published_tiers(
    group: np.ndarray[tuple[int], np.dtype[np.int32]], gb_per_s: float
) -> None:
    assert HEALTHY.collective_bytes_per_s(group) == pytest.approx(gb_per_s * 1e9)


def test_a_ring_is_as_fast_as_its_slowest_tier() -> None:
    assert HEALTHY.collective_bytes_per_s(TWO_SLEDS) == pytest.approx(256e9)
    assert HEALTHY.collective_bytes_per_s(chips_of("h1/us01")) == pytest.approx(128e9)


def test_one_chip_alone_needs_no_fabric() -> None:
    assert HEALTHY.collective_bytes_per_s(SLED[:1]) == math.inf


def test_wafers_meet_over_the_network() -> None:
    wafers = rows("h1/us03/r1/s01/c0", "h1/us04/r1/s01/c0")
    assert HEALTHY.collective_bytes_per_s(wafers) == pytest.approx(150e9)


def test_ring_order_matters() -> None:
    """Crossing the racks anywhere but between chips of one position costs a detour."""
    whole = chips_of("h1/us01")
    snaked = HEALTHY.ring_bytes_per_s(HEALTHY.ring_order(whole))
    plain = HEALTHY.ring_bytes_per_s(whole)
    assert plain < snaked
    assert sorted(HEALTHY.ring_order(whole).tolist()) == whole.tolist()


def test_a_group_may_be_named_in_any_order() -> None:
    shuffled = np.random.default_rng(1).permutation(TWO_SLEDS)
    assert HEALTHY.ring_order(shuffled).tolist() == HEALTHY.ring_order(TWO_SLEDS).tolist()


def test_a_chip_without_its_sleds_links_takes_the_rack_level() -> None:
    lost = Faults().lose_link("h1/us01/r1/s01/c1", 0).fabric()
    # 320 GB/s is more than 256: the slowest hop is still inside the sled.
    assert lost.collective_bytes_per_s(SLED) == pytest.approx(256e9)
    assert lost.collective_bytes_per_s(SLED[:2]) == pytest.approx(320e9)


def test_a_chip_without_rack_links_slows_its_gang_by_a_detour() -> None:
    lost = Faults().lose_link("h1/us01/r1/s03/c2", 1).fabric()
    assert lost.collective_bytes_per_s(RACK_PAIR) == pytest.approx(0.5 * 256e9)
    assert lost.collective_bytes_per_s(SLED) == pytest.approx(256e9)


def test_a_chip_without_any_link_is_cut_off_and_its_peers_are_not() -> None:
    faults = Faults()
    for tier in range(3):
        faults.lose_link("h1/us01/r1/s01/c1", tier)
    lost = faults.fabric()
    assert lost.collective_bytes_per_s(SLED) == 0.0
    assert lost.collective_bytes_per_s(SLED[2:]) == pytest.approx(256e9)


def test_a_lost_sled_switch_leaves_the_rack_level() -> None:
    lost = Faults().lose_switch("h1/us01/r1/s01", level=0).fabric()
    assert lost.collective_bytes_per_s(SLED) == pytest.approx(320e9)


def test_a_lost_rack_switch_sends_traffic_through_the_other_rack() -> None:
    sleds = [name for name in FLEET.sled_ids if name.startswith("h1/us01/r1/")]
    lost = Faults().lose_switch(*sleds, level=1).fabric()
    # Across, along the other rack, and back: two chips forward.
    assert lost.collective_bytes_per_s(RACK_PAIR) == pytest.approx(0.25 * 128e9)
    assert lost.collective_bytes_per_s(SLED) == pytest.approx(256e9)


def test_other_ultraservers_do_not_notice() -> None:
    sleds = [name for name in FLEET.sled_ids if name.startswith("h1/us01/")]
    lost = Faults().lose_switch(*sleds, level=0).lose_switch(*sleds, level=1).fabric()
    other = chips_of("h1/us02")
    assert lost.collective_bytes_per_s(other) == HEALTHY.collective_bytes_per_s(other)


def test_what_is_mended_is_as_before() -> None:
    fabric = Faults().lose_link("h1/us01/r1/s03/c2", 1).fabric()
    fabric.break_links(Faults().link, Faults().switch)
    assert fabric.collective_bytes_per_s(RACK_PAIR) == pytest.approx(320e9)


@pytest.mark.parametrize("host", ["h1/us05/r1/s01", "h1/us06/r1/s01"])
def test_a_torus_gives_each_chip_four_neighbours_that_know_each_other(host: str) -> None:
    near = {chip: HEALTHY.connected_to(CHIP(f"{host}/c{chip}")) for chip in range(16)}
    assert all(len(others) == 4 for others in near.values())
    assert all(chip in near[other] for chip, others in near.items() for other in others)
    assert near[0] == (1, 3, 4, 12)


def test_a_lost_torus_link_is_seen_by_its_neighbours_and_slows_the_host() -> None:
    lost = Faults().lose_link("h1/us06/r1/s01/c5", 0).fabric()
    assert lost.connected_to(CHIP("h1/us06/r1/s01/c5")) == ()
    assert 5 not in lost.connected_to(CHIP("h1/us06/r1/s01/c4"))
    assert lost.collective_bytes_per_s(chips_of("h1/us06")) == 0.0
    assert lost.collective_bytes_per_s(chips_of("h1/us06")[:4]) == pytest.approx(128e9)


def test_a_trn2_host_rings_at_full_link_speed_and_its_ultraserver_at_that_of_the_host_ring() -> (
    None
):
    assert HEALTHY.collective_bytes_per_s(chips_of("h1/us06")) == pytest.approx(128e9)
    assert HEALTHY.collective_bytes_per_s(chips_of("h1/us07")) == pytest.approx(64e9)


def test_chips_of_a_torus_far_apart_share_the_links_between() -> None:
    near = rows("h1/us06/r1/s01/c0", "h1/us06/r1/s01/c1")
    far = rows("h1/us06/r1/s01/c0", "h1/us06/r1/s01/c10")
    assert HEALTHY.collective_bytes_per_s(near) == pytest.approx(128e9)
    assert HEALTHY.collective_bytes_per_s(far) == pytest.approx(0.5**3 * 128e9)


def test_switched_chips_have_no_neighbours_of_their_own() -> None:
    assert HEALTHY.connected_to(int(SLED[0])) == ()
    assert HEALTHY.collective_bytes_per_s(chips_of("h1/us08")) == pytest.approx(128e9)


def test_a_fault_of_the_world_slows_its_fabric() -> None:
    world = small_hall(settle_s=1.0).world
    group = np.arange(2, dtype=np.int32)
    assert world.fabric.collective_bytes_per_s(group) == pytest.approx(256e9)
    world.inject(Fault(kind=FaultKind.LINK_LOSS, place="h1/us01/r1/s01/c0#in_sled"))
    world.step(1.0)
    assert world.fabric.collective_bytes_per_s(group) == pytest.approx(320e9)
    world.inject(Fault(kind=FaultKind.SWITCH_LOSS, place="h1/us01/r1"))
    world.step(1.0)
    assert world.fabric.collective_bytes_per_s(group) < 64e9
