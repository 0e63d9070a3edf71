"""Messages on disk from the moment they exist until the bus has them.

A segment file is a row of records:

    u32 length of the payload | u32 CRC-32C of all that follows | u64 index | u64 unix_ns | payload

A torn tail, left by a crash, is cut off and counted. Segments are deleted once all of their
records are confirmed, after the mark of what was confirmed is on disk.
"""

import os
import struct
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import crc32c
import msgspec

from fleet.clock import NS_PER_S, Clock
from fleet.errors import ConfigurationError

_HEAD: Final = struct.Struct("<II")
_NAME: Final = struct.Struct("<QQ")
_INDEX: Final = struct.Struct("<Q")
_MARK: Final = struct.Struct("<QI")
_MAX_PAYLOAD_BYTES: Final = 16 * 2**20
_SUFFIX: Final = ".seg"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolSettings:
    """How much is kept while the bus is away. When it is more, the oldest segment goes."""

    max_bytes: int = 256 * 2**20
    max_age_s: float = 24 * 3600.0
    segment_bytes: int = 4 * 2**20
    max_unwritten: int = 600
    """Messages kept in memory alone while the disk takes none."""

    def validate(self) -> None:
        if not 0 < self.segment_bytes <= self.max_bytes // 2:
            raise ConfigurationError("spool: max_bytes must hold at least two segments")
        if self.max_age_s <= 0:
            raise ConfigurationError(f"spool: max_age_s {self.max_age_s} is not above 0")


@dataclass(frozen=True, slots=True)
class Record:
    """One message; `index` counts up over restarts."""

    index: int
    payload: bytes


@dataclass(slots=True)
class _Entry:
    index: int
    at_unix_ns: int
    segment: "_Segment | None"
    offset: int
    size: int
    payload: bytes | None = None  # only where the disk did not take it


@dataclass(slots=True)
class _Segment:
    path: Path
    fd: int
    end: int = 0
    records: int = 0  # not confirmed yet
    newest_unix_ns: int = 0


