from dataclasses import replace

import pytest
from standardwebhooks import Webhook as Verifier

from api.client import ApiError
from controller.anomaly.finding import Family
from controller.enrolment.compare import enrol
from controller.enrolment.settings import EnrolmentSettings
from controller.incidents.incident import IncidentState
from controller.placement.job import Cordon, JobState
from controller.store.incidents import IncidentEvent
from controller.store.outbox import DeliveryState
from fleet.bus import Start
from fleet.events import EventKind, decode_event
from fleet.topics import EVENTS
from tests.api.builders import AT_UNIX_NS, SLED, Running, make_incident, make_job
from tests.fleet.identities import make_announcement

JOB = {"name": "chat", "model": "llama", "chips": 16, "tensor_parallel": 4}


def test_a_submitted_job_waits_in_the_store_and_the_controller_is_nudged(api: Running) -> None:
    reader = api.bus.reader(EVENTS, start=Start.BEGINNING)
    job = api.client.submit(name="chat", model="llama", chips=16, tensor_parallel=4, priority=5)
    assert (job["state"], job["attempt"], job["placement"]) == ("pending", 0, [])
    with api.store.read() as transaction:
        stored = transaction.jobs.get(job["id"])
        (entry,) = transaction.audit.newest()
    assert stored is not None
    assert (stored.chips, stored.tensor_parallel, stored.priority) == (16, 4, 5)
    assert (entry.action, entry.subject) == ("submit_job", job["id"])
    event = decode_event(reader.poll(1.0)[0].value)
    assert (event.kind, event.subject) == (EventKind.DESIRED_CHANGED, job["id"])
    assert event.cause == entry.cause


def test_the_same_key_and_body_give_the_same_job(api: Running) -> None:
    first = api.client.submit(name="a", model="m", chips=4, idempotency_key="k-1")
    again = api.client.submit(name="a", model="m", chips=4, idempotency_key="k-1")
    assert again == first
    assert len(api.client.jobs()) == 1
    other = api.client.submit(name="a", model="m", chips=4, idempotency_key="k-2")
    assert other["id"] != first["id"]


def test_the_same_key_with_another_body_is_refused(api: Running) -> None:
    api.client.submit(name="a", model="m", chips=4, idempotency_key="k-1")
    with pytest.raises(ApiError, match="'k-1' was used for another job") as refused:
        api.client.submit(name="a", model="m", chips=8, idempotency_key="k-1")
    assert refused.value.status == 422
    assert len(api.client.jobs()) == 1


def test_a_key_is_forgotten_after_a_day(api: Running) -> None:
    first = api.client.submit(name="a", model="m", chips=4, idempotency_key="k-1")
    api.clock.advance(24 * 3600 + 1)
    assert api.client.submit(name="b", model="m", chips=4, idempotency_key="k-1") != first


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"chips": 0}, "body #/chips"),
        ({"chips": "many"}, "body #/chips"),
        ({"chips": 6}, "multiple of tensor_parallel"),
        ({"name": ""}, "body #/name"),
        ({"name": "a\0b"}, "body #/name"),
        ({"priority": 10**30}, "body #/priority"),
        ({"colour": "red"}, "body #/colour"),
    ],
)
def test_bad_jobs_are_told_where_they_are_bad(
    quiet_api: Running, change: dict[str, object], told: str
) -> None:
    with pytest.raises(ApiError, match=told) as refused:
        quiet_api.client._document("POST", "/api/v1/jobs", body=JOB | change)
    assert refused.value.status == 422


