"""Desired against observed: shares that should run on a sled which does not show them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from controller.placement.feasible import sled_row
from controller.placement.job import Job, JobState
from controller.placement.settings import PlacementSettings
from controller.state.health import fresh_sleds
from controller.state.snapshot import FleetSnapshot
from fleet.clock import NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """What makes a job move, for people, and the id of what led to it."""

    reason: str
    cause: str


def lost_shares(
    snapshot: FleetSnapshot, jobs: Iterable[Job], settings: PlacementSettings
) -> dict[str, Why]:
    """Running jobs, by id, of which a sled shows nothing: its host or its runtime started anew.

    Two witnesses are asked, since a report may miss a process: a sled shows fewer processes than
    it has shares, and the cores of the share stand still.
    """
    settled = [job for job in jobs if _settled(job, snapshot.at_unix_ns, settings)]
    wanted = Counter(sled for job in settled if job.placement for sled in job.placement.sled_ids)
    fresh = fresh_sleds(snapshot, settings.health)
    shown = snapshot.sled["neuron_runtimes_count"]
    short = {
        sled_id
        for sled_id, shares in wanted.items()
        if (row := sled_row(snapshot.fleet_map, sled_id)) is not None
        and fresh[row]
        and shown[row] < shares
    }
    return {job.id: why for job in settled if (why := _why(job, short, snapshot)) is not None}


def _settled(job: Job, at_unix_ns: int, settings: PlacementSettings) -> bool:
    age_s = (at_unix_ns - job.state_since_unix_ns) / NS_PER_S
    running = job.state is JobState.RUNNING and not job.cancel_requested
    return running and age_s > settings.lost_share_s


def _why(job: Job, short: set[str], snapshot: FleetSnapshot) -> Why | None:
    assert job.placement is not None
    for share in job.placement.shares:
        if share.sled_id not in short:
            continue
        row = snapshot.fleet_map.sled(share.sled_id)
        first = int(snapshot.fleet_map.first_chip_of_sled[row])
        chips = [first + chip for chip in share.chips]
        used = snapshot.chip["neuroncore_utilization_ratio"][chips]
        if np.all(used == 0.0):
            return Why(
                reason=f"{share.sled_id} no longer runs its share", cause=snapshot.sled_cause(row)
            )
    return None
