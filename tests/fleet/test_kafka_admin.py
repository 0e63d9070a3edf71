from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kafka.errors import KafkaConnectionError

from fleet import kafka_admin
from fleet.kafka_options import KafkaOptions

OPTIONS = KafkaOptions(bootstrap="one:9092,two:9092")


class Admin:
    """Asks brokers of which the first few have just died."""

    def __init__(self, dead: int) -> None:
        self.dead = dead
        self.asked = 0

    def describe_topics(self, _: list[str]) -> list[dict[str, Any]]:
        self.asked += 1
        if self.asked <= self.dead:
            raise KafkaConnectionError("111 ECONNREFUSED")
        return []


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> Admin:
    admin = Admin(dead=0)

    @contextmanager
    def connected(_: KafkaOptions) -> Iterator[Admin]:
        yield admin

    monkeypatch.setattr(kafka_admin, "connected", connected)
    return admin


def test_a_broker_that_has_just_died_is_not_the_last_word(brokers: Admin) -> None:
    brokers.dead = 3
    kafka_admin.ensure_topics(OPTIONS, [])
    assert brokers.asked == 4


def test_brokers_that_are_all_away_are_not_asked_without_end(brokers: Admin) -> None:
    brokers.dead = 1000
    with pytest.raises(KafkaConnectionError):
        kafka_admin.ensure_topics(OPTIONS, [])
    assert brokers.asked < 20
