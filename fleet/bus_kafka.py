"""The bus on Apache Kafka."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final

from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import AuthorizationError, KafkaError
from kafka.producer.transaction_manager import TransactionState
from kafka.structs import OffsetAndMetadata, TopicPartition

from fleet.bus import Position, Reader, Record, Start
from fleet.errors import BusError, BusUnavailableError
from fleet.kafka_admin import denied, ensure_topics
from fleet.kafka_options import KafkaOptions
from fleet.kafka_socket import WIDE_READS
from fleet.topics import MAX_MESSAGE_BYTES, TOPICS, Topic

_FETCH_BYTES: Final = 2 * 2**20
"""Of one answer to a reader: each is copied several times, and a larger one no longer stays in the
processor's caches; from 4 MiB on the allocator gives its memory back each time, and fresh pages
take a sixth of what ingest does. The broker sends a whole message even when it is longer.
"""
CLOSE_S: Final = 1.0
"""What is under way may take so long to be written when the bus is closed."""


class KafkaBus:
    """Publishes idempotently with acks=all; readers are assigned partitions, never a group's."""

    def __init__(self, options: KafkaOptions, topics: Sequence[Topic] = TOPICS) -> None:
        options.validate()
        self._options = options
        self._closed = threading.Event()
        ensure_topics(options, [self.laid_out(topic) for topic in topics])
        timeout_ms = round(options.delivery_timeout_s * 1e3)
        try:
            self._producer = KafkaProducer(
                **options.client_settings(),
                linger_ms=round(options.linger_s * 1e3),
                max_block_ms=1000,
                delivery_timeout_ms=timeout_ms,
                request_timeout_ms=max(timeout_ms - 1000, 1),
                max_request_size=MAX_MESSAGE_BYTES,
                allow_auto_create_topics=False,
            )
        except (KafkaError, OSError) as error:
            raise BusUnavailableError(
                f"no Kafka broker answers at {options.bootstrap}: {error}"
            ) from error
        _begin_anew_after_reset(self._producer)

    def laid_out(self, topic: Topic) -> Topic:
        return topic.spread(self._options.partitions)

    def publish(self, topic: Topic, *, key: str, value: bytes) -> Future[Position]:
        future: Future[Position] = Future()
        if self._closed.is_set():
            future.set_exception(BusUnavailableError("the bus is closed"))
            return future

        def failed(error: BaseException) -> None:
            future.set_exception(self._trouble(topic, "write", error))

        def written(where: Any) -> None:
            future.set_result(Position(partition=where.partition, offset=where.offset))

        try:
            sent = self._producer.send(
                topic.name,
                key=key.encode(),
                value=value,
                partition=self.laid_out(topic).partition_of(key),
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
        consumer = None
        topic = self.laid_out(topic)
        try:
            consumer = KafkaConsumer(
                **self._options.client_settings(),
                group_id=group,
                enable_auto_commit=False,
                auto_offset_reset="earliest" if start is Start.BEGINNING else "latest",
                fetch_max_wait_ms=round(self._options.fetch_wait_s * 1e3),
                fetch_max_bytes=_FETCH_BYTES,
                max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
                proxy_url=WIDE_READS,
                allow_auto_create_topics=False,
            )
            reader = _KafkaReader(consumer, topic, group, self._trouble)
            chosen = range(topic.partitions) if partitions is None else partitions
            reader.begin(list(chosen), start, dict(offsets or {}))
        except (KafkaError, OSError) as error:
            if consumer is not None:
                consumer.close(autocommit=False)
            raise self._trouble(topic, "read", error) from error
        return reader

    def _trouble(self, topic: Topic, action: str, error: BaseException) -> BusError:
        if isinstance(error, AuthorizationError):
            return BusError(denied(topic.name, self._options, action))
        return BusUnavailableError(f"kafka: could not {action} topic {topic.name}: {error}")

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


def _begin_anew_after_reset(producer: Any) -> None:
    """When a message that was sent runs out of time, kafka-python 3.0.12 forgets its producer's id,
    but asks for another in the state before the first alone: it would send nothing ever after.
    """
    manager = producer._transaction_manager  # noqa: SLF001 - it has no public way
    reset = manager.reset_producer_id

    def reset_and_begin() -> None:
        reset()
        manager._current_state = TransactionState.UNINITIALIZED  # noqa: SLF001

    manager.reset_producer_id = reset_and_begin


class _KafkaReader:
    def __init__(
        self,
        consumer: Any,
        topic: Topic,
        group: str | None,
        trouble: Callable[[Topic, str, BaseException], BusError],
    ) -> None:
        self._trouble = trouble
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
            raise self._trouble(self._topic, "read", error) from error
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
