"""Which chips are free, and where there is room for a gang."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from controller.placement.feasible import Grounds, Shape, failed_check, sled_row
from controller.placement.job import LIVE_STATES, Job, Placement
from controller.placement.settings import PlacementSettings
from controller.state.health import BoolArray
from fleet.topology import FleetMap, Generation

Counts = NDArray[np.int64]


class Room:
    """Free chips of a fleet while a plan is being made; `take` and `release` change it."""

    def __init__(self, fleet_map: FleetMap, grounds: Grounds, settings: PlacementSettings) -> None:
        self.fleet_map = fleet_map
        self.grounds = grounds
        self.failed = failed_check(grounds, settings)
        self.usable: BoolArray = self.failed < 0
        self._widest = int(fleet_map.chips_of_sled.max(initial=0))
        # Parts that a narrow sled does not have count as taken.
        self._taken = np.arange(self._widest) >= fleet_map.chips_of_sled[:, None]
        self.free: Counts = fleet_map.chips_of_sled.astype(np.int64)
        """Free chips of each sled, usable or not."""
        self._first_sled = np.array(
            [fleet_map.sleds_in_ultraserver(n).start for n in range(len(fleet_map.ultraservers))],
            dtype=np.intp,
        )
        self._width_of_server: Counts = fleet_map.chips_of_sled[self._first_sled].astype(np.int64)
        self.wafers: BoolArray = np.array(
            [us.generation is Generation.CS3 for us in fleet_map.ultraservers], dtype=np.bool_
        )
        """Servers that are made to decode: other work goes there last."""
        self.server_heat_c = self._mean_heat_c()

    def occupy(self, jobs: Iterable[Job]) -> None:
        """Take what jobs hold, and what their earlier attempts have not given back."""
        for job in jobs:
            if job.placement is not None and job.state in LIVE_STATES:
                self.take(job.placement)
            for departure in job.departures:
                self.take(departure.placement)

    def take(self, placement: Placement) -> None:
        for row, chips in self._rows(placement):
            self._taken[row, chips] = True
            self.free[row] = self._widest - int(self._taken[row].sum())

    def clash(self, placement: Placement) -> str | None:
        """The first sled of a placement on which a chip is taken or does not exist."""
        for share in placement.shares:
            row = sled_row(self.fleet_map, share.sled_id)
            if row is None or max(share.chips, default=0) >= self._widest:
                return share.sled_id
            if self._taken[row, list(share.chips)].any():
                return share.sled_id
        return None

    def free_chips(self, sled: int, count: int) -> tuple[int, ...]:
        """The first `count` free chips of a sled."""
        return tuple(int(chip) for chip in np.flatnonzero(~self._taken[sled])[:count])

    def groups(self, shape: Shape, usable: BoolArray) -> Counts:
        """Whole groups that each sled holds. A group larger than a sled needs empty sleds: then
        an empty sled counts as one.
        """
        width = self.fleet_map.chips_of_sled
        units: Counts = np.where(
            shape.group_chips <= width, self.free // shape.group_chips, self.free == width
        )
        return np.where(usable, units, 0)

    def by_server(self, per_sled: Counts) -> Counts:
        """Sum over the sleds of each UltraServer, which are adjacent."""
        totals: Counts = np.add.reduceat(per_sled, self._first_sled)
        return totals

    def units_needed(self, shape: Shape) -> Counts:
        """[servers] in the unit of `groups`: groups, or empty sleds for groups larger than one."""
        sleds_a_group: Counts = -(-shape.group_chips // self._width_of_server)
        return shape.groups * sleds_a_group

    def chips_per_unit(self, shape: Shape) -> Counts:
        """[servers] chips that one unit of `groups` stands for."""
        return np.minimum(shape.group_chips, self._width_of_server)

    def _mean_heat_c(self) -> NDArray[np.float64]:
        """Mean over each UltraServer's usable sleds of their hottest junction."""
        heat = np.where(self.usable, np.nan_to_num(self.grounds.hottest_c), 0.0)
        sleds = np.add.reduceat(self.usable.astype(np.float64), self._first_sled)
        mean: NDArray[np.float64] = np.add.reduceat(heat, self._first_sled) / np.maximum(sleds, 1.0)
        return mean

    def _rows(self, placement: Placement) -> list[tuple[int, list[int]]]:
        rows = []
        for share in placement.shares:
            row = sled_row(self.fleet_map, share.sled_id)
            if row is not None:
                rows.append((row, [chip for chip in share.chips if chip < self._widest]))
        return rows
