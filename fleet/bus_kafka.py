"""The bus on Apache Kafka; the only file that imports kafka."""

import socket
import threading
import zlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError, TopicAlreadyExistsError
from kafka.structs import OffsetAndMetadata, TopicPartition

from fleet.bus import Position, Reader, Record, Start
from fleet.errors import BusError, BusUnavailableError, ConfigurationError
from fleet.topics import TOPICS, Topic

CLOSE_S: Final = 1.0
"""What is under way may take so long to be written when the bus is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaOptions:
    """How to reach the brokers; `bootstrap` is `HOST:PORT[,HOST:PORT...]`."""

    bootstrap: str
    replication: int = 1
    connect_timeout_s: float = 10.0
    delivery_timeout_s: float = 30.0
    linger_s: float = 0.005

    def validate(self) -> None:
        """Raises ConfigurationError naming the setting that can not be used."""
        for server in self.bootstrap.split(","):
            host, colon, port = server.rpartition(":")
            if not (colon and host and port.isdigit() and 0 < int(port) < 65536):
                raise ConfigurationError(f"kafka: {server!r} is not HOST:PORT")
        if self.replication < 1:
            raise ConfigurationError(f"kafka: replication {self.replication} is below 1")


class KafkaBus:
    """Publishes idempotently with acks=all; readers are assigned partitions, never a group's."""

    def __init__(self, options: KafkaOptions, topics: Sequence[Topic] = TOPICS) -> None:
        options.validate()
        self._options = options
        self._servers = options.bootstrap.split(",")
        self._closed = threading.Event()
        self._reach()
        try:
            self._create(topics)
            self._producer = KafkaProducer(
                bootstrap_servers=self._servers,
                linger_ms=round(options.linger_s * 1e3),
                max_block_ms=1000,
                delivery_timeout_ms=round(options.delivery_timeout_s * 1e3),
                request_timeout_ms=round(options.delivery_timeout_s * 1e3) - 1000,
                max_request_size=8 * 2**20,
                bootstrap_timeout_ms=round(options.connect_timeout_s * 1e3),
                allow_auto_create_topics=False,
            )
        except (KafkaError, OSError) as error:
            raise BusUnavailableError(
                f"no Kafka broker answers at {options.bootstrap}: {error}"
            ) from error

    def _reach(self) -> None:
        # The client retries a refused connection for a long time and leaks its socket when it
        # gives up; a plain connect tells at once that nobody listens.
        trouble = "no address given"
        for server in self._servers:
            host, _, port = server.rpartition(":")
            try:
                socket.create_connection((host, int(port)), self._options.connect_timeout_s).close()
            except OSError as error:
                trouble = str(error)
            else:
                return
        raise BusUnavailableError(
            f"no Kafka broker answers at {self._options.bootstrap}: {trouble}"
        )

    def _create(self, topics: Sequence[Topic]) -> None:
        admin = KafkaAdminClient(
            bootstrap_servers=self._servers,
            bootstrap_timeout_ms=round(self._options.connect_timeout_s * 1e3),
        )
        try:
            present = set(admin.list_topics())
            for topic in topics:
                if topic.name not in present:
                    # Two processes may create at the same time; the second finds it done.
                    with suppress(TopicAlreadyExistsError):
                        admin.create_topics(
                            {topic.name: self._layout(topic)}, wait_for_metadata=True
                        )
        finally:
            admin.close()

    def _layout(self, topic: Topic) -> dict[str, Any]:
        policy = "compact" if topic.compacted else "delete"
        return {
            "num_partitions": topic.partitions,
            "replication_factor": self._options.replication,
            "configs": {
                "cleanup.policy": policy,
                "retention.ms": str(round(topic.retention_s * 1e3)),
                "max.message.bytes": str(8 * 2**20),
            },
        }

    def publish(self, topic: Topic, *, key: str, value: bytes) -> Future[Position]:
        future: Future[Position] = Future()
        if self._closed.is_set():
            future.set_exception(BusUnavailableError("the bus is closed"))
            return future

        def failed(error: BaseException) -> None:
            future.set_exception(BusError(f"publishing to {topic.name}: {error}"))

        def written(where: Any) -> None:
            future.set_result(Position(partition=where.partition, offset=where.offset))

        try:
            sent = self._producer.send(
                topic.name,
                key=key.encode(),
                value=value,
                partition=zlib.crc32(key.encode()) % topic.partitions,
            )
        except (KafkaError, AssertionError) as error:
            failed(error)
            return future
        sent.add_callback(written)
        sent.add_errback(failed)
        return future

    def reader(
        self,
        topic: Topic,
        *,
        start: Start,
        group: str | None = None,
        partitions: Sequence[int] | None = None,
        offsets: Mapping[int, int] | None = None,
    ) -> Reader:
        try:
            consumer = KafkaConsumer(
                bootstrap_servers=self._servers,
                group_id=group,
                enable_auto_commit=False,
                auto_offset_reset="earliest" if start is Start.BEGINNING else "latest",
                fetch_max_wait_ms=100,
                max_partition_fetch_bytes=8 * 2**20,
                bootstrap_timeout_ms=round(self._options.connect_timeout_s * 1e3),
                allow_auto_create_topics=False,
            )
            reader = _KafkaReader(consumer, topic, group)
            chosen = range(topic.partitions) if partitions is None else partitions
            reader.begin(list(chosen), start, dict(offsets or {}))
        except (KafkaError, OSError) as error:
            raise BusUnavailableError(f"reading {topic.name}: {error}") from error
        return reader

    def flush(self, timeout_s: float) -> None:
        try:
            self._producer.flush(timeout=timeout_s)
        except KafkaError as error:
            raise BusError(f"not all was written in {timeout_s} s: {error}") from error

    def close(self) -> None:
        if self._closed.is_set():
            return
        self._closed.set()
        try:
            self._producer.flush(timeout=CLOSE_S)
        except KafkaError:
            # The client's own close would raise here too, and leave its thread and sockets behind.
            # What could not be written is given up, and its futures fail.
            self._producer._sender.force_close()  # noqa: SLF001 - it has no public way
        with suppress(KafkaError):
            self._producer.close(timeout=CLOSE_S)


