"""What every bus promises: one suite on the twin, in memory and in files, and on a Kafka broker."""

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.bus import Bus, InMemoryBus, Reader, Record, Start
from fleet.bus_kafka import KafkaBus
from fleet.bus_local import LocalBus
from fleet.clock import ManualClock
from fleet.errors import BusError, BusUnavailableError, ConfigurationError
from fleet.kafka_options import KafkaOptions
from fleet.topics import Topic
from isotherm.servers.kafka_broker import KafkaBroker


@pytest.fixture
def topic() -> Topic:
    return Topic(name=f"test.{uuid.uuid4().hex}", partitions=4)


@pytest.fixture
def schemas() -> Topic:
    return Topic(name=f"test.{uuid.uuid4().hex}", partitions=1, compacted=True)


@pytest.fixture(params=["memory", "local", pytest.param("kafka", marks=pytest.mark.kafka)])
def bus(
    request: pytest.FixtureRequest, topic: Topic, schemas: Topic, tmp_path: Path
) -> Iterator[Bus]:
    made: Bus
    if request.param == "memory":
        made = InMemoryBus([topic, schemas])
    elif request.param == "local":
        made = LocalBus(tmp_path, ManualClock(), [topic, schemas])
    else:
        broker: KafkaBroker = request.getfixturevalue("kafka_broker")
        made = KafkaBus(KafkaOptions(bootstrap=broker.bootstrap), [topic, schemas])
    yield made
    made.close()


def take(reader: Reader, count: int) -> list[Record]:
    found: list[Record] = []
    for _ in range(100):
        found += reader.poll(0.2)
        if len(found) >= count:
            return found
    raise AssertionError(f"{len(found)} of {count} records arrived")


def key_in(topic: Topic, partition: int) -> str:
    return next(
        key for key in (f"k{n}" for n in range(1000)) if topic.partition_of(key) == partition
    )


def test_a_key_keeps_its_order_and_its_partition(bus: Bus, topic: Topic) -> None:
    reader = bus.reader(topic, start=Start.BEGINNING)
    futures = [bus.publish(topic, key=f"k{n % 3}", value=n.to_bytes(2, "big")) for n in range(60)]
    bus.flush(10.0)
    places = [future.result(10.0) for future in futures]
    records = take(reader, 60)
    assert len(records) == 60
    for key in ("k0", "k1", "k2"):
        mine = [record for record in records if record.key == key]
        assert {record.partition for record in mine} == {topic.partition_of(key)}
        numbers = [int.from_bytes(record.value, "big") for record in mine]
        assert numbers == sorted(numbers)
    assert {(p.partition, p.offset) for p in places} == {
        (record.partition, record.offset) for record in records
    }
    reader.close()


def test_a_reader_from_the_end_sees_only_what_is_new(bus: Bus, topic: Topic) -> None:
    bus.publish(topic, key="k", value=b"old").result(10.0)
    reader = bus.reader(topic, start=Start.END)
    bus.publish(topic, key="k", value=b"new").result(10.0)
    assert [record.value for record in take(reader, 1)] == [b"new"]
    reader.close()


def test_only_the_given_partitions_are_read(bus: Bus, topic: Topic) -> None:
    reader = bus.reader(topic, start=Start.BEGINNING, partitions=[1])
    for partition in range(4):
        bus.publish(topic, key=key_in(topic, partition), value=bytes([partition])).result(10.0)
    assert [record.value for record in take(reader, 1)] == [b"\x01"]
    assert reader.poll(0.2) == []
    with pytest.raises(BusError, match="does not read partition 2"):
        reader.seek(2, 0)
    reader.close()


def test_seek_reads_again(bus: Bus, topic: Topic) -> None:
    place = bus.publish(topic, key="k", value=b"one").result(10.0)
    reader = bus.reader(topic, start=Start.BEGINNING)
    take(reader, 1)
    assert reader.positions()[place.partition] == place.offset + 1
    reader.seek(place.partition, place.offset)
    assert [record.value for record in take(reader, 1)] == [b"one"]
    reader.close()


def test_given_offsets_win_over_the_start(bus: Bus, topic: Topic) -> None:
    places = [bus.publish(topic, key="k", value=bytes([n])).result(10.0) for n in range(5)]
    partition = places[0].partition
    reader = bus.reader(topic, start=Start.BEGINNING, offsets={partition: places[3].offset})
    assert [record.value for record in take(reader, 2)] == [b"\x03", b"\x04"]
    reader.close()


