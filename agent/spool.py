"""Messages on disk from the moment they exist until the bus has them.

Records lie in segment files (`fleet.segment`). A torn tail, left by a crash, is cut off, counted
and declared. A segment goes once all of its records are confirmed and the mark of what was
confirmed is on the platter; the mark alone decides what is sent again after a restart.

When there is more than the bounds allow, the oldest is thinned, and only the thinnest is dropped.
The declaration of what is lost is durable before the loss.
"""

import os
import struct
import threading
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final, Protocol

import crc32c

from fleet.clock import NS_PER_S, Clock
from fleet.errors import ConfigurationError
from fleet.segment import Segment, Stored

_INDEX: Final = struct.Struct("<Q")
_MARK: Final = struct.Struct("<QI")
_SHARES: Final = (0.5, 0.25)
"""Of the bytes, for what is as it was measured, and for each thinned form but the last."""
_THIN_AGAIN_S: Final = 10.0
"""After the disk did not take the smaller file; to try is a lot of work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolSettings:
    """How much is kept while the bus is away; sizes and ages are choices, not measurements."""

    max_bytes: int = 256 * 2**20
    max_age_s: float = 24 * 3600.0
    segment_bytes: int = 4 * 2**20
    max_unwritten: int = 600
    """Messages kept in memory alone while the disk takes none."""
    thin_spans_s: tuple[float, ...] = (10.0, 60.0)
    """Ticks become statistics over the first span, then over the next; nothing: dropped at once."""

    def validate(self) -> None:
        if not 0 < self.segment_bytes <= self.max_bytes // 2:
            raise ConfigurationError("spool: max_bytes must hold at least two segments")
        if self.max_age_s <= 0:
            raise ConfigurationError(f"spool: max_age_s {self.max_age_s} is not above 0")
        if self.max_unwritten < 1:
            raise ConfigurationError(f"spool: max_unwritten {self.max_unwritten} is below 1")
        if list(self.thin_spans_s) != sorted({s for s in self.thin_spans_s if s > 0}):
            raise ConfigurationError(f"spool: thin_spans_s {self.thin_spans_s} does not rise")


@dataclass(frozen=True, slots=True)
class Record:
    """One message; `index` counts up over restarts."""

    index: int
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinned:
    """Records that stand for more of them, and the words that say so."""

    records: Sequence[Record]
    """Rising; each index is one of those that went in."""
    declare: Callable[[], None]
    """Durable when it returns."""


class Contents(Protocol):
    """What a spool must ask about the messages that it holds."""

    def span_s(self, payload: bytes, /) -> float:
        """Seconds that a value of the message stands for."""

    def thin(self, records: Sequence[Record], span_s: float) -> Thinned | None:
        """The same in fewer bytes; None when nothing is won."""

    def dropped(self, payloads: Sequence[bytes], *, durable: bool) -> None:
        """They are given up; when `durable` the word of it is on the platter on return."""

    def torn(self, last: bytes | None) -> None:
        """A crash has torn what came after `last`."""


class Opaque:
    """Messages that are never thinned and that nobody misses by number."""

    def span_s(self, _payload: bytes, /) -> float:
        return 0.0

    def thin(self, records: Sequence[Record], span_s: float) -> None:
        """They stay as they are."""

    def dropped(self, payloads: Sequence[bytes], *, durable: bool) -> None:
        """Counted by the spool."""

    def torn(self, last: bytes | None) -> None:
        """Counted by the spool."""


class _State(Enum):
    WAITING = "waiting"  # to be sent
    LENT = "lent"  # under way
    DONE = "done"  # confirmed, ahead of an older one that is not


@dataclass(slots=True, eq=False)
class _File:
    segment: Segment
    open_records: int = 0
    level: int = 0
    """How often it was thinned; beyond the spans: it can not be thinned any more."""


@dataclass(slots=True, eq=False)
class _Entry:
    index: int
    place: tuple[_File, Stored] | None
    payload: bytes | None = None  # only where the disk did not take it
    state: _State = _State.WAITING


@dataclass(slots=True, eq=False)
class _Relief:
    """A segment that is to become smaller, or to go."""

    file: _File
    drop: bool
    records: list[Record] = field(default_factory=list)


class Spool:
    """A durable queue. Safe between threads; `make_room` and the lending side by one thread."""

    def __init__(
        self,
        directory: Path,
        settings: SpoolSettings,
        clock: Clock,
        *,
        contents: Contents | None = None,
    ) -> None:
        settings.validate()
        self._directory = directory
        self._settings = settings
        self._clock = clock
        self._contents: Contents = contents or Opaque()
        self._lock = threading.Lock()
        self._files: list[_File] = []
        self._unsynced: list[Segment] = []
        self._entries: list[_Entry] = []
        self._next = 1
        self._confirmed = 0
        self._open = 0
        self._unwritten = 0
        self._thin_again_s = 0.0
        self.refused = False
        """Whether the disk did not take the newest message."""
        self.counts: Counter[str] = Counter()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._mark_fd = os.open(directory / "confirmed", os.O_RDWR | os.O_CREAT, 0o644)
            self._recover()
        except OSError as error:
            raise ConfigurationError(f"spool in {directory}: {error.strerror}") from error

    def __len__(self) -> int:
        """Messages that are not confirmed yet."""
        return self._open

    @property
    def newest(self) -> int:
        """Index of the last message."""
        return self._next - 1

    @property
    def size_bytes(self) -> int:
        return sum(file.segment.end for file in self._files)

    def append(self, payload: bytes) -> int:
        """The record's index. Never raises: what the disk refuses is kept in memory, in bounds."""
        with self._lock:
            entry = _Entry(self._next, None)
            self._next += 1
            try:
                file = self._file_for(entry.index)
                stored = file.segment.append(entry.index, self._clock.unix_ns(), payload)
            except OSError:
                self._keep_in_memory(entry, payload)
            else:
                self.refused = False
                entry.place = (file, stored)
                file.open_records += 1
                if file.segment not in self._unsynced:
                    self._unsynced.append(file.segment)
            self._entries.append(entry)
            self._open += 1
            return entry.index

    def lend(self, limit: int, *, after: int = 0, until: int | None = None) -> list[Record]:
        """Waiting records with an index above `after`, oldest first: each is lent once, until it
        is confirmed or given back.
        """
        found: list[Record] = []
        with self._lock:
            for place in range(self._place_after(after), len(self._entries)):
                entry = self._entries[place]
                if len(found) >= limit or (until is not None and entry.index > until):
                    break
                if entry.state is not _State.WAITING:
                    continue
                payload = self._payload(entry)
                if payload is None:
                    self.counts["spool_unreadable"] += 1
                    self._done(entry)
                    continue
                entry.state = _State.LENT
                found.append(Record(entry.index, payload))
        return found

    def confirm(self, indexes: Iterable[int]) -> None:
        """They are where they should be and may be forgotten."""
        with self._lock:
            for entry in self._found(indexes):
                self._done(entry)
            self._forget_done()
            try:
                os.pwrite(self._mark_fd, _mark(self._confirmed), 0)
                self._delete_confirmed()
            except OSError:
                # The records are sent again after a restart; the receiver knows them.
                self.counts["spool_mark_failures"] += 1

    def give_back(self, indexes: Iterable[int]) -> None:
        """They did not arrive, and wait again."""
        with self._lock:
            for entry in self._found(indexes):
                if entry.state is _State.LENT:
                    entry.state = _State.WAITING

    def make_room(self) -> None:
        """Thin or drop what is oldest, until all fits. Takes long when it has to, and lets
        `append` go on meanwhile.
        """
        while (relief := self._choose()) is not None:
            if relief.drop or not relief.records:
                self._contents.dropped([r.payload for r in relief.records], durable=True)
                with self._lock:
                    self._drop(relief.file)
            elif not self._thin(relief):
                return

    def sync(self) -> None:
        """Put on the platter what was appended; between two calls is what a power cut can take."""
        with self._lock:
            # Copies: a segment may be confirmed and closed meanwhile.
            due = [(segment, os.dup(segment.fileno())) for segment in self._unsynced]
            self._unsynced.clear()
        for segment, fd in due:
            try:
                os.fsync(fd)
            except OSError:
                self.counts["spool_sync_failures"] += 1
                with self._lock:
                    self._unsynced.append(segment)
            finally:
                os.close(fd)

    def close(self) -> None:
        self.sync()
        with self._lock:
            for file in self._files:
                file.segment.close()
            self._files.clear()
            self._unsynced.clear()
            os.close(self._mark_fd)

    # --- entries ---------------------------------------------------------------------------------

    def _place_after(self, index: int) -> int:
        return bisect_right(self._entries, index, key=lambda entry: entry.index)

    def _found(self, indexes: Iterable[int]) -> Iterator[_Entry]:
        for index in indexes:
            place = bisect_left(self._entries, index, key=lambda entry: entry.index)
            if place < len(self._entries) and self._entries[place].index == index:
                yield self._entries[place]

    def _payload(self, entry: _Entry) -> bytes | None:
        if entry.place is None:
            return entry.payload
        file, stored = entry.place
        return file.segment.read(stored)

    def _done(self, entry: _Entry) -> None:
        if entry.state is _State.DONE:
            return
        entry.state = _State.DONE
        self._open -= 1
        if entry.place is None:
            entry.payload = None
            self._unwritten -= 1
        else:
            entry.place[0].open_records -= 1

    def _forget_done(self) -> None:
        done = 0
        while done < len(self._entries) and self._entries[done].state is _State.DONE:
            done += 1
        del self._entries[:done]
        self._confirmed = self._entries[0].index - 1 if self._entries else self._next - 1

    def _keep_in_memory(self, entry: _Entry, payload: bytes) -> None:
        self.counts["spool_write_failures"] += 1
        self.refused = True
        entry.payload = payload
        self._unwritten += 1
        if self._unwritten <= self._settings.max_unwritten:
            return
        oldest = next(
            (e for e in self._entries if e.payload is not None and e.state is _State.WAITING), None
        )
        if oldest is not None and oldest.payload is not None:
            self.counts["spool_dropped"] += 1
            self._contents.dropped([oldest.payload], durable=False)
            self._done(oldest)

    # --- segments --------------------------------------------------------------------------------

    def _file_for(self, index: int) -> _File:
        if not self._files or self._files[-1].level or self._full(self._files[-1]):
            self._files.append(_File(Segment.create(self._directory, index)))
        return self._files[-1]

    def _full(self, file: _File) -> bool:
        return file.segment.end >= self._settings.segment_bytes

    def _delete_confirmed(self) -> None:
        done = [file for file in self._files if file.open_records == 0]
        # The last one is still written to, until it is full.
        if done and done[-1] is self._files[-1] and not self._full(done[-1]):
            done.pop()
        if done:
            os.fsync(self._mark_fd)
        for file in done:
            self._delete(file)

    def _delete(self, file: _File) -> None:
        self._files.remove(file)
        if file.segment in self._unsynced:
            self._unsynced.remove(file.segment)
        file.segment.delete()

    # --- bounds ----------------------------------------------------------------------------------

    def _choose(self) -> _Relief | None:
        with self._lock:
            wanted = list(self._wanted())
            if not wanted:
                return None
            entries = self._entries
            lent = {id(e.place[0]) for e in entries if e.state is _State.LENT and e.place}
            for file, drop in wanted:
                if id(file) not in lent:
                    return _Relief(file, drop, self._records_of(file))
        return None

    def _wanted(self) -> Iterator[tuple[_File, bool]]:
        """Segments that should shrink (False) or go (True), the most urgent first. Never the one
        that is written to.
        """
        old = self._files[:-1]
        limit_ns = self._clock.unix_ns() - round(self._settings.max_age_s * NS_PER_S)
        yield from ((file, True) for file in old if file.segment.newest_unix_ns < limit_ns)
        if self.size_bytes <= self._settings.max_bytes:
            return
        if self._clock.monotonic_s() < self._thin_again_s:
            return
        spans = len(self._settings.thin_spans_s)
        for level in range(spans):
            held = [file for file in old if file.level == level]
            share = _SHARES[min(level, 1)] * self._settings.max_bytes
            if sum(file.segment.end for file in held) > share:
                yield from ((file, False) for file in held)
        yield from ((file, True) for file in old if file.level >= spans)
        yield from ((file, False) for file in old if file.level < spans)

    def _records_of(self, file: _File) -> list[Record]:
        return [
            Record(entry.index, payload)
            for entry in self._entries
            if entry.place is not None
            and entry.place[0] is file
            and entry.state is _State.WAITING
            and (payload := self._payload(entry)) is not None
        ]

    def _thin(self, relief: _Relief) -> bool:
        """False when the disk does not take the smaller file."""
        file = relief.file
        self._thin_again_s = self._clock.monotonic_s() + _THIN_AGAIN_S
        thinned = self._contents.thin(relief.records, self._settings.thin_spans_s[file.level])
        if thinned is None:
            file.level += 1
            self._thin_again_s = 0.0
            return True
        try:
            smaller = file.segment.rewritten()
        except OSError:
            self.counts["spool_write_failures"] += 1
            return False
        try:
            at_unix_ns = file.segment.newest_unix_ns
            stored = [smaller.append(r.index, at_unix_ns, r.payload) for r in thinned.records]
            smaller.sync()
            thinned.declare()
            with self._lock:
                smaller.take_over(file.segment)
                self._swap(file, smaller, stored)
        except OSError:
            self.counts["spool_write_failures"] += 1
            smaller.discard()
            return False
        self.counts["spool_thinned"] += len(relief.records)
        self._thin_again_s = 0.0
        return True

    def _swap(self, file: _File, smaller: Segment, stored: Sequence[Stored]) -> None:
        gone = [e for e in self._entries if e.place and e.place[0] is file]
        kept = {one.index: one for one in stored}
        for entry in gone:
            if entry.index in kept:
                entry.place = (file, kept[entry.index])
        lost = {id(entry) for entry in gone if entry.index not in kept}
        self._open -= sum(entry.state is not _State.DONE for entry in gone) - len(kept)
        self._entries = [entry for entry in self._entries if id(entry) not in lost]
        if file.segment in self._unsynced:
            self._unsynced.remove(file.segment)
        file.segment.close()
        file.segment, file.level, file.open_records = smaller, file.level + 1, len(kept)

    def _drop(self, file: _File) -> None:
        gone = [e for e in self._entries if e.place and e.place[0] is file]
        for entry in gone:
            self.counts["spool_dropped"] += entry.state is not _State.DONE
            self._done(entry)
        lost = {id(entry) for entry in gone}
        self._entries = [entry for entry in self._entries if id(entry) not in lost]
        self._delete(file)

    # --- the start -------------------------------------------------------------------------------

    def _recover(self) -> None:
        self._confirmed = self._read_mark()
        self._next = self._confirmed + 1
        for left in self._directory.glob("*.new"):
            left.unlink()
        for segment in Segment.all_in(self._directory):
            self._recover_segment(segment)

    def _read_mark(self) -> int:
        mark = os.pread(self._mark_fd, _MARK.size, 0)
        if len(mark) != _MARK.size:
            return 0
        confirmed = int(_MARK.unpack(mark)[0])
        return confirmed if mark == _mark(confirmed) else 0

    def _recover_segment(self, segment: Segment) -> None:
        file, last = _File(segment), None
        for stored in segment.scan():
            last = stored
            self._next = max(self._next, stored.index + 1)
            if stored.index > self._confirmed:
                self._entries.append(_Entry(stored.index, (file, stored)))
                file.open_records += 1
        payload = segment.read(last) if last else None
        torn = segment.cut_tail()
        if torn:
            self.counts["spool_torn_bytes"] += torn
            self._contents.torn(payload)
        if not file.open_records:
            segment.delete()
            return
        self._open += file.open_records
        span_s = self._contents.span_s(payload) if payload else 0.0
        file.level = sum(span_s >= thin for thin in self._settings.thin_spans_s)
        self._files.append(file)


def _mark(confirmed: int) -> bytes:
    return _MARK.pack(confirmed, crc32c.crc32c(_INDEX.pack(confirmed)))
