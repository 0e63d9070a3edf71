import math
from dataclasses import replace

import pytest

from controller.cooling.control import LoopTrip, TripReset
from controller.incidents.incident import Acknowledgement, IncidentState
from controller.placement.job import Cordon, Departure, JobState, Placement, Share
from controller.store import Store
from controller.store.audit import AuditEntry
from controller.store.incidents import IncidentEvent
from controller.store.marks import Mark
from fleet.errors import StoreError
from tests.controller.builders import AT, make_finding, make_incident, make_job, make_webhook
from thermal.control.interlock import TripLevel, TripReason

PLACEMENT = Placement(
    ultraserver_id="h1/us01", shares=(Share(sled_id="h1/us01/r1/s01", chips=(0, 1, 2, 3)),)
)


def test_a_job_comes_back_as_it_was(store: Store) -> None:
    job = make_job(
        state=JobState.STARTING,
        attempt=2,
        placement=PLACEMENT,
        reasons=("needs 16 chips",),
        answered_sleds=frozenset({"h1/us01/r1/s01"}),
        departures=(Departure(attempt=1, placement=PLACEMENT, since_unix_ns=AT),),
    )
    with store.begin() as tx:
        assert tx.jobs.add(job)
        assert tx.jobs.get(job.id) == job


def test_a_job_is_added_once(store: Store) -> None:
    with store.begin() as tx:
        assert tx.jobs.add(make_job(name="first"))
        assert not tx.jobs.add(make_job(name="second"))
        found = tx.jobs.get("job-1")
    assert found is not None
    assert found.name == "first"


def test_a_cancellation_survives_the_controllers_write(store: Store) -> None:
    with store.begin() as tx:
        tx.jobs.add(make_job())
    with store.read() as tx:
        (seen,) = tx.jobs.unfinished()
    with store.begin() as tx:
        assert tx.jobs.cancel("job-1")
    with store.begin() as tx:
        tx.jobs.save([replace(seen, state=JobState.RUNNING)])
    with store.read() as tx:
        found = tx.jobs.get("job-1")
    assert found is not None
    assert (found.state, found.cancel_requested) == (JobState.RUNNING, True)


def test_a_job_that_ended_is_not_cancelled(store: Store) -> None:
    with store.begin() as tx:
        tx.jobs.add(make_job(state=JobState.STOPPED))
        assert not tx.jobs.cancel("job-1")
        assert not tx.jobs.cancel("nothing")
        assert tx.jobs.unfinished() == []


def test_pages_of_jobs_leave_out_and_repeat_nothing(store: Store) -> None:
    with store.begin() as tx:
        for number in range(7):
            at = AT + number // 2  # several at the same time
            tx.jobs.add(make_job(id=f"job-{number}", submitted_at_unix_ns=at))
    seen: list[str] = []
    after = None
    with store.read() as tx:
        while page := tx.jobs.page(limit=2, after=after):
            seen += [job.id for job in page]
            after = (page[-1].submitted_at_unix_ns, page[-1].id)
    assert sorted(seen) == [f"job-{number}" for number in range(7)]


def test_an_incident_comes_back_as_it_was(store: Store) -> None:
    incident = make_incident(findings=(make_finding(value=math.inf),))
    with store.begin() as tx:
        tx.incidents.save(incident)
        assert tx.incidents.unresolved() == [incident]


def test_an_acknowledgement_waits_until_the_controller_takes_it(store: Store) -> None:
    incident = make_incident()
    ack = Acknowledgement(incident_id=incident.id, actor="ana", comment="on it")
    with store.begin() as tx:
        tx.incidents.save(incident)
        assert tx.incidents.acknowledge(ack)
        assert not tx.incidents.acknowledge(replace(ack, actor="bob"))
    with store.begin() as tx:
        tx.incidents.save(replace(incident, inhibited_count=3))  # the controller, before it looked
        assert tx.incidents.waiting_acks() == [ack]
        shown = tx.incidents.get(incident.id)
        assert shown is not None
        assert shown.acknowledged_by == "ana"
        taken = replace(incident, state=IncidentState.ACKNOWLEDGED, acknowledged_by="ana")
        tx.incidents.save(taken)
        assert tx.incidents.waiting_acks() == []
        assert tx.incidents.get(incident.id) == taken


def test_resolved_incidents_are_found_by_time(store: Store) -> None:
    over = make_incident(state=IncidentState.RESOLVED, resolved_at_unix_ns=AT + 10)
    with store.begin() as tx:
        tx.incidents.save(over)
        assert tx.incidents.unresolved() == []
        assert tx.incidents.resolved_since(AT + 10) == [over]
        assert tx.incidents.resolved_since(AT + 11) == []
        assert not tx.incidents.acknowledge(
            Acknowledgement(incident_id=over.id, actor="ana", comment="")
        )


