"""One gang into one UltraServer: which sleds, which chips."""

import numpy as np
from numpy.typing import NDArray

from controller.placement.feasible import Shape
from controller.placement.job import Placement, Share
from controller.placement.room import Counts, Room

Rows = NDArray[np.intp]


def choose_sleds(room: Room, server: int, groups: Counts, needed: int) -> list[tuple[int, int]]:
    """(sled, groups) pairs of one UltraServer that hold `needed` groups together.

    One rack if any can hold them, the fewest sleds, the tightest fit for what is left, and the
    coolest where that leaves a choice. `groups` counts what each sled of the fleet holds.
    """
    span = room.fleet_map.sleds_in_ultraserver(server)
    rows = np.flatnonzero(groups[span]) + span.start
    racks = room.fleet_map.rack_of_sled[rows]
    options = [rows[racks == rack] for rack in np.unique(racks)]
    fitting = [option for option in options if groups[option].sum() >= needed]
    picks = [_greedy(room, option, groups, needed) for option in (fitting or [rows])]
    return min(picks, key=lambda pick: (len(pick), _left(pick, groups), pick))


def build(room: Room, server: int, shape: Shape, pick: list[tuple[int, int]]) -> Placement:
    """The placement of a pick, chip by chip, in fleet order."""
    per_sled = {row: _chips_on(room, shape, row, groups) for row, groups in sorted(pick)}
    over = sum(per_sled.values()) - shape.chips
    shares = []
    for row, count in per_sled.items():
        # Groups larger than a sled may need less than the last sled has.
        spare = min(over, count - 1) if over > 0 else 0
        over -= spare
        chips = room.free_chips(row, count - spare)
        shares.append(Share(sled_id=room.fleet_map.sled_ids[row], chips=chips))
    return Placement(ultraserver_id=room.fleet_map.ultraserver_ids[server], shares=tuple(shares))


def _chips_on(room: Room, shape: Shape, row: int, groups: int) -> int:
    whole = int(room.fleet_map.chips_of_sled[row])
    return groups * shape.group_chips if shape.group_chips <= whole else whole


def _greedy(room: Room, rows: Rows, groups: Counts, needed: int) -> list[tuple[int, int]]:
    """Sleds with most groups first; the last one is the tightest that holds what is left."""
    heat = np.nan_to_num(room.grounds.hottest_c[rows], nan=np.inf)
    order = rows[np.lexsort((rows, np.round(heat), -groups[rows]))]
    pick: list[tuple[int, int]] = []
    left = needed
    remaining = list(order)
    while left > 0 and remaining:
        enough = [row for row in remaining if groups[row] >= left]
        row = min(enough, key=lambda row: int(groups[row])) if enough else remaining[0]
        taken = min(int(groups[row]), left)
        pick.append((int(row), taken))
        remaining.remove(row)
        left -= taken
    return pick


def _left(pick: list[tuple[int, int]], groups: Counts) -> int:
    """Groups that stay free on the sleds of a pick."""
    return sum(int(groups[row]) - taken for row, taken in pick)
