"""How a job's record changes; each function gives the job after one thing that happened."""

from dataclasses import replace

from controller.placement.job import Departure, Job, JobState, Placement


def starting(job: Job, placement: Placement, at_unix_ns: int) -> Job:
    """Commands of the next attempt have been sent."""
    return replace(
        job,
        state=JobState.STARTING,
        state_since_unix_ns=at_unix_ns,
        attempt=job.attempt + 1,
        placement=placement,
        reasons=(),
        answered_sleds=frozenset(),
        sent_at_unix_ns=at_unix_ns,
        sends=1,
    )


def started_on(job: Job, sled_id: str, at_unix_ns: int) -> Job:
    """A sled runs its share; the gang runs when all do."""
    if job.placement is None or sled_id not in job.placement.sled_ids:
        return job
    answered = replace(job, answered_sleds=job.answered_sleds | {sled_id})
    if unanswered(answered):
        return answered
    return replace(
        answered,
        state=JobState.RUNNING,
        state_since_unix_ns=at_unix_ns,
        failures=0,
        avoid=(),
        sends=0,
    )


def stopping(job: Job, at_unix_ns: int) -> Job:
    return replace(
        job,
        state=JobState.STOPPING,
        state_since_unix_ns=at_unix_ns,
        answered_sleds=frozenset(),
        sent_at_unix_ns=at_unix_ns,
        sends=1,
    )


def stopped_on(job: Job, attempt: int, sled_id: str, at_unix_ns: int) -> Job:
    """A sled runs its share of an attempt no more."""
    departures = tuple(
        left
        for departure in job.departures
        if (left := _one_less(departure, attempt, sled_id)) is not None
    )
    job = replace(job, departures=departures)
    if job.state is not JobState.STOPPING or attempt != job.attempt or job.placement is None:
        return job
    answered = replace(job, answered_sleds=job.answered_sleds | {sled_id})
    if unanswered(answered):
        return answered
    return ended(answered, JobState.STOPPED, "cancelled", at_unix_ns)


def departed(job: Job, at_unix_ns: int) -> Job:
    """The present attempt is told to stop; its chips stay taken until it has."""
    if job.placement is None:
        return job
    departure = Departure(
        attempt=job.attempt,
        placement=job.placement,
        since_unix_ns=at_unix_ns,
        sent_at_unix_ns=at_unix_ns,
        sends=1,
    )
    return replace(job, placement=None, departures=(*job.departures, departure))


def waiting(job: Job, reasons: tuple[str, ...], at_unix_ns: int) -> Job:
    return replace(
        job,
        state=JobState.PENDING,
        state_since_unix_ns=at_unix_ns,
        placement=None,
        reasons=reasons,
        answered_sleds=frozenset(),
        sends=0,
    )


def failed_attempt(job: Job, sled_ids: tuple[str, ...], why: str, at_unix_ns: int) -> Job:
    """Back to waiting, and away from the sleds that failed it."""
    left = waiting(departed(job, at_unix_ns), (why,), at_unix_ns)
    avoid = tuple(dict.fromkeys((*job.avoid, *sled_ids)))
    return replace(left, failures=job.failures + 1, avoid=avoid)


def ended(job: Job, state: JobState, why: str, at_unix_ns: int) -> Job:
    return replace(
        job,
        state=state,
        state_since_unix_ns=at_unix_ns,
        placement=None,
        reasons=(why,),
        answered_sleds=frozenset(),
        sends=0,
    )


def unanswered(job: Job) -> tuple[str, ...]:
    if job.placement is None:
        return ()
    return tuple(sled for sled in job.placement.sled_ids if sled not in job.answered_sleds)


def _one_less(departure: Departure, attempt: int, sled_id: str) -> Departure | None:
    """The departure after a sled of it has stopped; None when all have."""
    if departure.attempt != attempt:
        return departure
    stopped = departure.stopped_sleds | {sled_id}
    if stopped.issuperset(departure.placement.sled_ids):
        return None
    return replace(departure, stopped_sleds=stopped)