def test_jobs_are_listed_newest_first_by_state_and_page(api: Running) -> None:
    with api.store.begin() as transaction:
        for number in range(5):
            state = JobState.RUNNING if number % 2 else JobState.PENDING
            transaction.jobs.add(make_job(f"job-{number}", state=state, at_s=number // 2))
    assert [job["id"] for job in api.client.jobs()] == [f"job-{n}" for n in (4, 3, 2, 1, 0)]
    assert [job["id"] for job in api.client.jobs(state="running")] == ["job-3", "job-1"]
    page = api.client._document("GET", "/api/v1/jobs", query={"limit": "2"})
    rest = api.client._document(
        "GET", "/api/v1/jobs", query={"limit": "9", "cursor": page["next_cursor"]}
    )
    assert [job["id"] for job in rest["items"]] == ["job-2", "job-1", "job-0"]
    assert rest["next_cursor"] is None


def test_a_waiting_job_says_why_and_a_running_one_where(api: Running) -> None:
    with api.store.begin() as transaction:
        transaction.jobs.add(make_job("job-1"))
        transaction.jobs.add(make_job("job-2", state=JobState.RUNNING))
    assert api.client.job("job-1")["reasons"] == ["needs 2 chips"]
    assert api.client.job("job-2")["placement"] == [{"sled_id": "h1/us01/r1/s07", "chips": [0, 1]}]


def test_cancelling_asks_once(api: Running) -> None:
    with api.store.begin() as transaction:
        transaction.jobs.add(make_job("job-1"))
        transaction.jobs.add(make_job("job-2", state=JobState.STOPPED))
    assert api.client.cancel("job-1")["cancel_requested"] is True
    assert api.client.cancel("job-2")["state"] == "stopped"
    with pytest.raises(ApiError, match="unknown job 'job-3'"):
        api.client.cancel("job-3")


def test_incidents_are_shown_open_or_all_with_their_story(api: Running) -> None:
    with api.store.begin() as transaction:
        transaction.incidents.save(make_incident("inc-1", state=IncidentState.RESOLVED))
        transaction.incidents.save(make_incident("inc-2", at_s=1))
        transaction.incidents.tell(
            IncidentEvent(
                incident_id="inc-2",
                at_unix_ns=AT_UNIX_NS,
                kind="opened",
                actor="controller",
                text="chip is hot",
                cause="frame",
            )
        )
    assert [row["id"] for row in api.client.incidents()] == ["inc-2"]
    assert [row["id"] for row in api.client.incidents(resolved_too=True)] == ["inc-2", "inc-1"]
    incident = api.client.incident("inc-2")
    assert incident["findings"][0]["value"] == 97.5
    assert incident["inhibited_count"] == 3
    assert incident["opened_at"] == "2025-10-09T08:53:21Z"
    assert [event["text"] for event in incident["events"]] == ["chip is hot"]


def test_the_first_acknowledgement_counts(api: Running) -> None:
    with api.store.begin() as transaction:
        transaction.incidents.save(make_incident("inc-1"))
        transaction.incidents.save(make_incident("inc-2", state=IncidentState.RESOLVED))
    assert api.client.acknowledge("inc-1", actor="ana", comment="mine")["acknowledged_by"] == "ana"
    assert api.client.acknowledge("inc-1", actor="bob")["acknowledged_by"] == "ana"
    with api.store.read() as transaction:
        (waiting,) = transaction.incidents.waiting_acks()
    assert (waiting.incident_id, waiting.actor, waiting.comment) == ("inc-1", "ana", "mine")
    with pytest.raises(ApiError, match="resolved already") as refused:
        api.client.acknowledge("inc-2", actor="ana")
    assert refused.value.status == 409
    with pytest.raises(ApiError, match="unknown incident 'inc-9'"):
        api.client.acknowledge("inc-9", actor="ana")


def test_a_webhook_shows_its_secret_once(api: Running) -> None:
    added = api.client.add_webhook(name="on-call", url="http://127.0.0.1:9/hook")
    assert Verifier(added["secret"])
    (listed,) = api.client.webhooks()
    assert "secret" not in listed
    assert listed["id"] == added["id"]
    api.client.remove_webhook(added["id"])
    assert api.client.webhooks() == []
    with pytest.raises(ApiError, match="unknown webhook"):
        api.client.remove_webhook(added["id"])


@pytest.mark.parametrize(
    "url", ["ftp://x/", "http://", "http://u:p@x/", "http://x:99999/", "x", "http://a b/"]
)
def test_what_can_never_be_a_receiver_is_refused(quiet_api: Running, url: str) -> None:
    with pytest.raises(ApiError, match=r"#/url|webhook") as refused:
        quiet_api.client.add_webhook(name="on-call", url=url)
    assert refused.value.status == 422


def test_a_test_notification_goes_to_the_outbox(api: Running) -> None:
    webhook_id = api.client.add_webhook(name="on-call", url="http://127.0.0.1:9/")["id"]
    sent = api.client.test_webhook(webhook_id)
    assert (sent["kind"], sent["state"]) == ("test", "pending")
    assert api.client.deliveries(webhook_id) == [sent]
    with api.store.begin() as transaction:
        kept = transaction.outbox.get(sent["id"])
        transaction.webhooks.disable(webhook_id, "answered 410")
    assert kept is not None
    assert kept.state is DeliveryState.PENDING
    with pytest.raises(ApiError, match="disabled: answered 410"):
        api.client.test_webhook(webhook_id)
    with pytest.raises(ApiError, match="unknown webhook 'wh-9'"):
        api.client.deliveries("wh-9")


def test_a_wish_is_kept_when_the_nudge_is_lost(api: Running) -> None:
    api.bus.available = False
    job = api.client.submit(name="a", model="m", chips=4)
    assert api.client.job(job["id"])["state"] == "pending"
    assert api.desk.counters.nudges_failed == 1


def test_a_guard_reset_waits_for_the_controller_and_is_audited(api: Running) -> None:
    api.client.reset_guard("h1/us01/r1/s01", reason="dry again", actor="ana")
    with api.store.read() as transaction:
        [(number, reset)] = transaction.guards.waiting()
        (entry,) = transaction.audit.newest()
    assert (reset.sled_id, reset.actor, reset.reason) == ("h1/us01/r1/s01", "ana", "dry again")
    assert (entry.action, entry.actor) == ("reset_guard", "ana")
    with api.store.begin() as transaction:
        transaction.guards.take([number], at_unix_ns=AT_UNIX_NS)
    with api.store.read() as transaction:
        assert transaction.guards.waiting() == []


def test_a_person_enrols_what_stands_there_and_its_cordon_is_lifted(api: Running) -> None:
    before = enrol(
        SLED,
        make_announcement(1),
        before=None,
        holders={},
        doubt="its card has signed nothing",
        settings=EnrolmentSettings(),
        cause="e1",
        at_unix_ns=AT_UNIX_NS,
    )
    incident = replace(make_incident(), family=Family.IDENTITY)
    cordon = Cordon(
        sled_id=SLED, reason="strange", since_unix_ns=AT_UNIX_NS, incident_id=incident.id
    )
    with pytest.raises(ApiError, match="has not announced itself") as refused:
        api.client.enrol(SLED, reason="r", actor="ana")
    assert refused.value.status == 409
    with api.store.begin() as transaction:
        transaction.enrolments.save(before)
        transaction.incidents.save(incident)
        transaction.cordons.put(cordon)
    shown = api.client.sled(SLED)
    assert shown["identity"]["state"] == "refused"
    assert shown["identity"]["mismatches"] == ["its card has signed nothing"]
    assert shown["identity"]["firmware"] == {"nitro": "2.31.4", "bmc": "1.18.0"}
    assert [sled["id"] for sled in api.client.sleds() if sled["identity"]] == [SLED]
    enrolled = api.client.enrol(SLED, reason="checked by hand", actor="ana")
    assert (enrolled["identity"]["state"], enrolled["cordon"]) == ("enrolled", None)
    with api.store.read() as transaction:
        (entry,) = transaction.audit.newest()
        assert transaction.enrolments.holders(["SL1"]) == {"SL1": SLED}
    assert (entry.action, entry.subject, entry.actor) == ("enrol", SLED, "ana")
    assert entry.reason == "checked by hand"


def test_enrolling_leaves_a_cordon_for_another_reason(api: Running) -> None:
    with api.store.begin() as transaction:
        transaction.enrolments.save(
            enrol(
                SLED,
                make_announcement(1),
                before=None,
                holders={},
                doubt=None,
                settings=EnrolmentSettings(),
                cause="e1",
                at_unix_ns=AT_UNIX_NS,
            )
        )
        transaction.incidents.save(make_incident())
        transaction.cordons.put(
            Cordon(sled_id=SLED, reason="hot", since_unix_ns=AT_UNIX_NS, incident_id="inc-1")
        )
    assert api.client.enrol(SLED, reason="r")["cordon"]["reason"] == "hot"
