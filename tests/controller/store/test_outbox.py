import threading
from dataclasses import replace

import pytest

from controller.store import Store
from controller.store.outbox import Delivery, DeliveryState
from tests.controller.builders import AT, make_delivery, make_webhook


@pytest.fixture(autouse=True)
def _receiver(store: Store) -> None:
    with store.begin() as tx:
        tx.webhooks.add(make_webhook())


def claim(store: Store, now: int = AT, limit: int = 10) -> list[Delivery]:
    with store.begin() as tx:
        return tx.outbox.claim(now_unix_ns=now, until_unix_ns=now + 100, limit=limit)


def test_the_same_news_is_told_once(store: Store) -> None:
    with store.begin() as tx:
        assert tx.outbox.add(make_delivery())
        assert not tx.outbox.add(make_delivery(id="msg_2"))
    assert [delivery.id for delivery in claim(store)] == ["msg_1"]


def test_a_claim_that_came_to_nothing_is_given_again(store: Store) -> None:
    with store.begin() as tx:
        tx.outbox.add(make_delivery())
    assert len(claim(store, AT)) == 1
    assert claim(store, AT + 99) == []
    assert len(claim(store, AT + 100)) == 1


def test_urgent_ones_go_first(store: Store) -> None:
    with store.begin() as tx:
        tx.outbox.add(make_delivery(id="slow", subject_key="1", urgent=False))
        later = AT + 5
        tx.outbox.add(make_delivery(id="fast", subject_key="2", next_attempt_at_unix_ns=later))
    assert [delivery.id for delivery in claim(store, AT + 9, limit=1)] == ["fast"]


def test_what_is_not_due_stays(store: Store) -> None:
    with store.begin() as tx:
        tx.outbox.add(make_delivery(next_attempt_at_unix_ns=AT + 1))
    with store.read() as tx:
        assert not tx.outbox.due(now_unix_ns=AT)
        assert tx.outbox.due(now_unix_ns=AT + 1)
    assert claim(store, AT) == []


def test_two_senders_never_claim_the_same(store: Store) -> None:
    with store.begin() as tx:
        for number in range(30):
            tx.outbox.add(make_delivery(id=f"m{number}", subject_key=str(number)))
    taken: list[str] = []

    def work() -> None:
        while found := claim(store, limit=1):
            taken.append(found[0].id)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(f"m{number}" for number in range(30))


def test_a_result_does_not_revive_a_cancelled_delivery(store: Store) -> None:
    delivery = make_delivery()
    with store.begin() as tx:
        tx.outbox.add(delivery)
        assert tx.outbox.cancel_for("hook-1", at_unix_ns=AT, reason="gone") == 1
        tx.outbox.save(replace(delivery, attempts=1))
        found = tx.outbox.get("msg_1")
    assert found is not None
    assert (found.state, found.attempts) == (DeliveryState.CANCELLED, 0)


def test_deliveries_go_with_their_webhook(store: Store) -> None:
    with store.begin() as tx:
        tx.outbox.add(make_delivery())
        assert tx.webhooks.remove("hook-1")
        assert tx.outbox.get("msg_1") is None


def test_deliveries_of_a_webhook_are_listed_newest_first(store: Store) -> None:
    with store.begin() as tx:
        for number in range(3):
            tx.outbox.add(
                make_delivery(
                    id=f"m{number}", subject_key=str(number), created_at_unix_ns=AT + number
                )
            )
        assert [d.id for d in tx.outbox.of_webhook("hook-1")] == ["m2", "m1", "m0"]
