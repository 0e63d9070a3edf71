"""Agents as dense rows, and the groups whose telemetry is kept together."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fleet.topology import FleetMap

Rows = NDArray[np.intp]
Pick = slice | Rows

_REMEMBERED: Final = 4096
"""Sets of agents that came in one slab; a relay sends the same one every tick."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupShare:
    """The frames of a slab that are of one group: `frames` of the slab sit at `seats`."""

    group: int
    frames: Pick
    seats: Pick


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seating:
    """Where the agents of a slab stand in the fleet."""

    rows: Rows
    """One entry a frame; -1 for an agent that the fleet does not have."""
    loops: Rows
    """Index of the agent's cooling loop, -1 alike."""
    loop: int
    """The one loop of all of them, -1 where there is no such one."""
    distinct: bool
    """Whether no agent is named twice."""
    shares: tuple[GroupShare, ...]
    """Frames of known agents by group."""


class Roster:
    """All agents of a fleet: sleds first, then CDUs, each in the order of the fleet map.

    A group is an UltraServer or a CDU. Its seats are its agents in order; an agent's parts are its
    chips or pumps.
    """

    def __init__(self, fleet_map: FleetMap) -> None:
        sleds, loops = fleet_map.sleds, len(fleet_map.cdu_ids)
        servers = len(fleet_map.ultraserver_ids)
        self.agents = (*fleet_map.sled_ids, *fleet_map.cdu_ids)
        self.group_ids = (*fleet_map.ultraserver_ids, *fleet_map.cdu_ids)
        self.loop_of_row: Rows = np.concatenate((fleet_map.loop_of_sled, np.arange(loops))).astype(
            np.intp
        )
        self.group_of_row: Rows = np.concatenate(
            (fleet_map.ultraserver_of_sled, servers + np.arange(loops))
        ).astype(np.intp)
        first = np.searchsorted(self.group_of_row, np.arange(len(self.group_ids)))
        self.first_row: Rows = first
        self.size: Rows = np.diff(np.append(first, sleds + loops))
        self._row = {agent: row for row, agent in enumerate(self.agents)}
        self._seatings: dict[tuple[str, ...], Seating] = {}

    def __len__(self) -> int:
        return len(self.agents)

    def row(self, agent: str) -> int | None:
        return self._row.get(agent)

    def seating(self, agents: tuple[str, ...]) -> Seating:
        found = self._seatings.get(agents)
        if found is None:
            if len(self._seatings) >= _REMEMBERED:
                self._seatings.clear()
            found = self._seatings[agents] = self._seat(agents)
        return found

    def _seat(self, agents: tuple[str, ...]) -> Seating:
        rows = np.array([self._row.get(agent, -1) for agent in agents], dtype=np.intp)
        known = np.flatnonzero(rows >= 0)
        groups = self.group_of_row[rows[known]]
        shares = []
        for group in np.unique(groups).tolist():
            frames = known[groups == group]
            seats = rows[frames] - self.first_row[group]
            shares.append(GroupShare(group=group, frames=_plain(frames), seats=_plain(seats)))
        loops = np.where(rows >= 0, self.loop_of_row[rows], -1)
        return Seating(
            rows=rows,
            loops=loops,
            loop=int(loops[0]) if (loops == loops[0]).all() else -1,
            distinct=len(set(agents)) == len(agents),
            shares=tuple(shares),
        )


def _plain(rows: Rows) -> Pick:
    """A slice where the rows follow each other: copying by slices is much faster."""
    first, last = int(rows[0]), int(rows[-1])
    if last - first + 1 == len(rows) and bool((np.diff(rows) == 1).all()):
        return slice(first, last + 1)
    return rows
