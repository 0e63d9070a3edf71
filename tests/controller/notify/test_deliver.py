from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from standardwebhooks.webhooks import Webhook as Verifier

from controller.notify.compose import notifications, trial
from controller.notify.deliver import Deliverer, DeliverySettings
from controller.notify.signature import new_secret
from controller.store import Store
from controller.store.outbox import Delivery, DeliveryState
from fleet.clock import ManualClock, SystemClock
from tests.controller.builders import SECRET, make_incident, make_webhook
from tests.controller.receiver import Receiver, Reply


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path}/isotherm.db")
    yield opened
    opened.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def clock() -> ManualClock:
    # The reference verifier compares with the wall clock.
    return ManualClock(SystemClock().unix_ns())


@pytest.fixture
def deliverer(store: Store, clock: ManualClock) -> Iterator[Deliverer]:
    made = make(store, clock)
    yield made
    made.stop()


def make(store: Store, clock: ManualClock, *, private: bool = True) -> Deliverer:
    settings = DeliverySettings(allow_private_receivers=private)
    return Deliverer(store, clock, np.random.default_rng(1), settings)


def put(store: Store, url: str, clock: ManualClock) -> Delivery:
    webhook = make_webhook(url=url)
    (delivery,) = notifications(
        make_incident(), [webhook], external_url="http://desk:8080", at_unix_ns=clock.unix_ns()
    )
    with store.begin() as tx:
        tx.webhooks.add(webhook)
        tx.outbox.add(delivery)
    return delivery


def outcome(store: Store, delivery: Delivery) -> Delivery:
    with store.read() as tx:
        found = tx.outbox.get(delivery.id)
    assert found is not None
    return found


def test_the_reference_library_accepts_it(
    store: Store, receiver: Receiver, deliverer: Deliverer, clock: ManualClock
) -> None:
    delivery = put(store, receiver.url, clock)
    assert deliverer.deliver_due() == 1
    (got,) = receiver.got
    parsed = Verifier(SECRET).verify(got.body, got.headers)
    assert parsed["status"] == "firing"
    assert got.headers["webhook-id"] == delivery.id
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert outcome(store, delivery).state is DeliveryState.DELIVERED


def test_it_is_tried_again_with_the_same_id_until_it_is_taken(
    store: Store, receiver: Receiver, deliverer: Deliverer, clock: ManualClock
) -> None:
    receiver.replies += [Reply(status=500, body=b"not now"), Reply(status=302)]
    delivery = put(store, receiver.url, clock)
    for _ in range(4):
        deliverer.deliver_due()
        clock.advance(2.5)
    assert [got.headers["webhook-id"] for got in receiver.got] == [delivery.id] * 3
    done = outcome(store, delivery)
    assert (done.state, done.attempts) == (DeliveryState.DELIVERED, 3)
    for got in receiver.got:
        Verifier(SECRET).verify(got.body, got.headers)


def test_a_redirect_is_not_followed(
    store: Store, receiver: Receiver, deliverer: Deliverer, clock: ManualClock
) -> None:
    receiver.replies.append(Reply(status=307, headers={"location": receiver.url}))
    delivery = put(store, receiver.url, clock)
    deliverer.deliver_due()
    assert len(receiver.got) == 1
    assert outcome(store, delivery).last_status == 307


def test_retry_after_is_honoured(
    store: Store, receiver: Receiver, deliverer: Deliverer, clock: ManualClock
) -> None:
    receiver.replies.append(Reply(status=429, headers={"retry-after": "60"}))
    put(store, receiver.url, clock)
    deliverer.deliver_due()
    clock.advance(59.0)
    assert deliverer.deliver_due() == 0
    clock.advance(20.0)
    assert deliverer.deliver_due() == 1


def test_410_disables_the_receiver_and_all_that_waits_for_it(
    store: Store, receiver: Receiver, deliverer: Deliverer, clock: ManualClock
) -> None:
    receiver.replies.append(Reply(status=410))
    first = put(store, receiver.url, clock)
    other = trial(make_webhook(), external_url="http://desk", at_unix_ns=clock.unix_ns() + 1)
    with store.begin() as tx:
        tx.outbox.add(other)
    deliverer.deliver_due()
    clock.advance(3600.0)
    deliverer.deliver_due()
    assert len(receiver.got) == 1
    with store.read() as tx:
        webhook = tx.webhooks.get("hook-1")
    assert webhook is not None
    assert not webhook.enabled
    assert outcome(store, first).state is DeliveryState.CANCELLED
    assert outcome(store, other).state is DeliveryState.CANCELLED


def test_a_long_answer_is_not_kept(
    store: Store, receiver: Receiver, deliverer: Deliverer, clock: ManualClock
) -> None:
    receiver.replies.append(Reply(status=500, body=b"x" * 5_000_000))
    delivery = put(store, receiver.url, clock)
    deliverer.deliver_due()
    assert len(outcome(store, delivery).last_error) <= 500


def test_nobody_there_is_tried_again(
    store: Store, deliverer: Deliverer, clock: ManualClock
) -> None:
    delivery = put(store, "http://127.0.0.1:1/", clock)
    deliverer.deliver_due()
    tried = outcome(store, delivery)
    assert (tried.state, tried.last_status) == (DeliveryState.PENDING, None)
    assert "ConnectError" in tried.last_error


def test_a_private_receiver_is_not_even_connected_to(
    store: Store, receiver: Receiver, clock: ManualClock
) -> None:
    delivery = put(store, receiver.url, clock)
    strict = make(store, clock, private=False)
    strict.deliver_due()
    strict.stop()
    assert receiver.got == []
    assert "not a public address" in outcome(store, delivery).last_error


def test_a_crash_between_claim_and_post_sends_it_later(
    store: Store, receiver: Receiver, deliverer: Deliverer, clock: ManualClock
) -> None:
    put(store, receiver.url, clock)
    now = clock.unix_ns()
    with store.begin() as tx:  # the claim of a process that then died
        tx.outbox.claim(now_unix_ns=now, until_unix_ns=now + 30_000_000_000, limit=1)
    assert deliverer.deliver_due() == 0
    clock.advance(30.0)
    assert deliverer.deliver_due() == 1


def test_threads_deliver_and_stop(store: Store, receiver: Receiver) -> None:
    settings = DeliverySettings(allow_private_receivers=True)
    running = Deliverer(store, SystemClock(), np.random.default_rng(1), settings)
    running.start()
    put(store, receiver.url, ManualClock(SystemClock().unix_ns()))
    running.nudge()
    assert receiver.arrived.wait(5.0)
    running.stop()
    assert len(receiver.got) == 1


def test_secrets_are_as_long_as_the_standard_asks() -> None:
    first, second = new_secret(), new_secret()
    assert first.startswith("whsec_")
    assert first != second
    assert 24 <= len(Verifier(first)._whsecret) <= 64


def test_only_enabled_receivers_are_told() -> None:
    hooks = [make_webhook(), make_webhook(id="hook-2", enabled=False)]
    composed = notifications(make_incident(), hooks, external_url="http://desk", at_unix_ns=1)
    assert [delivery.webhook_id for delivery in composed] == ["hook-1"]
