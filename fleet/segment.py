"""Append-only files of records, whole or not there at all.

    u32 length of the payload | u32 CRC-32C of all that follows | u64 index | u64 unix_ns | payload

A crash can tear the last record; the scan ends before it, and `cut_tail` takes it off. A file is
named after the first index that it may hold.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import crc32c

MAX_PAYLOAD_BYTES: Final = 16 * 2**20
SUFFIX: Final = ".seg"
_HEAD: Final = struct.Struct("<II")
_NAME: Final = struct.Struct("<QQ")
_BEFORE: Final = _HEAD.size + _NAME.size


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a record's payload stands in its file."""

    index: int
    at_unix_ns: int
    offset: int
    size: int


class Segment:
    """One file. Used by one thread at a time."""

    __slots__ = ("_fd", "end", "first", "newest_unix_ns", "path")

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.first = int(path.stem)
        self.end = 0
        """Bytes of whole records; known after `scan` where the file was there before."""
        self.newest_unix_ns = 0
        self._fd = fd

    @classmethod
    def create(cls, directory: Path, first: int) -> Self:
        """Raises OSError, and leaves no file then."""
        path = directory / f"{first:020d}{SUFFIX}"
        segment = cls(path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644))
        try:
            # A file whose name is not on the platter is gone after a power cut, synced or not.
            sync_directory(directory)
        except OSError:
            segment.delete()
            raise
        return segment

    @classmethod
    def all_in(cls, directory: Path) -> "list[Segment]":
        """The files that are there, oldest first."""
        names = sorted(p for p in directory.glob(f"*{SUFFIX}") if p.stem.isdigit())
        return [cls(path, os.open(path, os.O_RDWR)) for path in names]

    def append(self, index: int, at_unix_ns: int, payload: bytes) -> Stored:
        """Raises OSError when not all was taken; the file then ends where it did."""
        name = _NAME.pack(index, at_unix_ns)
        crc = crc32c.crc32c(payload, crc32c.crc32c(name))
        record = b"".join((_HEAD.pack(len(payload), crc), name, payload))
        try:
            if os.pwrite(self._fd, record, self.end) != len(record):
                raise OSError("short write: the disk is full")
        except OSError:
            os.ftruncate(self._fd, self.end)
            raise
        stored = Stored(index, at_unix_ns, self.end + _BEFORE, len(payload))
        self.end += len(record)
        self.newest_unix_ns = at_unix_ns
        return stored

    def read(self, stored: Stored) -> bytes | None:
        """None when the disk does not give it back."""
        try:
            payload = os.pread(self._fd, stored.size, stored.offset)
        except OSError:
            return None
        return payload if len(payload) == stored.size else None

    def scan(self) -> Iterator[Stored]:
        """Each whole record from the beginning; ends before the first that is not."""
        self.end = 0
        size = os.fstat(self._fd).st_size
        while True:
            head = os.pread(self._fd, _BEFORE, self.end)
            if len(head) < _BEFORE:
                return
            length, crc = _HEAD.unpack_from(head)
            offset = self.end + _BEFORE
            if length > MAX_PAYLOAD_BYTES or offset + length > size:
                return
            payload = os.pread(self._fd, length, offset)
            if crc32c.crc32c(payload, crc32c.crc32c(head[_HEAD.size :])) != crc:
                return
            self.end = offset + length
            index, self.newest_unix_ns = _NAME.unpack_from(head, _HEAD.size)
            yield Stored(index, self.newest_unix_ns, offset, length)

    def cut_tail(self) -> int:
        """Take off what follows the last whole record of a scan; how many bytes that were."""
        torn = os.fstat(self._fd).st_size - self.end
        if torn:
            os.ftruncate(self._fd, self.end)
        return torn

    def rewritten(self) -> "Segment":
        """An empty file that stands beside this one until it takes over. Raises OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
        return Segment(self.path, os.open(self._beside, flags, 0o644))

    def take_over(self, old: "Segment") -> None:
        """Stand where `old` stood; a crash leaves the one or the other. Sync before."""
        self._beside.replace(old.path)
        sync_directory(old.path.parent)

    def discard(self) -> None:
        """The disk did not take all that should have stood here."""
        self.close()
        self._beside.unlink(missing_ok=True)

    @property
    def _beside(self) -> Path:
        return self.path.with_suffix(".new")

    def fileno(self) -> int:
        return self._fd

    def sync(self) -> None:
        os.fsync(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def delete(self) -> None:
        self.close()
        self.path.unlink(missing_ok=True)


def sync_directory(directory: Path) -> None:
    """Put on the platter which files there are."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_synced(path: Path, data: bytes) -> None:
    """Replace a file so that a crash leaves the old or the new content, never a mixture."""
    beside = path.with_suffix(".new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_directory(path.parent)
