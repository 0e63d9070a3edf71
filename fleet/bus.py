"""The seam between the processes, and its in-memory twin."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Protocol, Self

from fleet.errors import BusError, BusUnavailableError
from fleet.topics import TOPICS, Topic


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One message as it was read; offsets rise by at least one within a partition."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a published message was durably written."""

    partition: int
    offset: int


class Start(Enum):
    """Where a reader starts in a partition for which it is given no offset."""

    BEGINNING = "beginning"  # the oldest message kept
    END = "end"  # only what is published from now on


class Reader(Protocol):
    """A cursor over the partitions that it was given; never rebalanced by the bus.

    One thread uses a reader; `close` may come from any.
    """

    def poll(self, timeout_s: float, max_records: int = 500) -> list[Record]:
        """What is next, in order within a partition; empty when the time has passed."""

    def seek(self, partition: int, offset: int) -> None: ...

    def assign(self, offsets: Mapping[int, int]) -> None:
        """From now on read exactly these partitions, each from its offset."""

    def ends(self, partitions: Iterable[int]) -> Mapping[int, int]:
        """Partition -> offset of the message that is published next; read here or not."""

    def positions(self) -> Mapping[int, int]:
        """Partition -> offset of the record that `poll` gives next."""

    def commit(self) -> None:
        """Remember the positions under the reader's group; BusError if it has none."""

    def close(self) -> None: ...


class Bus(Protocol):
    """Durable, ordered, partitioned messages. Safe to share between threads."""

    def laid_out(self, topic: Topic) -> Topic:
        """The topic with as many partitions as it has on this bus."""

    def publish(self, topic: Topic, *, key: str, value: bytes) -> Future[Position]:
        """Never blocks for long; the future fails with a BusError when the message is lost."""

    def reader(
        self,
        topic: Topic,
        *,
        start: Start,
        group: str | None = None,
        partitions: Sequence[int] | None = None,
        offsets: Mapping[int, int] | None = None,
    ) -> Reader:
        """Read `partitions` (all when None) from `offsets`, else the group's, else `start`."""

    def flush(self, timeout_s: float) -> None:
        """Wait until all that was published is written; BusError if it is not by then."""

    def close(self) -> None: ...


class InMemoryBus:
    """The twin: same promises, one process, nothing kept after it ends.

    Each partition keeps its newest `retained` messages. `available = False` plays a broker that is
    away: publishing fails, reading gives nothing.
    """

    def __init__(self, topics: Sequence[Topic] = TOPICS, *, retained: int = 20_000) -> None:
        self._topics = {topic.name: topic for topic in topics}
        self._logs: dict[str, list[Log]] = {
            topic.name: [
                self._make_log(topic, partition) or _MemoryLog(topic, partition, retained)
                for partition in range(topic.partitions)
            ]
            for topic in topics
        }
        self._grown = threading.Condition()
        self._committed: dict[tuple[str, str, int], int] = {}
        self._closed = False
        self.available = True

    def laid_out(self, topic: Topic) -> Topic:
        return self._topics.get(topic.name, topic)

    def publish(self, topic: Topic, *, key: str, value: bytes) -> Future[Position]:
        future: Future[Position] = Future()
        if self._closed or not self.available:
            future.set_exception(BusUnavailableError("the in-memory bus is away"))
            return future
        partition = self.laid_out(topic).partition_of(key)
        with self._grown:
            offset = self._log(topic, partition).append(key, value)
            self._grown.notify_all()
        future.set_result(Position(partition=partition, offset=offset))
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
        given = dict(offsets or {})
        every = range(self.laid_out(topic).partitions)
        chosen = every if partitions is None else partitions
        with self._grown:
            begin: dict[int, int] = {}
            for partition in chosen:
                log = self._log(topic, partition)
                default = log.end if start is Start.END else log.first
                kept = self._committed.get((group or "", topic.name, partition), default)
                begin[partition] = given.get(partition, kept)
        return _MemoryReader(self, topic, begin, group)

    def flush(self, timeout_s: float) -> None:
        """Nothing is ever under way here."""

    def close(self) -> None:
        with self._grown:
            self._closed = True
            self._grown.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _make_log(self, _topic: Topic, _partition: int) -> "Log | None":
        """Where a partition is kept, if not in memory."""
        return None

    def _log(self, topic: Topic, partition: int) -> "Log":
        try:
            return self._logs[topic.name][partition]
        except (KeyError, IndexError):
            raise BusError(f"no partition {partition} of topic {topic.name}") from None

    def read(self, topic: Topic, positions: dict[int, int], limit: int) -> list[Record]:
        """What the partitions hold at `positions`, which move on; for the twin's readers."""
        found: list[Record] = []
        if not self.available:
            return found
        for partition in sorted(positions):
            batch = self._log(topic, partition).read(positions[partition], limit - len(found))
            if batch:
                positions[partition] = batch[-1].offset + 1
                found.extend(batch)
        return found

    def ends(self, topic: Topic, partitions: Iterable[int]) -> dict[int, int]:
        """Where the partitions end; for the twin's readers."""
        with self._grown:
            return {partition: self._log(topic, partition).end for partition in partitions}

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        with self._grown:
            self._grown.wait_for(lambda: self._closed or ready(), timeout_s)

    def remember(self, group: str, topic: Topic, positions: Mapping[int, int]) -> None:
        with self._grown:
            for partition, offset in positions.items():
                self._committed[group, topic.name, partition] = offset


