"""The in-memory bus with a memory: what must survive the process is in files.

One directory a partition, one record file after the other; what a reader is given comes from the
files. A message is acknowledged once the operating system has it, so a crash of the process loses
nothing; a power cut can take what came after the last sync, see `LocalBusSettings.sync_s`.
"""

import fcntl
import os
import struct
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from fleet.bus import InMemoryBus, Position, Record
from fleet.clock import NS_PER_S, Clock
from fleet.errors import BusError, ConfigurationError
from fleet.segment import Segment, Stored, write_synced
from fleet.topics import TOPICS, Topic

MAX_MESSAGE_BYTES: Final = 8 * 2**20
"""As Kafka is told: a message that fits here fits there."""
_KEY: Final = struct.Struct("<H")
_GROUPS: Final = "groups.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalBusSettings:
    """How much is kept, and what a power cut may take. All are choices, not measurements."""

    max_partition_bytes: int = 512 * 2**20
    max_age_s: float = 3600.0
    """Or the topic's retention, where that is shorter; compacted topics forget by key alone."""
    segment_bytes: int = 8 * 2**20
    sync_s: float = 1.0
    """Messages are synced at least so often while any are published; 0: each before it counts."""

    def validate(self) -> None:
        """Raises ConfigurationError naming the setting that can not be used."""
        if not 0 < self.segment_bytes <= self.max_partition_bytes // 2:
            raise ConfigurationError("bus: max_partition_bytes must hold at least two segments")
        if self.max_age_s <= 0:
            raise ConfigurationError(f"bus: max_age_s {self.max_age_s} is not above 0")
        if self.sync_s < 0:
            raise ConfigurationError(f"bus: sync_s {self.sync_s} is below 0")


class LocalBus(InMemoryBus):
    """One process' bus under `directory`; opened again it goes on with the same offsets.

    Topics marked `volatile` stay in memory. Raises ConfigurationError when the directory can not
    be used, or another process uses it. What the disk does not take fails the future.
    """

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        topics: Sequence[Topic] = TOPICS,
        settings: LocalBusSettings | None = None,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._settings = settings or LocalBusSettings()
        self._settings.validate()
        self._files: list[_FileLog] = []
        self._synced_s = clock.monotonic_s()
        self.counts: Counter[str] = Counter()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with ExitStack() as stack:
                self._lock_fd = _hold(directory)
                stack.callback(os.close, self._lock_fd)
                super().__init__(topics)
                self._committed.update(_read_groups(directory / _GROUPS))
                stack.pop_all()
        except OSError as error:
            raise ConfigurationError(f"bus in {directory}: {error.strerror or error}") from error

    def publish(self, topic: Topic, *, key: str, value: bytes) -> Future[Position]:
        if len(value) > MAX_MESSAGE_BYTES:
            future: Future[Position] = Future()
            text = f"a message of {len(value)} bytes is above {MAX_MESSAGE_BYTES}"
            future.set_exception(BusError(f"publishing to {topic.name}: {text}"))
            return future
        try:
            future = super().publish(topic, key=key, value=value)
            if self._clock.monotonic_s() - self._synced_s >= self._settings.sync_s:
                self.flush(0.0)
        except (OSError, BusError) as error:
            self.counts["write_failures"] += 1
            future = Future()
            future.set_exception(BusError(f"publishing to {topic.name}: {error}"))
        return future

    def flush(self, timeout_s: float) -> None:  # noqa: ARG002 - a disk knows no time-out
        """All that was published is on the platter; BusError when the disk refuses."""
        with self._grown:
            self._synced_s = self._clock.monotonic_s()
            try:
                for log in self._files:
                    log.sync()
            except OSError as error:
                raise BusError(f"bus in {self._directory}: {error.strerror or error}") from error

    def remember(self, group: str, topic: Topic, positions: Mapping[int, int]) -> None:
        super().remember(group, topic, positions)
        rows = [[*name, offset] for name, offset in sorted(self._committed.items())]
        try:
            write_synced(self._directory / _GROUPS, msgspec.json.encode(rows))
        except OSError as error:
            raise BusError(f"bus in {self._directory}: {error.strerror or error}") from error

    def close(self) -> None:
        with self._grown:
            if self._closed:
                return
            super().close()
            try:
                self.flush(0.0)
            except BusError:
                self.counts["write_failures"] += 1
            for log in self._files:
                log.close()
            os.close(self._lock_fd)

    def _make_log(self, topic: Topic, partition: int) -> "_FileLog | None":
        if topic.volatile:
            return None
        place = self._directory / topic.name / str(partition)
        log = _FileLog(place, topic, partition, self._settings, self._clock.unix_ns)
        self.counts["torn_bytes"] += log.torn_bytes
        self._files.append(log)
        return log


