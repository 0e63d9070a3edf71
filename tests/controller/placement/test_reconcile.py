from dataclasses import replace

from controller.placement.job import Job, JobState, Move, Placement, Plan, Share, Start, Stop
from controller.placement.reconcile import ReconcileSettings, step
from controller.placement.share import (
    JobChanged,
    PlacementEffect,
    SendShare,
    ShareAck,
    ShareAction,
)
from fleet.clock import NS_PER_S
from fleet.commands import Outcome, StartJob, StopJob
from tests.controller.spoken import START_UNIX_NS, make_job

SETTINGS = ReconcileSettings()
S1, S2, S3 = (f"h1/us01/r1/s{n:02d}" for n in (1, 2, 3))
NOTHING = Plan(starts=(), stops=(), moves=(), reasons={})


def on(*sleds: str) -> Placement:
    return Placement(
        ultraserver_id="h1/us01",
        shares=tuple(Share(sled_id=sled, chips=(0, 1, 2, 3)) for sled in sleds),
    )


class Office:
    """One job over time."""

    def __init__(self, job: Job) -> None:
        self.jobs = {job.id: job}
        self.seconds = 0

    @property
    def job(self) -> Job:
        return next(iter(self.jobs.values()))

    def state(self) -> JobState:
        return self.job.state

    def cycle(
        self, proposal: Plan = NOTHING, *acks: ShareAck, after_s: int = 1
    ) -> tuple[PlacementEffect, ...]:
        self.seconds += after_s
        self.jobs, effects = step(
            self.jobs,
            proposal,
            acks,
            at_unix_ns=START_UNIX_NS + self.seconds * NS_PER_S,
            cause=f"cycle {self.seconds}",
            settings=SETTINGS,
        )
        assert all(effect.cause for effect in effects)
        return effects

    def start(self, *sleds: str) -> tuple[PlacementEffect, ...]:
        start = Start(
            job_id=self.job.id, attempt=self.job.attempt + 1, placement=on(*sleds), cause="a"
        )
        return self.cycle(replace(NOTHING, starts=(start,)))

    def answer(
        self,
        sled: str,
        action: ShareAction = ShareAction.START,
        outcome: Outcome = Outcome.APPLIED,
        attempt: int | None = None,
    ) -> tuple[PlacementEffect, ...]:
        ack = ShareAck(
            job_id=self.job.id,
            attempt=self.job.attempt if attempt is None else attempt,
            sled_id=sled,
            action=action,
            outcome=outcome,
            detail="chips busy",
            cause="command-1",
        )
        return self.cycle(NOTHING, ack, after_s=0)


def sent(effects: tuple[PlacementEffect, ...]) -> list[tuple[str, type, int]]:
    return [
        (effect.sled_id, type(effect.action), effect.action.attempt)
        for effect in effects
        if isinstance(effect, SendShare)
    ]


def test_a_gang_runs_when_every_sled_has_answered() -> None:
    office = Office(make_job("a", 8, tensor_parallel=4))
    effects = office.start(S1, S2)
    assert sent(effects) == [(S1, StartJob, 1), (S2, StartJob, 1)]
    shares = [effect.action for effect in effects if isinstance(effect, SendShare)]
    assert isinstance(shares[0], StartJob)
    assert shares[0].gang == (S1, S2)
    assert office.state() is JobState.STARTING
    office.answer(S1)
    assert S1 in office.job.answered_sleds
    [changed] = office.answer(S2)
    assert office.state() is JobState.RUNNING
    assert isinstance(changed, JobChanged)
    assert changed.cause == "command-1"


def test_an_unanswered_share_is_sent_again_and_then_another_place_is_sought() -> None:
    office = Office(make_job("a", 8))
    office.start(S1, S2)
    office.answer(S1)
    assert office.cycle(after_s=4) == ()
    assert sent(office.cycle(after_s=1)) == [(S2, StartJob, 1)]
    assert sent(office.cycle(after_s=5)) == [(S2, StartJob, 1)]
    assert sent(office.cycle(after_s=5)) == [(S1, StopJob, 1), (S2, StopJob, 1)]
    assert office.state() is JobState.PENDING
    assert office.job.avoid == (S2,)
    assert office.job.reasons == (f"no answer from {S2}",)
    assert [departure.attempt for departure in office.job.departures] == [1]


