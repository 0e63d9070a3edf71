"""A file an hour of everything that was decided about cooling, to be replayed."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import structlog

from controller.cooling.decision import Decision, DecisionBook, decode_decision, encode_decision
from fleet.errors import ConfigurationError
from fleet.segment import SUFFIX, Segment

_log: Final = structlog.get_logger(__name__)
NS_PER_FILE: Final = 3600 * 10**9


class DecisionLog:
    """Appends to `directory`; the oldest files beyond `keep_files` go. A disk that takes nothing
    is counted, and stops no cooling. One thread uses it.
    """

    def __init__(self, directory: Path, *, keep_files: int) -> None:
        self.failures_total = 0
        self.book = DecisionBook()
        self._directory = directory
        self._keep_files = keep_files
        self._segment: Segment | None = None
        self._index = 0
        self._hour = -1

    def write(self, decisions: Iterable[Decision | None]) -> None:
        for decision in decisions:
            if decision is None:
                continue
            try:
                self._into(decision.at_unix_ns).append(
                    self._index, decision.at_unix_ns, encode_decision(decision)
                )
                self._index += 1
            except OSError as error:
                self.failures_total += 1
                self.book.begin()
                _log.warning("decision_not_kept", error=str(error))

    def due(self, at_unix_ns: int) -> None:
        """Before a cycle: a new hour begins a new file, in which each loop tells its beginning."""
        if at_unix_ns // NS_PER_FILE != self._hour:
            self.close()
            self._hour = at_unix_ns // NS_PER_FILE
            self.book.begin()

    def close(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _into(self, at_unix_ns: int) -> Segment:
        if self._segment is None:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._segment = Segment.create(self._directory, at_unix_ns)
            for old in sorted(self._directory.glob(f"*{SUFFIX}"))[: -self._keep_files]:
                old.unlink()
        return self._segment


def read_decisions(path: Path) -> Iterator[Decision]:
    """Those of a file, or of all files of a folder, in order. Raises ConfigurationError where there
    is nothing to read, and MalformedMessageError at a record that is no decision.
    """
    files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise ConfigurationError(f"{path}: no recorded decisions there")
    for file in files:
        yield from _of(file)


def _of(file: Path) -> Iterator[Decision]:
    known = {segment.path.name: segment for segment in Segment.all_in(file.parent)}
    try:
        segment = known.get(file.name)
        if segment is None:
            raise ConfigurationError(f"{file} is no recording of decisions")
        for stored in segment.scan():
            payload = segment.read(stored)
            if payload is not None:
                yield decode_decision(payload)
    finally:
        for one in known.values():
            one.close()
