"""Log-in, TLS and rights, against a real broker that insists on them."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleet.bus import Start
from fleet.bus_kafka import KafkaBus
from fleet.errors import BusError, BusUnavailableError, ConfigurationError
from fleet.kafka_admin import Role, topics_of
from fleet.kafka_options import FILE_VARIABLE, PASSWORD_VARIABLE, KafkaOptions
from fleet.topics import ACKS, COMMANDS, EVENTS, LIVE, SCHEMAS, TELEMETRY, TOPICS, Topic
from isotherm.__main__ import app
from isotherm.servers.kafka_secured import SUPERUSER, SecuredKafkaBroker
from tests.support.components import required

pytestmark = pytest.mark.kafka
USERS = {SUPERUSER: "keys-to-all", "sled": "a-sled-s", "mind": "the-mind-s", "nobody": "n"}
WAIT_S = 20.0


@pytest.fixture(scope="module")
def broker() -> Iterator[SecuredKafkaBroker]:
    """With the topics made, and the rights given by the command that people use."""
    with ExitStack() as stack:
        with required():
            secured = stack.enter_context(SecuredKafkaBroker(USERS))
        file = secured.ca_file.parent / "kafka.toml"
        file.write_text(f'user = "{SUPERUSER}"\ntls = true\nca_file = "ca.pem"\n')
        environment = {FILE_VARIABLE: str(file), PASSWORD_VARIABLE: USERS[SUPERUSER]}
        for user, role in (("sled", Role.AGENT), ("mind", Role.CONTROLLER)):
            flags = ["grant", user, "--role", role, "--kafka", secured.bootstrap]
            done = CliRunner().invoke(app, flags, env=environment)
            assert done.exit_code == 0, done.output
        yield secured


def options(broker: SecuredKafkaBroker, user: str) -> KafkaOptions:
    return KafkaOptions(
        bootstrap=broker.bootstrap,
        user=user,
        password=USERS[user],
        tls=True,
        ca_file=str(broker.ca_file),
        connect_timeout_s=4.0,
        delivery_timeout_s=5.0,
    )


@pytest.fixture
def agent(broker: SecuredKafkaBroker) -> Iterator[KafkaBus]:
    with closing(KafkaBus(options(broker, "sled"), topics_of(Role.AGENT))) as bus:
        yield bus


@pytest.fixture
def mind(broker: SecuredKafkaBroker) -> Iterator[KafkaBus]:
    with closing(KafkaBus(options(broker, "mind"))) as bus:
        yield bus


@pytest.mark.parametrize("topic", [TELEMETRY, ACKS, EVENTS, SCHEMAS], ids=lambda t: t.name)
def test_an_agent_writes_what_the_controller_reads(
    agent: KafkaBus, mind: KafkaBus, topic: Topic
) -> None:
    with closing(mind.reader(topic, start=Start.END)) as reader:
        agent.publish(topic, key="h1/loop01", value=b"said").result(WAIT_S)
        records = [record for _ in range(10) for record in reader.poll(0.5)]
    assert [record.value for record in records] == [b"said"]


def test_an_agent_reads_its_commands(agent: KafkaBus, mind: KafkaBus) -> None:
    with closing(agent.reader(COMMANDS, start=Start.END)) as reader:
        mind.publish(COMMANDS, key="h1/loop01", value=b"open").result(WAIT_S)
        records = [record for _ in range(10) for record in reader.poll(0.5)]
    assert [record.value for record in records] == [b"open"]


@pytest.mark.parametrize("topic", [COMMANDS, LIVE], ids=lambda t: t.name)
def test_an_agent_may_not_write_what_is_not_its_own(agent: KafkaBus, topic: Topic) -> None:
    sent = agent.publish(topic, key="h1/loop01", value=b"forged")
    words = rf"user 'sled' may not write topic {topic.name}; give it the rights of its role"
    with pytest.raises(BusError, match=words):
        sent.result(WAIT_S)


@pytest.mark.parametrize("topic", [TELEMETRY, LIVE], ids=lambda t: t.name)
def test_an_agent_may_not_listen_to_the_others(agent: KafkaBus, topic: Topic) -> None:
    with pytest.raises(BusError, match=rf"user 'sled' may not read topic {topic.name}"):
        listen(agent, topic)


def listen(bus: KafkaBus, topic: Topic) -> None:
    with closing(bus.reader(topic, start=Start.BEGINNING)) as reader:
        for _ in range(20):
            reader.poll(0.5)


def test_who_has_no_rights_hears_what_to_do(broker: SecuredKafkaBroker) -> None:
    with pytest.raises(BusError, match=r"user 'nobody' may not see topic .*isotherm grant"):
        KafkaBus(options(broker, "nobody"), TOPICS)


def test_a_wrong_password_is_one_clear_error(broker: SecuredKafkaBroker) -> None:
    wrong = replace(options(broker, "sled"), password="guessed", connect_timeout_s=2.0)
    with pytest.raises(ConfigurationError, match="does not let user 'sled' in: wrong") as told:
        KafkaBus(wrong)
    assert "guessed" not in str(told.value)


def test_an_untrusted_certificate_is_one_clear_error(broker: SecuredKafkaBroker) -> None:
    stranger = replace(options(broker, "sled"), ca_file=str(broker.stranger_ca_file))
    with pytest.raises(ConfigurationError, match=r"certificate of .* is not trusted .*set ca_file"):
        KafkaBus(stranger)


def test_a_client_without_tls_hears_that_it_may_be_wanted(broker: SecuredKafkaBroker) -> None:
    plain = KafkaOptions(bootstrap=broker.bootstrap, connect_timeout_s=1.0)
    with pytest.raises(BusUnavailableError, match="does it want TLS"):
        KafkaBus(plain)


def test_the_command_line_says_it_in_one_line(broker: SecuredKafkaBroker, tmp_path: Path) -> None:
    file = tmp_path / "kafka.toml"
    file.write_text(f'user = "sled"\ntls = true\nca_file = "{broker.stranger_ca_file}"\n')
    environment = {FILE_VARIABLE: str(file), PASSWORD_VARIABLE: USERS["sled"]}
    flags = ["grant", "x", "--role", "agent", "--kafka", broker.bootstrap]
    done = CliRunner().invoke(app, flags, env=environment)
    assert isinstance(done.exception, ConfigurationError)
    assert "\n" not in str(done.exception)
