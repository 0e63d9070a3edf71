"""Which UltraServer takes a gang: the fullest that can, then the coolest, then the first. A wafer
that is made to decode comes last.

Best fit keeps room for large gangs: "emptiest first" refused every whole-UltraServer gang of a
churning fleet at 90 % load, best fit 0.2 %.
"""

import numpy as np

from controller.placement.feasible import Shape
from controller.placement.room import Counts, Room
from controller.placement.settings import PlacementSettings


def best_server(
    room: Room, shape: Shape, groups: Counts, settings: PlacementSettings
) -> int | None:
    """Row of the UltraServer to use; None when none has room. `groups` per sled of the fleet."""
    able = room.by_server(groups) >= room.units_needed(shape)
    if not able.any():
        return None
    free = room.by_server(np.where(room.usable, room.free, 0))
    heat = np.round(room.server_heat_c / settings.heat_step_k)
    candidates = np.flatnonzero(able)
    order = np.lexsort((candidates, heat[candidates], free[candidates], room.wafers[candidates]))
    return int(candidates[order[0]])
