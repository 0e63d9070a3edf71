from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from controller.placement.job import Job, Plan
from fleet.commands import Outcome, StartJob, StopJob


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileSettings:
    """Patience with sleds that do not answer. All are estimates."""

    ack_timeout_s: float = 5.0
    """A command not answered for so long is sent again."""
    sends_limit: int = 3
    """After so many sends the attempt has failed and another place is sought."""
    attempts_limit: int = 5
    """After so many failed attempts in a row the job has failed."""


class ShareAction(StrEnum):
    START = "start"  # StartJob
    STOP = "stop"  # StopJob


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareAck:
    """A sled's answer to a StartJob or StopJob."""

    job_id: str
    attempt: int
    sled_id: str
    action: ShareAction
    outcome: Outcome
    detail: str
    cause: str
    """Id of the command that was answered."""


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


def step(
    jobs: Mapping[str, Job],
    proposal: Plan,
    acks: Iterable[ShareAck],
    *,
    at_unix_ns: int,
    cause: str,
    settings: ReconcileSettings,
) -> tuple[dict[str, Job], tuple[PlacementEffect, ...]]:
    """One cycle: take answers, commit the plan, send again what was not answered.

    Returns all jobs as they are now, and the effects. `cause` names the cycle for changes that no
    answer and no plan led to.
    """
    raise NotImplementedError