def test_a_reader_is_given_other_partitions(bus: Bus, topic: Topic) -> None:
    for number in range(3):
        for partition in (1, 2):
            value = bytes([partition, number])
            bus.publish(topic, key=key_in(topic, partition), value=value).result(10.0)
    reader = bus.reader(topic, start=Start.BEGINNING, partitions=[])
    assert reader.poll(0.0) == []
    assert reader.ends([1, 2, 3]) == {1: 3, 2: 3, 3: 0}
    reader.assign({1: 2})
    assert [record.value for record in take(reader, 1)] == [b"\x01\x02"]
    reader.assign({1: 3, 2: 1})
    assert [record.value for record in take(reader, 2)] == [b"\x02\x01", b"\x02\x02"]
    assert reader.positions() == {1: 3, 2: 3}
    reader.assign({})
    assert reader.poll(0.0) == []
    with pytest.raises(BusError, match="no partition 9"):
        reader.assign({9: 0})
    reader.close()


def test_a_group_goes_on_where_it_committed(bus: Bus, topic: Topic) -> None:
    first = bus.reader(topic, start=Start.BEGINNING, group="g")
    for n in range(3):
        bus.publish(topic, key="k", value=bytes([n])).result(10.0)
    take(first, 3)
    first.commit()
    first.close()
    bus.publish(topic, key="k", value=b"\x03").result(10.0)
    second = bus.reader(topic, start=Start.BEGINNING, group="g")
    assert [record.value for record in take(second, 1)] == [b"\x03"]
    second.close()


def test_no_group_no_commit(bus: Bus, topic: Topic) -> None:
    reader = bus.reader(topic, start=Start.BEGINNING)
    with pytest.raises(BusError, match="without a group"):
        reader.commit()
    reader.close()


def test_the_newest_document_of_a_key_survives_compaction(bus: Bus, schemas: Topic) -> None:
    for n in range(3):
        bus.publish(schemas, key="s", value=bytes([n])).result(10.0)
    reader = bus.reader(schemas, start=Start.BEGINNING)
    assert take(reader, 1)[-1].value == b"\x02" or take(reader, 1)[-1].value == b"\x02"
    reader.close()


def test_large_messages_pass(bus: Bus, topic: Topic) -> None:
    value = bytes(range(256)) * 16_000
    reader = bus.reader(topic, start=Start.BEGINNING)
    bus.publish(topic, key="k", value=value).result(20.0)
    assert take(reader, 1)[0].value == value
    reader.close()


def test_a_waiting_reader_wakes_for_a_message(bus: Bus, topic: Topic) -> None:
    reader = bus.reader(topic, start=Start.END)
    got: list[Record] = []
    thread = threading.Thread(target=lambda: got.extend(take(reader, 1)))
    thread.start()
    bus.publish(topic, key="k", value=b"x").result(10.0)
    thread.join(20.0)
    assert [record.value for record in got] == [b"x"]
    reader.close()


def test_a_closed_bus_fails_the_future_and_does_not_raise(bus: Bus, topic: Topic) -> None:
    bus.close()
    with pytest.raises(BusUnavailableError):
        bus.publish(topic, key="k", value=b"x").result(1.0)


def test_no_broker_is_one_clear_error() -> None:
    options = KafkaOptions(bootstrap="127.0.0.1:1", connect_timeout_s=0.5)
    with pytest.raises(BusUnavailableError, match=r"no Kafka broker answers at 127.0.0.1:1"):
        KafkaBus(options)


@pytest.mark.parametrize("bootstrap", ["", "localhost", "localhost:", "host:99999", "a:1,b"])
def test_a_wrong_address_is_refused(bootstrap: str) -> None:
    with pytest.raises(ConfigurationError, match="HOST:PORT"):
        KafkaBus(KafkaOptions(bootstrap=bootstrap))


def test_the_twin_trims_and_tells_the_first_offset() -> None:
    topic = Topic(name="t", partitions=1)
    bus = InMemoryBus([topic], retained=10)
    for n in range(100):
        bus.publish(topic, key="k", value=bytes([n]))
    reader = bus.reader(topic, start=Start.BEGINNING)
    records = reader.poll(0.0, 1000)
    assert 10 <= len(records) <= 20
    assert records[-1].offset == 99


def test_the_twin_plays_a_broker_that_is_away() -> None:
    topic = Topic(name="t", partitions=1)
    bus = InMemoryBus([topic])
    reader = bus.reader(topic, start=Start.BEGINNING)
    bus.publish(topic, key="k", value=b"1")
    bus.available = False
    assert reader.poll(0.0) == []
    with pytest.raises(BusUnavailableError):
        bus.publish(topic, key="k", value=b"2").result(0.0)
    bus.available = True
    assert [record.value for record in reader.poll(0.0)] == [b"1"]
