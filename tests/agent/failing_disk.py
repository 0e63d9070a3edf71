"""A disk under a test: it counts what is done to it, and ends the process where it is told to."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Killed(BaseException):
    """The process is gone."""


class FailingDisk:
    """Kills before step `last`; a write may be torn. Knows what was synced, for `cut_power`.

    Only the thread that installs it has this disk: others of the process go on undisturbed.
    """

    def __init__(self, last: int, *, tear: int = 0) -> None:
        self.steps = 0
        self._last = last
        self._tear = tear
        self._synced: dict[int, bytes] = {}
        self._open: set[int] = set()
        self._thread = 0

    @contextmanager
    def installed(self) -> Iterator[None]:
        self._thread = threading.get_ident()
        with pytest.MonkeyPatch.context() as patched:
            self._patch(patched)
            yield
        # The system closes what a process that is gone had open.
        for fd in self._open:
            os.close(fd)
        self._open.clear()

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
        self._patch_content(patched)
        self._patch_names(patched)

    def _install(self, patched: pytest.MonkeyPatch, name: str, own: Callable[..., object]) -> None:
        real = getattr(os, name)

        def either(*args: object, **named: object) -> object:
            mine = threading.get_ident() == self._thread
            return own(*args) if mine and not named else real(*args, **named)

        patched.setattr(os, name, either)

    def _patch_content(self, patched: pytest.MonkeyPatch) -> None:
        pwrite, ftruncate = os.pwrite, os.ftruncate

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

        self._install(patched, "pwrite", torn_write)
        self._install(patched, "fsync", kept)
        self._install(patched, "ftruncate", cut)

    def _patch_names(self, patched: pytest.MonkeyPatch) -> None:
        opened_by, closed_by, unlink, replace = os.open, os.close, os.unlink, os.replace

        def opened(path: str, flags: int, mode: int = 0o777) -> int:
            fd = opened_by(path, flags, mode)
            self._open.add(fd)
            return fd

        def closed(fd: int) -> None:
            self._open.discard(fd)
            closed_by(fd)

        def gone(path: str) -> None:
            self._step()
            self._synced.pop(Path(path).stat().st_ino, None)  # the number will be used again
            unlink(path)

        def moved(source: str, target: str) -> None:
            self._step()
            self._synced.pop(Path(target).stat().st_ino, None)
            replace(source, target)

        self._install(patched, "open", opened)
        self._install(patched, "close", closed)
        self._install(patched, "unlink", gone)
        self._install(patched, "replace", moved)