def test_a_refusal_seeks_another_place_at_once_and_too_many_fail_the_job() -> None:
    office = Office(make_job("a", 4))
    for attempt in range(1, 6):
        office.start(S1)
        office.answer(S1, outcome=Outcome.FAILED)
        expected = JobState.PENDING if attempt < 5 else JobState.FAILED
        assert office.state() is expected
    assert office.job.reasons == (
        f"5 attempts failed; the last: {S1} did not start it: chips busy",
    )


def test_an_expired_command_is_only_sent_again() -> None:
    office = Office(make_job("a", 4))
    office.start(S1)
    office.answer(S1, outcome=Outcome.REFUSED_EXPIRED)
    assert office.state() is JobState.STARTING
    assert sent(office.cycle(after_s=5)) == [(S1, StartJob, 1)]


def test_a_move_stops_the_old_attempt_and_starts_the_next() -> None:
    office = Office(make_job("a", 4))
    office.start(S1)
    office.answer(S1)
    move = Move(
        job_id="a", attempt=2, origin=on(S1), to=on(S2), reason="cordoned", cause="incident"
    )
    effects = office.cycle(replace(NOTHING, moves=(move,)))
    assert sent(effects) == [(S1, StopJob, 1), (S2, StartJob, 2)]
    assert {effect.cause for effect in effects} == {"incident"}
    office.answer(S1, attempt=1)  # late, from before the move
    assert office.state() is JobState.STARTING
    office.answer(S2)
    office.answer(S1, ShareAction.STOP, attempt=1)
    assert (office.state(), office.job.attempt) == (JobState.RUNNING, 2)
    assert office.job.departures == ()


def test_a_sled_that_never_confirms_its_stop_is_given_up() -> None:
    office = Office(make_job("a", 4))
    office.start(S1)
    office.answer(S1)
    move = Move(job_id="a", attempt=2, origin=on(S1), to=None, reason="cordoned", cause="incident")
    office.cycle(replace(NOTHING, moves=(move,)))
    assert office.state() is JobState.PENDING
    assert [sent(office.cycle(after_s=5)) for _ in range(3)] == [
        [(S1, StopJob, 1)],
        [(S1, StopJob, 1)],
        [],
    ]
    assert office.job.departures == ()


def test_a_cancelled_job_stops_where_it_runs_and_at_once_where_it_waits() -> None:
    office = Office(make_job("a", 4))
    office.start(S1)
    office.answer(S1)
    office.jobs = {"a": replace(office.job, cancel_requested=True)}
    stop = Stop(job_id="a", attempt=1, placement=on(S1), reason="cancelled", cause="a")
    assert sent(office.cycle(replace(NOTHING, stops=(stop,)))) == [(S1, StopJob, 1)]
    assert office.state() is JobState.STOPPING
    office.answer(S1, ShareAction.STOP)
    assert (office.state(), office.job.placement) == (JobState.STOPPED, None)
    waiting = Office(replace(make_job("b", 4), cancel_requested=True))
    waiting.cycle()
    assert waiting.job.state is JobState.STOPPED


def test_reasons_are_kept_and_told_only_when_they_change() -> None:
    office = Office(make_job("a", 4))
    why = replace(NOTHING, reasons={"a": ("no room",)})
    assert len(office.cycle(why)) == 1
    assert office.cycle(why) == ()
    assert office.job.reasons == ("no room",)
    office.cycle(replace(NOTHING, rejects={"a": "too large"}))
    assert (office.state(), office.job.reasons) == (JobState.FAILED, ("too large",))


def test_a_plan_made_before_an_answer_does_not_restart_what_has_failed() -> None:
    office = Office(make_job("a", 4))
    office.start(S1)
    move = Move(job_id="a", attempt=2, origin=on(S1), to=on(S2), reason="", cause="incident")
    refusal = ShareAck(
        job_id="a",
        attempt=1,
        sled_id=S1,
        action=ShareAction.START,
        outcome=Outcome.FAILED,
        detail="",
        cause="command-1",
    )
    effects = office.cycle(replace(NOTHING, moves=(move,)), refusal)
    assert (S2, StartJob, 2) not in sent(effects)
    assert office.state() is JobState.PENDING
