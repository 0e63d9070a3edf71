"""Why a job waits, in words that a person on call can act upon."""

import numpy as np

from controller.placement.feasible import SLED_CHECKS, Shape
from controller.placement.room import Room
from controller.placement.settings import PlacementSettings


def waiting_reasons(room: Room, shape: Shape, settings: PlacementSettings) -> tuple[str, ...]:
    """The dominant reason first, then the UltraServers that come closest, with numbers."""
    groups = room.groups(shape, room.usable)
    fitting = room.by_server(groups) * room.chips_per_unit(shape)
    order = np.lexsort((np.arange(len(fitting)), -fitting))
    named = [int(server) for server in order[: settings.servers_explained]]
    if not named:
        return ("the fleet has no UltraServer",)
    best = named[0]
    lead = (
        f"needs {shape.chips} chips in one UltraServer{_in_groups(shape)}; "
        f"{room.fleet_map.ultraserver_ids[best]} comes closest with {int(fitting[best])}"
    )
    return (lead, *(_server_words(room, shape, server) for server in named))


def _in_groups(shape: Shape) -> str:
    if shape.group_chips == 1:
        return ""
    return f" in whole groups of {shape.group_chips}"


def _server_words(room: Room, shape: Shape, server: int) -> str:
    """`h1/us01 has 12 free (4 more on sleds that are cordoned), 128 are busy`."""
    rows = room.fleet_map.sleds_in_ultraserver(server)
    free, failed = room.free[rows], room.failed[rows]
    usable = int(free[failed < 0].sum())
    blocked = [
        f"{count} on sleds {check.words}"
        for place, check in enumerate(SLED_CHECKS)
        if (count := int(free[failed == place].sum()))
    ]
    busy = int(room.fleet_map.chips_of_sled[rows].sum() - free.sum())
    words = f"{room.fleet_map.ultraserver_ids[server]} has {usable} free"
    whole = int(room.groups(shape, room.usable)[rows].sum())
    split = usable - whole * int(room.chips_per_unit(shape)[server])
    details = [*blocked, *([f"{busy} busy"] if busy else [])]
    if split > 0 and shape.group_chips > 1:
        details.append(f"{split} of the free ones are no whole group")
    return f"{words} ({', '.join(details)})" if details else words