class Spool:
    """A durable queue of opaque payloads. Safe between threads.

    `describe` puts into words, for the tombstone, what dropped payloads were.
    """

    def __init__(
        self,
        directory: Path,
        settings: SpoolSettings,
        clock: Clock,
        *,
        describe: Callable[[Sequence[bytes]], object] = len,
    ) -> None:
        settings.validate()
        self._directory = directory
        self._settings = settings
        self._clock = clock
        self._describe = describe
        self._lock = threading.Lock()
        self._segments: deque[_Segment] = deque()
        self._entries: deque[_Entry] = deque()
        self._next = 1
        self._confirmed = 0
        self._unwritten = 0
        self.counts: Counter[str] = Counter()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._mark_fd = os.open(directory / "confirmed", os.O_RDWR | os.O_CREAT, 0o644)
            self._recover()
        except OSError as error:
            raise ConfigurationError(f"spool in {directory}: {error.strerror}") from error

    def __len__(self) -> int:
        """Messages that are not confirmed yet."""
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        return sum(segment.end for segment in self._segments)

    def append(self, payload: bytes) -> int:
        """The record's index. Never raises: what the disk refuses is kept in memory, in bounds."""
        with self._lock:
            entry = _Entry(self._next, self._clock.unix_ns(), None, 0, len(payload))
            self._next += 1
            try:
                self._write(entry, payload)
            except OSError:
                self._keep_in_memory(entry, payload)
            self._entries.append(entry)
            self._bound(entry.at_unix_ns)
            return entry.index

    def read(self, after: int, limit: int) -> list[Record]:
        """Unconfirmed records with an index above `after`, oldest first."""
        found: list[Record] = []
        with self._lock:
            for entry in self._entries:
                if len(found) == limit:
                    break
                if entry.index <= after:
                    continue
                payload = self._payload(entry)
                if payload is None:
                    self.counts["spool_unreadable"] += 1
                else:
                    found.append(Record(entry.index, payload))
        return found

    def confirm(self, index: int) -> None:
        """Everything up to `index` is where it should be and may be forgotten."""
        with self._lock:
            while self._entries and self._entries[0].index <= index:
                self._forget(self._entries.popleft())
            self._confirmed = max(self._confirmed, index)
            crc = crc32c.crc32c(_INDEX.pack(self._confirmed))
            try:
                os.pwrite(self._mark_fd, _MARK.pack(self._confirmed, crc), 0)
                self._delete_confirmed()
            except OSError:
                # The records are sent again after a restart; the receiver knows them.
                self.counts["spool_mark_failures"] += 1

    def sync(self) -> None:
        """Put on the platter what was appended; between two calls is what a power cut can take."""
        with self._lock:
            fd = os.dup(self._segments[-1].fd) if self._segments else None
        if fd is not None:
            try:
                os.fsync(fd)
            except OSError:
                self.counts["spool_sync_failures"] += 1
            finally:
                os.close(fd)

    def close(self) -> None:
        self.sync()
        with self._lock:
            for segment in self._segments:
                os.close(segment.fd)
            self._segments.clear()
            os.close(self._mark_fd)

    def _write(self, entry: _Entry, payload: bytes) -> None:
        segment = self._segment_for(entry.index)
        name = _NAME.pack(entry.index, entry.at_unix_ns)
        crc = crc32c.crc32c(payload, crc32c.crc32c(name))
        record = b"".join((_HEAD.pack(len(payload), crc), name, payload))
        try:
            written = os.pwrite(segment.fd, record, segment.end)
            if written != len(record):
                raise OSError("short write")
        except OSError:
            os.ftruncate(segment.fd, segment.end)
            raise
        entry.segment = segment
        entry.offset = segment.end + _HEAD.size + _NAME.size
        segment.end += len(record)
        segment.records += 1
        segment.newest_unix_ns = entry.at_unix_ns

    def _keep_in_memory(self, entry: _Entry, payload: bytes) -> None:
        self.counts["spool_write_failures"] += 1
        entry.payload = payload
        self._unwritten += 1
        if self._unwritten > self._settings.max_unwritten:
            oldest = next(e for e in self._entries if e.payload is not None)
            self._entries.remove(oldest)
            self._unwritten -= 1
            self.counts["spool_dropped"] += 1

    def _segment_for(self, index: int) -> _Segment:
        if not self._segments or self._segments[-1].end >= self._settings.segment_bytes:
            path = self._directory / f"{index:020d}{_SUFFIX}"
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
            self._segments.append(_Segment(path, fd))
        return self._segments[-1]

    def _payload(self, entry: _Entry) -> bytes | None:
        if entry.payload is not None or entry.segment is None:
            return entry.payload
        try:
            payload = os.pread(entry.segment.fd, entry.size, entry.offset)
        except OSError:
            return None
        return payload if len(payload) == entry.size else None

    def _forget(self, entry: _Entry) -> None:
        if entry.segment is not None:
            entry.segment.records -= 1
        else:
            self._unwritten -= 1

    def _delete_confirmed(self) -> None:
        done = [s for s in self._segments if s.records == 0]
        # The last one is still written to, until it is full.
        done = [
            s for s in done if s is not self._segments[-1] or s.end >= self._settings.segment_bytes
        ]
        if done:
            os.fsync(self._mark_fd)
        for segment in done:
            self._segments.remove(segment)
            self._delete(segment)

    def _delete(self, segment: _Segment) -> None:
        os.close(segment.fd)
        segment.path.unlink(missing_ok=True)

    def _bound(self, now_unix_ns: int) -> None:
        while len(self._segments) > 1 and self._too_much(self._segments[0], now_unix_ns):
            self._drop(self._segments.popleft(), now_unix_ns)

    def _too_much(self, oldest: _Segment, now_unix_ns: int) -> bool:
        age_s = (now_unix_ns - oldest.newest_unix_ns) / NS_PER_S
        return self.size_bytes > self._settings.max_bytes or age_s > self._settings.max_age_s

    def _drop(self, segment: _Segment, now_unix_ns: int) -> None:
        gone = [entry for entry in self._entries if entry.segment is segment]
        payloads = [p for entry in gone if (p := self._payload(entry)) is not None]
        tombstone = {
            "at_unix_ns": now_unix_ns,
            "records": len(gone),
            "bytes": segment.end,
            "what": self._describe(payloads),
        }
        self._entries = deque(entry for entry in self._entries if entry.segment is not segment)
        self.counts["spool_dropped"] += len(gone)
        try:
            with (self._directory / "tombstones.ndjson").open("ab") as file:
                file.write(msgspec.json.encode(tombstone) + b"\n")
            self._delete(segment)
        except OSError:
            self.counts["spool_write_failures"] += 1

    def _recover(self) -> None:
        self._confirmed = self._read_mark()
        self._next = self._confirmed + 1
        for path in sorted(self._directory.glob(f"*{_SUFFIX}")):
            self._recover_segment(path)

    def _read_mark(self) -> int:
        mark = os.pread(self._mark_fd, _MARK.size, 0)
        if len(mark) != _MARK.size:
            return 0
        confirmed, crc = _MARK.unpack(mark)
        return int(confirmed) if crc32c.crc32c(_INDEX.pack(confirmed)) == crc else 0

    def _recover_segment(self, path: Path) -> None:
        segment = _Segment(path, os.open(path, os.O_RDWR))
        for entry in _scan(segment):
            self._next = max(self._next, entry.index + 1)
            segment.newest_unix_ns = entry.at_unix_ns
            if entry.index > self._confirmed:
                self._entries.append(entry)
                segment.records += 1
        torn = os.fstat(segment.fd).st_size - segment.end
        if torn:
            self.counts["spool_torn_bytes"] += torn
            os.ftruncate(segment.fd, segment.end)
        if segment.records:
            self._segments.append(segment)
        else:
            self._delete(segment)


def _scan(segment: _Segment) -> Iterator[_Entry]:
    """Each whole record; `segment.end` is left after the last."""
    size = os.fstat(segment.fd).st_size
    while True:
        head = os.pread(segment.fd, _HEAD.size + _NAME.size, segment.end)
        if len(head) < _HEAD.size + _NAME.size:
            return
        length, crc = _HEAD.unpack_from(head)
        offset = segment.end + len(head)
        if length > _MAX_PAYLOAD_BYTES or offset + length > size:
            return
        payload = os.pread(segment.fd, length, offset)
        if crc32c.crc32c(payload, crc32c.crc32c(head[_HEAD.size :])) != crc:
            return
        segment.end = offset + length
        index, at_unix_ns = _NAME.unpack_from(head, _HEAD.size)
        yield _Entry(index, at_unix_ns, segment, offset, length)
