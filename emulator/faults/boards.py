"""Which board stands in a sled's place, and what its card says, when people or attackers err."""

from dataclasses import replace

import numpy as np

from emulator.faults.columns import FaultColumns
from emulator.readings import SledReadings
from fleet.topology import FleetMap, IntArray


def sleds_as_built(
    readings: tuple[SledReadings, ...], broken: FaultColumns, fleet_map: FleetMap
) -> tuple[SledReadings, ...]:
    """Only rows with a fault are made anew."""
    exchanged = np.flatnonzero(broken.sled_exchanged)
    struck = broken.sled_swapped | broken.identity_claimed | broken.firmware_drifted
    touched = np.union1d(
        np.flatnonzero(struck), np.concatenate([exchanged, neighbours(fleet_map)[exchanged]])
    )
    if not len(touched):
        return readings
    beside, ids = neighbours(fleet_map), fleet_map.sled_ids
    boards = list(ids)
    for row in exchanged.tolist():
        other = int(beside[row])
        boards[row], boards[other] = boards[other], boards[row]
    shown = list(readings)
    for row in touched.tolist():
        shown[row] = replace(
            readings[row],
            board=f"spare for {ids[row]}" if broken.sled_swapped[row] else boards[row],
            claims=ids[int(beside[row])] if broken.identity_claimed[row] else "",
            firmware_drifted=bool(broken.firmware_drifted[row]),
        )
    return tuple(shown)


def neighbours(fleet_map: FleetMap) -> IntArray:
    """[sleds] The next sled of the same UltraServer; of the last one the sled before."""
    rows = np.arange(fleet_map.sleds)
    server = fleet_map.ultraserver_of_sled
    last = np.append(server[1:] != server[:-1], True)
    alone = last & np.insert(server[1:] != server[:-1], 0, True)
    beside: IntArray = np.where(alone, rows, np.where(last, rows - 1, rows + 1)).astype(np.int32)
    return beside
