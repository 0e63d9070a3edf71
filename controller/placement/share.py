"""A gang's shares on the wire: what each sled is told, and what it answers."""

from dataclasses import dataclass
from enum import StrEnum

from controller.placement.job import Job, Placement
from fleet.commands import Outcome, StartJob, StopJob


class ShareAction(StrEnum):
    START = "start"  # StartJob
    STOP = "stop"  # StopJob


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareAck:
    """A sled's answer to a StartJob or StopJob; `cause` is the id of the command answered."""

    job_id: str
    attempt: int
    sled_id: str
    action: ShareAction
    outcome: Outcome
    detail: str
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendShare:
    """Start or stop a job's share on one sled."""

    sled_id: str
    action: StartJob | StopJob
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobChanged:
    """A job's record is new; `cause` is what led to it."""

    job: Job
    cause: str


PlacementEffect = SendShare | JobChanged


def start_shares(job: Job, cause: str) -> list[SendShare]:
    """Commands for the job's present placement."""
    if job.placement is None:
        return []
    return [
        SendShare(
            sled_id=share.sled_id,
            action=StartJob(
                job_id=job.id,
                attempt=job.attempt,
                model=job.model,
                chips=share.chips,
                tensor_parallel=job.tensor_parallel,
                gang=job.placement.sled_ids,
            ),
            cause=cause,
        )
        for share in job.placement.shares
    ]


def stop_shares(job_id: str, attempt: int, placement: Placement, cause: str) -> list[SendShare]:
    action = StopJob(job_id=job_id, attempt=attempt)
    return [
        SendShare(sled_id=sled_id, action=action, cause=cause) for sled_id in placement.sled_ids
    ]
