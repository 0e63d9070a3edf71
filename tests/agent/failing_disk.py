"""A disk under a test: it counts what is done to it, and ends the process where it is told to."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Killed(BaseException):
    """The process is gone."""


class FailingDisk:
    """Kills before step `last`; a write may be torn. Knows what was synced, for `cut_power`."""

    def __init__(self, last: int, *, tear: int = 0) -> None:
        self.steps = 0
        self._last = last
        self._tear = tear
        self._synced: dict[int, bytes] = {}

    @contextmanager
    def installed(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patched:
            self._patch(patched)
            yield

    def cut_power(self, directory: Path) -> None:
        """Leave of each file what was synced of it. Names are as they were: the worst order, in
        which what was deleted is gone at once and what was written is not there yet.
        """
        for path in directory.iterdir():
            path.write_bytes(self._synced.get(path.stat().st_ino, b""))

    def _step(self) -> None:
        if self.steps == self._last:
            raise Killed
        self.steps += 1

    def _patch(self, patched: pytest.MonkeyPatch) -> None:
        pwrite, ftruncate, unlink, replace = os.pwrite, os.ftruncate, os.unlink, os.replace

        def torn_write(fd: int, data: bytes, offset: int) -> int:
            if self.steps == self._last and self._tear:
                pwrite(fd, data[: self._tear], offset)
            self._step()
            return pwrite(fd, data, offset)

        def kept(fd: int) -> None:
            self._step()
            path = Path(f"/proc/self/fd/{fd}")
            if path.is_file():
                self._synced[os.fstat(fd).st_ino] = path.read_bytes()

        def cut(fd: int, size: int) -> None:
            self._step()
            ftruncate(fd, size)

        def gone(path: str) -> None:
            self._step()
            self._synced.pop(Path(path).stat().st_ino, None)  # the number will be used again
            unlink(path)

        def moved(source: str, target: str) -> None:
            self._step()
            self._synced.pop(Path(target).stat().st_ino, None)
            replace(source, target)

        patched.setattr(os, "pwrite", torn_write)
        patched.setattr(os, "fsync", kept)
        patched.setattr(os, "ftruncate", cut)
        patched.setattr(os, "unlink", gone)
        patched.setattr(os, "replace", moved)
