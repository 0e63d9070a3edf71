"""What people want, as the store has it; the few questions that several answers need."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from controller.incidents.incident import Incident
from controller.placement.job import LIVE_STATES, Job, JobState
from controller.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """One consistent read of the store."""

    jobs: tuple[Job, ...]
    """Those that have not ended, oldest first."""
    incidents: tuple[Incident, ...]
    """Those that are not resolved, oldest first."""

    @property
    def chips_busy(self) -> int:
        return sum(job.placement.chips for job in self.jobs if job.placement is not None)

    def jobs_in(self, state: JobState) -> int:
        return Counter(job.state for job in self.jobs)[state]


def read_desired(store: Store) -> Desired:
    with store.read() as transaction:
        return Desired(
            jobs=tuple(transaction.jobs.unfinished()),
            incidents=tuple(transaction.incidents.unresolved()),
        )


def holders(jobs: Iterable[Job]) -> dict[str, dict[int, str]]:
    """By sled id: which of its chips (from 0) which job holds."""
    held: dict[str, dict[int, str]] = {}
    for job in jobs:
        if job.placement is None or job.state not in LIVE_STATES:
            continue
        for share in job.placement.shares:
            held.setdefault(share.sled_id, {}).update(dict.fromkeys(share.chips, job.id))
    return held
