"""May this job run at all, and may this sled get work: each check has its words."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from controller.placement.job import Job
from controller.placement.settings import PlacementSettings
from controller.state.health import BoolArray, SledHealth, sled_health
from controller.state.snapshot import FleetSnapshot
from fleet.errors import UnknownIdError
from fleet.topology import Fanout, FleetMap


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a gang asks of sleds: `groups` tensor-parallel groups of `group_chips`."""

    groups: int
    group_chips: int

    @property
    def chips(self) -> int:
        return self.groups * self.group_chips


def shape_of(job: Job) -> Shape:
    return Shape(groups=job.chips // job.tensor_parallel, group_chips=job.tensor_parallel)


def never_reason(job: Job, kinds: frozenset[Fanout]) -> str | None:
    """Why the job can never run on UltraServers of these kinds, however empty; None when it can."""
    if job.chips < 1 or job.tensor_parallel < 1:
        return "needs at least one chip and a tensor_parallel of at least one"
    if job.chips % job.tensor_parallel:
        return f"{job.chips} chips are no whole groups of tensor_parallel {job.tensor_parallel}"
    group = job.tensor_parallel
    most = max((whole_groups(k.sleds, k.chips_per_sled, group) for k in kinds), default=0)
    if shape_of(job).groups > most:
        return (
            f"needs {job.chips} chips in one UltraServer; the largest holds "
            f"{most * group} in groups of {group}"
        )
    return None


def whole_groups(sleds: int, chips_per_sled: int, group_chips: int) -> int:
    """Groups that empty sleds hold; a group spans sleds only when it is larger than one."""
    if group_chips <= chips_per_sled:
        return sleds * (chips_per_sled // group_chips)
    return sleds // -(-group_chips // chips_per_sled)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grounds:
    """What the checks look at; one row a sled."""

    health: SledHealth
    cordoned: BoolArray
    troubled: BoolArray
    hottest_c: NDArray[np.float64]
    """Hottest junction of the sled's chips, NaN where none is known."""
    inlet_c: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SledCheck:
    """`words` continue "4 chips on sleds ..."."""

    words: str
    passes: Callable[[Grounds, PlacementSettings], BoolArray]


def _cool(grounds: Grounds, settings: PlacementSettings) -> BoolArray:
    cool: BoolArray = (grounds.hottest_c <= settings.junction_most_c) & (
        grounds.inlet_c <= settings.inlet_most_c
    )
    return cool


SLED_CHECKS: Final[tuple[SledCheck, ...]] = (
    SledCheck(words="that are cordoned", passes=lambda g, _: ~g.cordoned),
    SledCheck(
        words="with an open critical incident, or cooling at its limit",
        passes=lambda g, _: ~g.troubled,
    ),
    SledCheck(words="without fresh telemetry", passes=lambda g, _: g.health.fresh),
    SledCheck(words="without power", passes=lambda g, _: g.health.powered),
    SledCheck(words="whose guard has acted", passes=lambda g, _: g.health.guard_clear),
    SledCheck(words="whose leak detector is not OK", passes=lambda g, _: g.health.leak_clear),
    SledCheck(words="that are too hot or of unknown temperature", passes=_cool),
)
"""In order of what a person wants to read first; a sled counts for the first it fails."""


def grounds_of(
    snapshot: FleetSnapshot,
    cordoned: Collection[str],
    troubled: Collection[str],
    settings: PlacementSettings,
) -> Grounds:
    fleet_map = snapshot.fleet_map
    junction = np.nan_to_num(snapshot.chip["junction_c"], nan=-np.inf)
    hottest = np.maximum.reduceat(junction, fleet_map.first_chip_of_sled).astype(np.float64)
    return Grounds(
        health=sled_health(snapshot, settings.health),
        cordoned=_named(fleet_map, cordoned),
        troubled=_named(fleet_map, troubled),
        hottest_c=np.where(np.isneginf(hottest), np.nan, hottest),
        inlet_c=snapshot.sled["inlet_c"].astype(np.float64),
    )


def failed_check(grounds: Grounds, settings: PlacementSettings) -> NDArray[np.int8]:
    """For each sled the place in SLED_CHECKS of the first check it fails; -1 for none."""
    failed = np.full(len(grounds.cordoned), -1, np.int8)
    for place in reversed(range(len(SLED_CHECKS))):
        failed[~SLED_CHECKS[place].passes(grounds, settings)] = place
    return failed


def _named(fleet_map: FleetMap, sled_ids: Collection[str]) -> BoolArray:
    mask = np.zeros(fleet_map.sleds, np.bool_)
    for sled_id in sled_ids:
        row = sled_row(fleet_map, sled_id)
        if row is not None:
            mask[row] = True
    return mask


def sled_row(fleet_map: FleetMap, sled_id: str) -> int | None:
    """Row of a sled; None for one that the fleet no longer has."""
    try:
        return fleet_map.sled(sled_id)
    except UnknownIdError:
        return None
