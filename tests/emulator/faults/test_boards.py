import numpy as np

from emulator.faults.boards import neighbours
from emulator.faults.fault import Fault
from emulator.faults.kinds import FaultKind
from fleet.topology import FleetMap, Generation, LoopKind, LoopPlan, mixed_datacenter
from tests.emulator.worlds import small_hall

SLED, BESIDE = "h1/us01/r1/s07", "h1/us01/r1/s08"


def test_who_stands_where_follows_the_faults() -> None:
    hall = small_hall(settle_s=0.0)
    ids = hall.world.fleet_map.sled_ids

    def shown() -> dict[str, tuple[str, str, bool]]:
        hall.run(1)
        seen = [hall.world.sled_readings(row) for row in range(len(ids))]
        return {
            sled_id: (one.board, one.claims, one.firmware_drifted)
            for sled_id, one in zip(ids, seen, strict=True)
            if (one.board or sled_id, one.claims, one.firmware_drifted) != (sled_id, "", False)
        }

    assert shown() == {}
    hall.world.inject(Fault(kind=FaultKind.SLED_EXCHANGE, place=SLED))
    assert shown() == {SLED: (BESIDE, "", False), BESIDE: (SLED, "", False)}
    hall.world.clear(FaultKind.SLED_EXCHANGE, SLED)
    hall.world.inject(Fault(kind=FaultKind.SLED_SWAP, place=SLED))
    hall.world.inject(Fault(kind=FaultKind.FIRMWARE_DRIFT, place=ids[0]))
    hall.world.inject(Fault(kind=FaultKind.IDENTITY_CLAIM, place=BESIDE))
    found = shown()
    assert found[SLED][0] not in ids
    assert found[ids[0]] == (ids[0], "", True)
    assert found[BESIDE][1] in ids
    assert found[BESIDE][1] != BESIDE
    assert len(found) == 3


def test_neighbours_share_an_ultraserver_and_one_that_is_alone_has_itself() -> None:
    plan = LoopPlan(kind=LoopKind.AIR, ultraservers={Generation.TRN2: 2, Generation.TRN3_GEN1: 2})
    fleet_map = FleetMap(mixed_datacenter([plan]))
    beside, server = neighbours(fleet_map), fleet_map.ultraserver_of_sled
    assert (server[beside] == server).all()
    sizes = np.bincount(server)[server]
    assert ((beside == np.arange(fleet_map.sleds)) == (sizes == 1)).all()
    assert (sizes > 1).any()
    assert (sizes == 1).any()