class Log(Protocol):
    """One partition of the twin; used under its lock."""

    @property
    def first(self) -> int:
        """Offset of the oldest message kept."""

    @property
    def end(self) -> int:
        """Offset of the next message."""

    def append(self, key: str, value: bytes) -> int:
        """The message's offset."""

    def read(self, offset: int, limit: int) -> list[Record]: ...


class _MemoryLog:
    def __init__(self, topic: Topic, partition: int, retained: int) -> None:
        self._topic = topic
        self._partition = partition
        self._retained = retained
        self._records: list[Record] = []
        self.end = 0

    @property
    def first(self) -> int:
        return self._records[0].offset if self._records else self.end

    def append(self, key: str, value: bytes) -> int:
        offset = self.end
        if self._topic.compacted:
            self._records = [record for record in self._records if record.key != key]
        self._records.append(
            Record(
                topic=self._topic.name,
                partition=self._partition,
                offset=offset,
                key=key,
                value=value,
            )
        )
        self.end += 1
        # Trim by halves, so that the cost of an append stays constant on average.
        if len(self._records) > 2 * self._retained:
            del self._records[: -self._retained]
        return offset

    def read(self, offset: int, limit: int) -> list[Record]:
        if limit <= 0 or offset >= self.end:
            return []
        if self._topic.compacted:
            return [record for record in self._records if record.offset >= offset][:limit]
        skip = max(offset - self.first, 0)
        return self._records[skip : skip + limit]


class _MemoryReader:
    def __init__(
        self, bus: InMemoryBus, topic: Topic, positions: dict[int, int], group: str | None
    ) -> None:
        self._bus = bus
        self._topic = topic
        self._positions = positions
        self._group = group
        self._closed = False

    def poll(self, timeout_s: float, max_records: int = 500) -> list[Record]:
        found: list[Record] = []

        def ready() -> bool:
            found.extend(self._bus.read(self._topic, self._positions, max_records))
            return bool(found) or self._closed

        self._bus.wait_until(ready, timeout_s)
        return found

    def seek(self, partition: int, offset: int) -> None:
        if partition not in self._positions:
            raise BusError(f"this reader does not read partition {partition}")
        self._positions[partition] = offset

    def assign(self, offsets: Mapping[int, int]) -> None:
        self._bus.ends(self._topic, offsets)  # names a partition that there is not
        self._positions = dict(offsets)

    def ends(self, partitions: Iterable[int]) -> Mapping[int, int]:
        return self._bus.ends(self._topic, partitions)

    def positions(self) -> Mapping[int, int]:
        return dict(self._positions)

    def commit(self) -> None:
        if self._group is None:
            raise BusError("a reader without a group can not commit")
        self._bus.remember(self._group, self._topic, self._positions)

    def close(self) -> None:
        self._closed = True
        self._bus.wait_until(lambda: True, 0.0)
