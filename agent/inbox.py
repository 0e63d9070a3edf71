from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Final

import structlog

from fleet.bus import Bus, Reader, Record, Start
from fleet.commands import Command, decode_command
from fleet.errors import BusError, MalformedMessageError
from fleet.topics import COMMANDS

_log: Final = structlog.get_logger("isotherm.agent")


class CommandInbox:
    """Commands of some cooling loops, from now on; an older one would have expired.

    A reader that the bus lost is opened again where it was. One thread polls.
    """

    def __init__(self, bus: Bus, loops: Collection[str], counts: Counter[str]) -> None:
        self._bus = bus
        self._loops = frozenset(loops)
        self._partitions = sorted({bus.laid_out(COMMANDS).partition_of(loop) for loop in loops})
        self._counts = counts
        self._offsets: Mapping[int, int] = {}
        self._reader: Reader | None = None
        self._open()

    @property
    def open(self) -> bool:
        return self._reader is not None

    def poll(self, timeout_s: float) -> list[Command]:
        """What has arrived for the loops; malformed commands are counted and left out."""
        if self._reader is None and not self._open():
            return []
        return list(self._decode(self._records(timeout_s)))

    def close(self) -> None:
        if self._reader is not None:
            with suppress(BusError):
                self._reader.close()
            self._reader = None

    def _open(self) -> bool:
        try:
            self._reader = self._bus.reader(
                COMMANDS, start=Start.END, partitions=self._partitions, offsets=self._offsets
            )
        except BusError:
            self._counts["command_reader_failures"] += 1
        return self._reader is not None

    def _records(self, timeout_s: float) -> list[Record]:
        if self._reader is None:
            return []
        try:
            return self._reader.poll(timeout_s)
        except BusError as error:
            _log.warning("commands can not be read", error=str(error))
            self._counts["command_reader_failures"] += 1
            self._offsets = self._reader.positions()
            self.close()
            return []

    def _decode(self, records: list[Record]) -> Iterator[Command]:
        for record in records:
            if record.key not in self._loops:
                continue
            try:
                yield decode_command(record.value)
            except MalformedMessageError as error:
                self._counts["malformed_commands"] += 1
                _log.warning("command left out", offset=record.offset, error=str(error))
