"""Topics on a real broker: how they are made, and what is said of those made otherwise."""

import socketserver
import struct
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from fleet.bus import Start
from fleet.bus_kafka import KafkaBus
from fleet.errors import BusError, ConfigurationError
from fleet.kafka_admin import ensure_topics
from fleet.kafka_options import KafkaOptions
from fleet.topics import Topic
from isotherm.servers.kafka_broker import KafkaBroker

API_VERSIONS = 18


@pytest.fixture
def topic() -> Topic:
    return Topic(name=f"test.{uuid.uuid4().hex}", partitions=4)


@contextmanager
def administration(broker: KafkaBroker) -> Iterator[Any]:
    with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap)) as admin:
        yield admin


def make(broker: KafkaBroker, topic: Topic, partitions: int, **configs: str) -> None:
    layout = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
    with administration(broker) as admin:
        admin.create_topics({topic.name: layout}, wait_for_metadata=True)


def config_of(broker: KafkaBroker, topic: Topic) -> Mapping[str, str]:
    resource = ConfigResource(ConfigResourceType.TOPIC, topic.name)
    with administration(broker) as admin:
        found = admin.describe_configs([resource], config_filter="all")["topic"][topic.name]
    return {name: entry["value"] for name, entry in found.items()}


@pytest.mark.kafka
def test_topics_are_made_as_the_options_say(kafka_broker: KafkaBroker, topic: Topic) -> None:
    ensure_topics(KafkaOptions(bootstrap=kafka_broker.bootstrap), [topic])
    config = config_of(kafka_broker, topic)
    assert config["retention.ms"] == str(round(topic.retention_s * 1e3))
    assert config["cleanup.policy"] == "delete"
    assert config["min.insync.replicas"] == "1"
    assert config["max.message.bytes"] == str(8 * 2**20)


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("partitions", "configs", "words"),
    [
        (
            3,
            {"max.message.bytes": "8388608"},
            "has partitions 3, at least 4 is wanted: kafka-topics.sh .*--alter --partitions 4$",
        ),
        (
            4,
            {},
            "has max.message.bytes 1048588, at least 8388608 is wanted: .*-configs.sh .*=8388608$",
        ),
        (
            4,
            {"max.message.bytes": "8388608", "cleanup.policy": "compact"},
            "has cleanup.policy compact, delete is wanted, .*--add-config cleanup.policy=delete$",
        ),
    ],
)
def test_a_topic_that_was_made_otherwise_is_named(
    kafka_broker: KafkaBroker, topic: Topic, partitions: int, configs: dict[str, str], words: str
) -> None:
    make(kafka_broker, topic, partitions, **configs)
    with pytest.raises(ConfigurationError, match=rf"topic {topic.name} {words}"):
        KafkaBus(KafkaOptions(bootstrap=kafka_broker.bootstrap), [topic])


@pytest.mark.kafka
def test_fewer_replicas_than_wanted_are_named(kafka_broker: KafkaBroker, topic: Topic) -> None:
    options = KafkaOptions(bootstrap=kafka_broker.bootstrap)
    ensure_topics(options, [topic])
    with pytest.raises(ConfigurationError, match="has replicas 1, at least 3 is wanted"):
        ensure_topics(replace(options, replication=3), [topic])


@pytest.mark.kafka
def test_more_partitions_do_no_harm(kafka_broker: KafkaBroker, topic: Topic) -> None:
    make(kafka_broker, topic, 9, **{"max.message.bytes": "8388608"})
    with closing(KafkaBus(KafkaOptions(bootstrap=kafka_broker.bootstrap), [topic])) as bus:
        place = bus.publish(topic, key="k", value=b"x").result(10.0)
    assert place.partition == topic.partition_of("k")


@pytest.mark.kafka
def test_loops_are_spread_over_as_many_partitions_as_asked_for(
    kafka_broker: KafkaBroker, topic: Topic
) -> None:
    by_loop = replace(topic, by_loop=True)
    options = KafkaOptions(bootstrap=kafka_broker.bootstrap, partitions=21)
    with closing(KafkaBus(options, [by_loop])) as bus:
        wide = bus.laid_out(by_loop)
        keys = [f"h1/loop{n:02}" for n in range(30)]
        places = [bus.publish(by_loop, key=key, value=b"x") for key in keys]
        written = [place.result(10.0).partition for place in places]
        with closing(bus.reader(by_loop, start=Start.BEGINNING)) as reader:
            ends = reader.ends(range(21))
    assert wide.partitions == 21
    assert written == [wide.partition_of(key) for key in keys]
    assert max(written) >= by_loop.partitions
    assert sum(ends.values()) == 30
    with pytest.raises(ConfigurationError, match="has partitions 21, at least 22 is wanted"):
        KafkaBus(replace(options, partitions=22), [by_loop])


@pytest.mark.kafka
def test_more_replicas_than_brokers_is_one_clear_error(
    kafka_broker: KafkaBroker, topic: Topic
) -> None:
    options = KafkaOptions(bootstrap=kafka_broker.bootstrap, replication=3)
    with pytest.raises(BusError, match=r"could not be made: .*[Rr]eplication"):
        ensure_topics(options, [topic])


@pytest.mark.kafka
def test_a_client_held_to_an_older_version_still_speaks_with_the_broker(
    kafka_broker: KafkaBroker, topic: Topic
) -> None:
    """The versions of a request are those of Kafka 2.1, though the broker is of today."""
    options = KafkaOptions(bootstrap=kafka_broker.bootstrap, broker_version="2.1")
    with closing(KafkaBus(options, [topic])) as bus:
        place = bus.publish(topic, key="k", value=b"x").result(10.0)
        with closing(bus.reader(topic, start=Start.BEGINNING)) as reader:
            records = [record for _ in range(20) for record in reader.poll(0.5)]
    assert [(r.partition, r.value) for r in records] == [(place.partition, b"x")]


class _OldBroker(socketserver.BaseRequestHandler):
    """Says which requests it knows, as Kafka 0.10 did, and nothing else."""

    KNOWN = ((0, 2), (1, 2), (2, 0), (3, 1), (8, 2), (9, 1), (10, 0), (API_VERSIONS, 0), (19, 0))

    def handle(self) -> None:
        while head := self.request.recv(4, 0x100):
            (size,) = struct.unpack(">i", head)
            body = self.request.recv(size, 0x100)
            api, version, correlation = struct.unpack_from(">hhi", body)
            if api != API_VERSIONS:
                return
            code = 0 if version == 0 else 35
            rows = b"".join(struct.pack(">hhh", key, 0, most) for key, most in self.KNOWN)
            answer = struct.pack(">ihi", correlation, code, len(self.KNOWN)) + rows
            self.request.sendall(struct.pack(">i", len(answer)) + answer)


def test_a_broker_without_idempotent_producers_is_refused_with_its_version(topic: Topic) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _OldBroker) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            bootstrap = f"127.0.0.1:{server.server_address[1]}"
            options = KafkaOptions(bootstrap=bootstrap, connect_timeout_s=5.0)
            with pytest.raises(
                ConfigurationError, match=r"speaks version 0.10.*at least 0.11.*InitProducerId"
            ):
                ensure_topics(options, [topic])
        finally:
            server.shutdown()
            thread.join()
