"""Heat that placement is about to bring or to take away, for the loops that have to carry it."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from controller.cooling.estimate import HeatChange
from controller.placement.job import Job, JobState
from controller.state.snapshot import FleetSnapshot
from fleet.clock import NS_PER_S
from fleet.errors import UnknownIdError


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncedSettings:
    """Estimates."""

    answer_s: float = 4.0
    """From a command to start or stop until the chips draw another power."""
    waited_s: float = 10.0
    """Who has not answered by then will hardly do: nothing is announced any more."""
    busy_chip_w: float = 600.0
    """Of a chip at work, while no job runs from which it could be taken."""
    idle_chip_w: float = 180.0


def announced(
    jobs: Iterable[Job], snapshot: FleetSnapshot, settings: AnnouncedSettings
) -> dict[str, tuple[HeatChange, ...]]:
    """By loop id: one change for each share of a job that is starting or stopping."""
    known = tuple(jobs)
    changing = [job for job in known if job.state in (JobState.STARTING, JobState.STOPPING)]
    if not changing:
        return {}
    power_w = snapshot.chip["power_w"]
    running = [job for job in known if job.state is JobState.RUNNING]
    busy = [power_w[rows] for job in running for _, rows in _shares(job, snapshot)]
    seen_w = np.concatenate(busy) if busy else np.empty(0)
    finite = seen_w[np.isfinite(seen_w)]
    busy_w = float(finite.mean()) if len(finite) else settings.busy_chip_w
    found: dict[str, tuple[HeatChange, ...]] = {}
    for job in changing:
        waited_s = (snapshot.at_unix_ns - job.sent_at_unix_ns) / NS_PER_S
        if not 0.0 <= waited_s <= settings.waited_s:
            continue
        each_w = busy_w if job.state is JobState.STARTING else settings.idle_chip_w
        for loop_id, rows in _shares(job, snapshot, but=job.answered_sleds):
            now_w = power_w[rows]
            change = HeatChange(
                in_s=max(settings.answer_s - waited_s, 0.0),
                heat_w=float((each_w - now_w[np.isfinite(now_w)]).sum()),
            )
            found[loop_id] = (*found.get(loop_id, ()), change)
    return found


def _shares(
    job: Job, snapshot: FleetSnapshot, *, but: frozenset[str] = frozenset()
) -> list[tuple[str, list[int]]]:
    """Loop and rows of the chips of each share, but for some sleds and those that are gone."""
    ids, found = snapshot.fleet_map, []
    for share in () if job.placement is None else job.placement.shares:
        try:
            row = ids.sled(share.sled_id)
        except UnknownIdError:
            continue
        if share.sled_id not in but:
            first = int(ids.first_chip_of_sled[row])
            found.append(
                (ids.loop_ids[int(ids.loop_of_sled[row])], [first + chip for chip in share.chips])
            )
    return found
