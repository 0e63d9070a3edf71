"""What agents declare lost, from the bus into the ledger of gaps."""

from collections.abc import Callable

import structlog

from controller.store import Store, Transaction
from controller.store.gaps import Gap, GapState
from fleet.bus import Bus, Reader, Start
from fleet.errors import MalformedMessageError
from fleet.events import EventKind, Tombstone, decode_event, tombstone_of
from fleet.topics import EVENTS

_BATCH = 500
_log = structlog.get_logger(__name__)


class DeclaredLosses:
    """Reads events from where the store says, so that no declaration is passed while no controller
    leads. One thread uses it.
    """

    def __init__(self, bus: Bus, store: Store) -> None:
        self._bus = bus
        self._store = store
        self._reader: Reader | None = None

    def save(self, check: Callable[[Transaction], None] = lambda _: None) -> int:
        """Take what came; declarations and how far was read go into one transaction, which `check`
        may refuse. How many were new. StoreError and BusError: it is read again next time.
        """
        reader = self._reader or self._resume()
        declared: list[tuple[Tombstone, int]] = []
        taken = 0
        while batch := reader.poll(0.0, _BATCH):
            taken += len(batch)
            for record in batch:
                stone = _stone(record.value)
                if stone is not None:
                    declared.append(stone)
        if not taken:
            return 0
        try:
            with self._store.begin() as tx:
                check(tx)
                new = sum(tx.gaps.declare(_gap(stone, at)) for stone, at in declared)
                tx.marks.save_offsets(EVENTS.name, reader.positions())
        except BaseException:
            self.start_over()
            raise
        return new

    def start_over(self) -> None:
        """Another controller may have read on meanwhile."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _resume(self) -> Reader:
        with self._store.read() as tx:
            kept = tx.marks.offsets(EVENTS.name)
        edge = self._bus.reader(EVENTS, start=Start.END)
        ends = edge.positions()
        edge.close()
        # Past the end: the topic was made anew since, and is read from its beginning.
        offsets = {p: at for p, at in kept.items() if at <= ends.get(p, -1)}
        self._reader = self._bus.reader(EVENTS, start=Start.BEGINNING, offsets=offsets)
        return self._reader


def _stone(value: bytes) -> tuple[Tombstone, int] | None:
    try:
        event = decode_event(value)
        if event.kind is EventKind.FRAMES_DECLARED:
            return tombstone_of(event), event.at_unix_ns
    except MalformedMessageError as error:
        # Ingest reads the same topic and sets it aside.
        _log.warning("declaration_malformed", error=str(error))
    return None


def _gap(stone: Tombstone, at_unix_ns: int) -> Gap:
    return Gap(
        agent=stone.agent,
        epoch=stone.epoch,
        first_seq=stone.first_seq,
        last_seq=stone.last_seq,
        state=GapState.DECLARED,
        reason=stone.reason.value,
        noted_at_unix_ns=at_unix_ns,
    )