def test_a_story_is_told_in_order(store: Store) -> None:
    events = [
        IncidentEvent(
            incident_id="0123456789abcdef-1",
            at_unix_ns=AT,
            kind=kind,
            actor="controller",
            text="",
            cause="f",
        )
        for kind in ("opened", "severity", "resolved")
    ]
    with store.begin() as tx:
        tx.incidents.save(make_incident())
        for event in events:
            tx.incidents.tell(event)
        assert tx.incidents.story("0123456789abcdef-1") == events


def test_a_story_needs_its_incident(store: Store) -> None:
    event = IncidentEvent(incident_id="none", at_unix_ns=AT, kind="x", actor="a", text="", cause="")
    with pytest.raises(StoreError), store.begin() as tx:
        tx.incidents.tell(event)


def test_a_persons_cordon_does_not_weaken_an_incidents(store: Store) -> None:
    by_incident = Cordon(sled_id="s", reason="hot", since_unix_ns=1, incident_id="i1")
    with store.begin() as tx:
        tx.cordons.put(by_incident)
        tx.cordons.put(Cordon(sled_id="s", reason="I look at it", since_unix_ns=2))
        kept = tx.cordons.get("s")
        assert kept is not None
        assert (kept.incident_id, kept.reason) == ("i1", "I look at it")
        assert tx.cordons.lift("s")
        assert not tx.cordons.lift("s")
        assert tx.cordons.all() == {}


def test_trips_stay_latched_over_a_restart(database_url: str) -> None:
    trip = LoopTrip(
        reason=TripReason.LEAK, since_unix_ns=AT, level=TripLevel.OFF, cause="h1/cdu01@1.2"
    )
    first = Store(database_url)
    with first.begin() as tx:
        tx.interlocks.latch("h1/loop01", trip)
    first.close()
    second = Store(database_url)
    with second.begin() as tx:
        assert tx.interlocks.latched("h1/loop01") == (trip,)
        tx.interlocks.lift("h1/loop01", [TripReason.LEAK])
        assert tx.interlocks.latched("h1/loop01") == ()
    second.close()


def test_a_reset_is_taken_once(store: Store) -> None:
    reset = TripReset(loop_id="h1/loop01", actor="ana", reason="repaired")
    with store.begin() as tx:
        tx.interlocks.request_reset(reset, at_unix_ns=AT)
        ((number, found),) = tx.interlocks.waiting_resets()
        assert found == reset
        tx.interlocks.take([number], at_unix_ns=AT + 1)
        assert tx.interlocks.waiting_resets() == []


def test_marks_and_offsets_come_back(store: Store) -> None:
    marks = [
        Mark(agent="a", epoch=1, last_seq=9, missing=((3, 4), (7, 7))),
        Mark(agent="a", epoch=2, last_seq=1),
    ]
    with store.begin() as tx:
        tx.marks.save(marks)
        tx.marks.save_offsets("t", {0: 5, 3: 7})
        tx.marks.save([replace(marks[1], last_seq=2)])
        tx.marks.save_offsets("t", {3: 8})
    with store.read() as tx:
        assert tx.marks.all() == [marks[0], replace(marks[1], last_seq=2)]
        assert tx.marks.offsets("t") == {0: 5, 3: 8}


def test_old_lives_of_an_agent_are_forgotten(store: Store) -> None:
    with store.begin() as tx:
        tx.marks.save([Mark(agent="a", epoch=n, last_seq=1) for n in (1, 2, 3)])
        tx.marks.forget("a", before_epoch=3)
        assert [mark.epoch for mark in tx.marks.all()] == [3]


def test_a_key_is_answered_as_the_first_time(store: Store) -> None:
    with store.begin() as tx:
        assert tx.idempotency.claim("k", "digest", at_unix_ns=AT) is None
        running = tx.idempotency.claim("k", "digest", at_unix_ns=AT)
        assert running is not None
        assert running.status is None
        tx.idempotency.answer("k", status=201, response=b"{}")
        done = tx.idempotency.claim("k", "other", at_unix_ns=AT)
        assert done is not None
        assert (done.request, done.status, done.response) == ("digest", 201, b"{}")
        assert tx.idempotency.forget(before_unix_ns=AT + 1) == 1


def test_the_audit_log_keeps_everything(store: Store) -> None:
    entry = AuditEntry(at_unix_ns=AT, actor="ana", action="cordon", subject="s", reason="r")
    with store.begin() as tx:
        tx.audit.write(entry)
        tx.audit.write(replace(entry, action="lift"))
        assert [found.action for found in tx.audit.newest()] == ["lift", "cordon"]


def test_a_webhook_comes_back_as_it_was(store: Store) -> None:
    with store.begin() as tx:
        tx.webhooks.add(make_webhook())
        assert tx.webhooks.all() == [make_webhook()]
        tx.webhooks.disable("hook-1", "gone")
        found = tx.webhooks.get("hook-1")
        assert found is not None
        assert (found.enabled, found.disabled_reason) == (False, "gone")
        assert "whsec" not in repr(found)
