"""Which hardware stands where, a mark a chip: what was learnt of one says nothing of another."""

import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from controller.enrolment.enrolment import Enrolment
from fleet.topology import FleetMap

Marks = NDArray[np.uint32]


def marks(fleet_map: FleetMap, loop: int, enrolments: Mapping[str, Enrolment]) -> Marks:
    """[chips] of a loop, from what is enrolled for its sleds; 0 where nothing is. A chip that does
    not tell its serial has its sled's.
    """
    chips = fleet_map.chips_in_loop(loop)
    found = np.zeros(chips.stop - chips.start, np.uint32)
    for sled in range(*fleet_map.sleds_in_loop(loop).indices(fleet_map.sleds)):
        enrolment = enrolments.get(fleet_map.sled_ids[sled])
        if enrolment is None or enrolment.enrolled is None:
            continue
        first = int(fleet_map.first_chip_of_sled[sled]) - chips.start
        serials = enrolment.enrolled.chip_serials
        for place in range(int(fleet_map.chips_of_sled[sled])):
            told = serials[place] if place < len(serials) else ""
            found[first + place] = _mark(told or enrolment.enrolled.serial)
    return found


def swapped(before: Marks, now: Marks) -> NDArray[np.bool_]:
    """[chips] where others stand than before, as far as both were told."""
    others: NDArray[np.bool_] = (before != now) & (before != 0) & (now != 0)
    return others


def _mark(serial: str) -> int:
    # 0 says that nothing is known.
    return zlib.crc32(serial.encode()) or 1