class _KafkaReader:
    def __init__(self, consumer: Any, topic: Topic, group: str | None) -> None:
        self._consumer = consumer
        self._topic = topic
        self._group = group
        self._positions: dict[int, int] = {}

    def begin(self, partitions: list[int], start: Start, offsets: dict[int, int]) -> None:
        assigned = [TopicPartition(self._topic.name, partition) for partition in partitions]
        self._consumer.assign(assigned)
        edges = (
            self._consumer.end_offsets(assigned)
            if start is Start.END
            else self._consumer.beginning_offsets(assigned)
        )
        for place in assigned:
            kept = self._consumer.committed(place) if self._group else None
            default = edges[place] if kept is None else kept
            self.seek(place.partition, offsets.get(place.partition, default))

    def poll(self, timeout_s: float, max_records: int = 500) -> list[Record]:
        if not self._positions:
            return []
        try:
            batches = self._consumer.poll(
                timeout_ms=round(timeout_s * 1e3), max_records=max_records
            )
        except (KafkaError, OSError) as error:
            raise BusError(f"reading {self._topic.name}: {error}") from error
        found: list[Record] = []
        for place, batch in sorted(batches.items()):
            found.extend(
                Record(
                    topic=self._topic.name,
                    partition=place.partition,
                    offset=record.offset,
                    key=(record.key or b"").decode(errors="replace"),
                    value=record.value or b"",
                )
                for record in batch
            )
            self._positions[place.partition] = batch[-1].offset + 1
        return found

    def seek(self, partition: int, offset: int) -> None:
        place = TopicPartition(self._topic.name, partition)
        if place not in self._consumer.assignment():
            raise BusError(f"this reader does not read partition {partition}")
        self._consumer.seek(place, offset)
        self._positions[partition] = offset

    def assign(self, offsets: Mapping[int, int]) -> None:
        strange = [n for n in offsets if not 0 <= n < self._topic.partitions]
        if strange:
            raise BusError(f"no partition {strange[0]} of topic {self._topic.name}")
        try:
            self._consumer.assign([TopicPartition(self._topic.name, n) for n in offsets])
            self._positions = {}
            for partition, offset in offsets.items():
                self.seek(partition, offset)
        except (KafkaError, OSError) as error:
            raise BusError(f"reading {self._topic.name}: {error}") from error

    def ends(self, partitions: Iterable[int]) -> Mapping[int, int]:
        places = [TopicPartition(self._topic.name, partition) for partition in partitions]
        try:
            found = self._consumer.end_offsets(places) if places else {}
        except (KafkaError, OSError) as error:
            raise BusError(f"reading {self._topic.name}: {error}") from error
        return {place.partition: offset for place, offset in found.items()}

    def positions(self) -> Mapping[int, int]:
        return dict(self._positions)

    def commit(self) -> None:
        if self._group is None:
            raise BusError("a reader without a group can not commit")
        try:
            self._consumer.commit(
                {
                    TopicPartition(self._topic.name, partition): OffsetAndMetadata(offset, "", -1)
                    for partition, offset in self._positions.items()
                }
            )
        except KafkaError as error:
            raise BusError(f"committing {self._topic.name}: {error}") from error

    def close(self) -> None:
        self._consumer.close(autocommit=False)
