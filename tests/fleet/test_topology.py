import numpy as np
import pytest

from fleet.errors import UnknownIdError
from fleet.topology import FANOUTS, FleetMap, Generation, trn3_datacenter


@pytest.fixture
def fleet_map() -> FleetMap:
    return FleetMap(trn3_datacenter(loops=2, ultraservers=2))


def test_trn3_gen2_has_the_published_fanout() -> None:
    fanout = FANOUTS[Generation.TRN3_GEN2]
    assert (fanout.chips, fanout.sleds, fanout.racks, fanout.chips_per_sled) == (144, 36, 2, 4)


def test_trn3_gen1_and_trn2_ultraservers_have_64_chips_in_4_hosts() -> None:
    for generation in (Generation.TRN3_GEN1, Generation.TRN2_ULTRASERVER):
        assert (FANOUTS[generation].chips, FANOUTS[generation].sleds) == (64, 4)


def test_every_chip_id_leads_back_to_its_row(fleet_map: FleetMap) -> None:
    assert fleet_map.chips == 4 * 144
    rows = [fleet_map.chip(chip_id) for chip_id in fleet_map.chip_ids]
    assert rows == list(range(fleet_map.chips))


def test_slices_cover_each_chip_once(fleet_map: FleetMap) -> None:
    seen = np.zeros(fleet_map.chips, dtype=int)
    for sled in range(fleet_map.sleds):
        seen[fleet_map.chips_in_sled(sled)] += 1
    for loop in range(len(fleet_map.loop_ids)):
        seen[fleet_map.chips_in_loop(loop)] += 1
    assert set(seen) == {2}


def test_a_sled_belongs_to_the_ultraserver_in_its_id(fleet_map: FleetMap) -> None:
    for row, sled_id in enumerate(fleet_map.sled_ids):
        owner = fleet_map.ultraserver_ids[fleet_map.ultraserver_of_sled[row]]
        assert sled_id.startswith(owner + "/")
    for row, ultraserver_id in enumerate(fleet_map.ultraserver_ids):
        sleds = fleet_map.sled_ids[fleet_map.sleds_in_ultraserver(row)]
        assert len(sleds) == 36
        assert all(sled.startswith(ultraserver_id + "/") for sled in sleds)


def test_unknown_ids_are_named(fleet_map: FleetMap) -> None:
    with pytest.raises(UnknownIdError, match=r"unknown chip 'h1/us01/r1/s01/c9'"):
        fleet_map.chip("h1/us01/r1/s01/c9")
    with pytest.raises(UnknownIdError, match="unknown loop"):
        fleet_map.loop("h9/loop01")