class _FileLog:
    """One partition. Where each message stands is in memory, the messages are in the files."""

    def __init__(
        self,
        directory: Path,
        topic: Topic,
        partition: int,
        settings: LocalBusSettings,
        unix_ns: Callable[[], int],
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._topic = topic
        self._partition = partition
        self._settings = settings
        self._unix_ns = unix_ns
        self._segments: deque[Segment] = deque()
        self._stored: list[tuple[Segment, Stored]] = []
        self._keys: dict[str, int] = {}
        """Of a compacted topic: key -> its newest offset."""
        self._unsynced: set[Segment] = set()
        self.end = 0
        self.torn_bytes = 0
        self._recover()

    @property
    def first(self) -> int:
        return self._stored[0][1].index if self._stored else self.end

    def append(self, key: str, value: bytes) -> int:
        """OSError when the disk does not take it; nothing has changed then."""
        name = key.encode()
        payload = b"".join((_KEY.pack(len(name)), name, value))
        now_ns = self._unix_ns()
        segment = self._segment()
        stored = segment.append(self.end, now_ns, payload)
        self._unsynced.add(segment)
        self._take(segment, stored, key)
        self._trim(now_ns)
        return stored.index

    def read(self, offset: int, limit: int) -> list[Record]:
        if limit <= 0 or offset >= self.end:
            return []
        begin = bisect_left(self._stored, offset, key=lambda held: held[1].index)
        found = (self._record(*held) for held in self._stored[begin : begin + limit])
        return [record for record in found if record is not None]

    def sync(self) -> None:
        while self._unsynced:
            segment = next(iter(self._unsynced))
            segment.sync()
            self._unsynced.discard(segment)

    def close(self) -> None:
        for segment in self._segments:
            segment.close()

    def _record(self, segment: Segment, stored: Stored) -> Record | None:
        payload = segment.read(stored)
        if payload is None:
            return None
        key, value = _split(payload)
        return Record(
            topic=self._topic.name,
            partition=self._partition,
            offset=stored.index,
            key=key,
            value=value,
        )

    def _segment(self) -> Segment:
        if not self._segments or self._segments[-1].end >= self._settings.segment_bytes:
            self._segments.append(Segment.create(self._directory, self.end))
        return self._segments[-1]

    def _take(self, segment: Segment, stored: Stored, key: str) -> None:
        self._stored.append((segment, stored))
        self.end = stored.index + 1
        if self._topic.compacted:
            if key in self._keys:
                older = bisect_left(self._stored, self._keys[key], key=lambda held: held[1].index)
                del self._stored[older]
            self._keys[key] = stored.index

    def _trim(self, now_ns: int) -> None:
        """Whole files from the old end, but never the one that is written to."""
        if self._topic.compacted:
            return
        size = sum(segment.end for segment in self._segments)
        kept_s = min(self._settings.max_age_s, self._topic.retention_s)
        while len(self._segments) > 1:
            oldest = self._segments[0]
            too_old = now_ns - oldest.newest_unix_ns > kept_s * NS_PER_S
            if not too_old and size <= self._settings.max_partition_bytes:
                return
            size -= oldest.end
            self._drop(self._segments.popleft())

    def _drop(self, segment: Segment) -> None:
        keep = bisect_left(self._stored, self._segments[0].first, key=lambda held: held[1].index)
        del self._stored[:keep]
        self._unsynced.discard(segment)
        segment.delete()

    def _recover(self) -> None:
        for segment in Segment.all_in(self._directory):
            self._segments.append(segment)
            self.end = max(self.end, segment.first)
            for stored in segment.scan():
                payload = segment.read(stored) if self._topic.compacted else None
                self._take(segment, stored, _split(payload)[0] if payload else "")
            self.torn_bytes += segment.cut_tail()
        if self._topic.compacted and self._superseded():
            self._compact()

    def _superseded(self) -> bool:
        live = sum(stored.size for _, stored in self._stored)
        return sum(segment.end for segment in self._segments) > 2 * live + 2**16

    def _compact(self) -> None:
        """The newest document of each key, in one new file that stands before the old ones go."""
        held, old = self._stored, list(self._segments)
        segment = Segment.create(self._directory, self.end)
        self._segments, self._stored, self._keys = deque([segment]), [], {}
        for source, stored in held:
            payload = source.read(stored)
            if payload is not None:
                again = segment.append(self.end, stored.at_unix_ns, payload)
                self._take(segment, again, _split(payload)[0])
        segment.sync()
        for source in old:
            source.delete()


def _split(payload: bytes) -> tuple[str, bytes]:
    (size,) = _KEY.unpack_from(payload)
    return payload[_KEY.size : _KEY.size + size].decode(), payload[_KEY.size + size :]


def _hold(directory: Path) -> int:
    """Two processes would number their messages alike; so only one may have the directory."""
    fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise ConfigurationError(f"bus in {directory}: another process uses it") from None
    return fd


def _read_groups(path: Path) -> Iterable[tuple[tuple[str, str, int], int]]:
    if not path.exists():
        return ()
    try:
        rows = msgspec.json.decode(path.read_bytes(), type=list[tuple[str, str, int, int]])
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"bus: {path} is damaged ({error}): remove it, and groups begin where readers start"
        ) from error
    return [((group, topic, partition), offset) for group, topic, partition, offset in rows]
