"""The emulated data center, end to end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from isotherm.servers.kafka_broker import KafkaBroker
from tests.datacenter.embedded_site import EmbeddedSite
from tests.datacenter.process_site import STOP_WITHIN_S, ProcessSite, alive
from tests.datacenter.site import Receiver
from tests.datacenter.story import tell


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def test_the_whole_loop_in_one_process_on_a_clock_moved_by_hand(
    tmp_path: Path, receiver: Receiver
) -> None:
    with EmbeddedSite(tmp_path) as site:
        tell(site, receiver)


@pytest.mark.kafka
@pytest.mark.postgresql
def test_the_same_on_kafka_and_postgresql_with_one_process_a_role(
    tmp_path: Path, receiver: Receiver, kafka_broker: KafkaBroker, postgres_database_url: str
) -> None:
    with ProcessSite(tmp_path / "site", kafka_broker.bootstrap, postgres_database_url) as site:
        roles = site.roles()
        assert len(roles) == 4
        tell(site, receiver)
        taken_s, code = site.stop()
        assert (code, [role for role in roles if alive(role)]) == (0, [])
        assert taken_s < STOP_WITHIN_S
