"""Jobs as they are brought to what was decided: answers in, commands out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from controller.placement import transition
from controller.placement.job import Job, JobState, Move, Plan
from controller.placement.share import (
    JobChanged,
    PlacementEffect,
    SendShare,
    ShareAck,
    ShareAction,
    start_shares,
    stop_shares,
)
from fleet.clock import NS_PER_S
from fleet.commands import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileSettings:
    """Patience with sleds that do not answer. All are estimates."""

    ack_timeout_s: float = 5.0
    """A command not answered for so long is sent again."""
    sends_limit: int = 3
    """After so many sends the attempt has failed and another place is sought."""
    attempts_limit: int = 5
    """After so many failed attempts in a row the job has failed."""


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
    answer and no plan led to. Answers for attempts that are over are passed over.
    """
    work = _Work(dict(jobs), at_unix_ns, settings)
    for ack in acks:
        work.take_answer(ack)
    work.commit(proposal)
    work.cancel_waiting()
    work.send_again(cause)
    work.note_reasons(proposal, cause)
    return work.jobs, tuple(work.effects)


class _Work:
    """One cycle's jobs and effects."""

    def __init__(self, jobs: dict[str, Job], at_unix_ns: int, settings: ReconcileSettings) -> None:
        self.jobs = jobs
        self.effects: list[PlacementEffect] = []
        self._at = at_unix_ns
        self._settings = settings

    def take_answer(self, ack: ShareAck) -> None:
        job = self.jobs.get(ack.job_id)
        if job is None:
            return
        if ack.action is ShareAction.STOP:
            if ack.outcome is Outcome.APPLIED:
                self._set(transition.stopped_on(job, ack.attempt, ack.sled_id, self._at), ack.cause)
            return
        if ack.attempt != job.attempt or job.state is not JobState.STARTING:
            return
        if ack.outcome is Outcome.APPLIED:
            self._set(transition.started_on(job, ack.sled_id, self._at), ack.cause)
        elif ack.outcome in (Outcome.FAILED, Outcome.REFUSED_LIMITS):
            why = f"{ack.sled_id} did not start it: {ack.detail}"
            self._give_up(job, (ack.sled_id,), why, ack.cause)

    def commit(self, proposal: Plan) -> None:
        for move in proposal.moves:
            self._move(move)
        for stop in proposal.stops:
            job = self.jobs[stop.job_id]
            if job.attempt == stop.attempt and job.state in (JobState.STARTING, JobState.RUNNING):
                self._set(transition.stopping(job, self._at), stop.cause)
                self._send(stop_shares(job.id, stop.attempt, stop.placement, stop.cause))
        for start in proposal.starts:
            job = self.jobs[start.job_id]
            if job.state is JobState.PENDING and job.attempt + 1 == start.attempt:
                starting = transition.starting(job, start.placement, self._at)
                self._set(starting, start.cause)
                self._send(start_shares(starting, start.cause))

    def cancel_waiting(self) -> None:
        for job in list(self.jobs.values()):
            if job.cancel_requested and job.state is JobState.PENDING:
                self._set(transition.ended(job, JobState.STOPPED, "cancelled", self._at), job.id)

    def send_again(self, cause: str) -> None:
        for job_id in list(self.jobs):
            self._resend_departures(self.jobs[job_id], cause)
            job = self.jobs[job_id]
            waits = job.state in (JobState.STARTING, JobState.STOPPING)
            if waits and self._late(job.sent_at_unix_ns):
                self._insist(job, cause)

    def _insist(self, job: Job, cause: str) -> None:
        """Once more, or no more."""
        silent = transition.unanswered(job)
        if job.sends < self._settings.sends_limit:
            self._resend(job, cause)
        elif job.state is JobState.STOPPING:
            why = f"cancelled; no word from {_names(silent)}"
            self._set(transition.ended(job, JobState.STOPPED, why, self._at), cause)
        else:
            self._give_up(job, silent, f"no answer from {_names(silent)}", cause)

    def note_reasons(self, proposal: Plan, cause: str) -> None:
        for job_id, why in proposal.rejects.items():
            job = self.jobs[job_id]
            if job.state is JobState.PENDING:
                self._set(transition.ended(job, JobState.FAILED, why, self._at), cause)
        for job_id, reasons in proposal.reasons.items():
            job = self.jobs[job_id]
            if job.state is JobState.PENDING and job.reasons != reasons:
                self._set(replace(job, reasons=reasons), cause)

    def _move(self, move: Move) -> None:
        job = self.jobs[move.job_id]
        if job.attempt + 1 != move.attempt or job.placement != move.origin:
            return
        left = transition.departed(job, self._at)
        self._send(stop_shares(job.id, job.attempt, move.origin, move.cause))
        if move.to is None:
            self._set(transition.waiting(left, (move.reason,), self._at), move.cause)
            return
        starting = transition.starting(left, move.to, self._at)
        self._set(starting, move.cause)
        self._send(start_shares(starting, move.cause))

    def _give_up(self, job: Job, sled_ids: tuple[str, ...], why: str, cause: str) -> None:
        """This attempt has failed: stop what of it may run, and seek another place."""
        assert job.placement is not None
        self._send(stop_shares(job.id, job.attempt, job.placement, cause))
        failed = transition.failed_attempt(job, sled_ids, why, self._at)
        if failed.failures >= self._settings.attempts_limit:
            why = f"{failed.failures} attempts failed; the last: {why}"
            failed = transition.ended(failed, JobState.FAILED, why, self._at)
        self._set(failed, cause)

    def _resend(self, job: Job, cause: str) -> None:
        missing = set(transition.unanswered(job))
        assert job.placement is not None
        shares = (
            start_shares(job, cause)
            if job.state is JobState.STARTING
            else stop_shares(job.id, job.attempt, job.placement, cause)
        )
        self._send([share for share in shares if share.sled_id in missing])
        self._set(replace(job, sent_at_unix_ns=self._at, sends=job.sends + 1), cause)

    def _resend_departures(self, job: Job, cause: str) -> None:
        kept = []
        for departure in job.departures:
            if not self._late(departure.sent_at_unix_ns):
                kept.append(departure)
            elif departure.sends < self._settings.sends_limit:
                shares = stop_shares(job.id, departure.attempt, departure.placement, cause)
                self._send([s for s in shares if s.sled_id not in departure.stopped_sleds])
                kept.append(replace(departure, sent_at_unix_ns=self._at, sends=departure.sends + 1))
        if tuple(kept) != job.departures:
            self._set(replace(job, departures=tuple(kept)), cause)

    def _late(self, sent_at_unix_ns: int) -> bool:
        return self._at - sent_at_unix_ns >= self._settings.ack_timeout_s * NS_PER_S

    def _send(self, shares: list[SendShare]) -> None:
        self.effects += shares

    def _set(self, job: Job, cause: str) -> None:
        if self.jobs[job.id] != job:
            self.jobs[job.id] = job
            self.effects.append(JobChanged(job=job, cause=cause))


def _names(sled_ids: tuple[str, ...]) -> str:
    return ", ".join(sled_ids)
