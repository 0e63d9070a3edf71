"""Windows that take no more ticks, until each is in the store with what was read."""

from collections.abc import Callable, Container, Iterable, Mapping

import numpy as np

from controller.history.window import Sealed, Window
from controller.ingest.batch import Batch, Holes, Waiter, Written
from controller.ingest.sequence import Life, Range, Sequences, joined
from controller.state.roster import Roster
from controller.store import Store, Transaction
from controller.store.marks import Mark


class Ledger:
    """Batches, one at a time. `write` may be called by another thread than the rest."""

    def __init__(self, roster: Roster, sequences: Sequences) -> None:
        self._roster = roster
        self._sequences = sequences
        self._waiting: list[Waiter] = []
        """Closed and not written yet."""
        self._writing = False
        self._well = True
        self._grids: dict[str, int | None] = {}

    @property
    def keeps_up(self) -> bool:
        """Whether the store has taken the last batch."""
        return self._well and not self._writing

    @property
    def waiting_bytes(self) -> int:
        return sum(one.bytes for one in self._waiting)

    def drop(self, groups: Container[int]) -> None:
        """Forget what waits of these groups."""
        self._waiting = [one for one in self._waiting if one.group not in groups]

    def prepare(
        self,
        closed: Iterable[Window],
        still_open: Iterable[Window],
        offsets: Mapping[str, Mapping[int, int]],
    ) -> Batch:
        """All that waits, and `closed`; `offsets` by topic and partition are those to read next
        once that is written. `wrote` or `failed` comes before the next.
        """
        self._waiting += [self._closed(window) for window in closed]
        unsealed = self._unsealed(still_open)
        agents = sorted({row for one in self._waiting for row in one.agents})
        marks = self._sequences.marks(agents, unsealed)
        batch = Batch(
            waiting=tuple(self._waiting),
            marks=marks,
            holes=self._holes(marks),
            forgotten=self._sequences.forgotten(agents),
            offsets=offsets,
        )
        self._sequences.settle(batch.holes)
        self._sequences.written(marks, unsealed)
        self._writing = True
        return batch

    def write(
        self, store: Store, batch: Batch, check: Callable[[Transaction], None], *, at_unix_ns: int
    ) -> Written:
        """One transaction, which `check` may refuse by raising."""
        sealed = [self._seal(one) for one in batch.waiting]
        with store.begin() as tx:
            tx.blocks.append(block for one in sealed for block in one.blocks)
            tx.marks.save(batch.marks)
            for agent, epoch in batch.forgotten.items():
                tx.marks.forget(agent, before_epoch=epoch)
            settled = _save_gaps(tx, batch, at_unix_ns)
            for topic, offsets in batch.offsets.items():
                tx.marks.save_offsets(topic, offsets)
            check(tx)
        return Written(
            windows=len(sealed),
            samples=sum(one.samples for one in sealed),
            bytes=sum(one.bytes for one in sealed),
            settled=frozenset(settled),
        )

    def wrote(self, batch: Batch, written: Written) -> None:
        """The batch is in the store."""
        gone = set(map(id, batch.waiting))
        self._waiting = [one for one in self._waiting if id(one) not in gone]
        self._sequences.again((), batch.holes.keys() - written.settled)
        self._writing, self._well = False, True

    def failed(self, batch: Batch) -> None:
        """It is not, and goes again with the next."""
        self._sequences.again(batch.marks, batch.holes)
        self._writing, self._well = False, False

    def _closed(self, window: Window) -> Waiter:
        rows = np.flatnonzero(window.filled) + self._roster.first_row[window.group]
        return Waiter(group=window.group, agents=tuple(rows.tolist()), window=window)

    def _holes(self, marks: Iterable[Mark]) -> Mapping[Life, Holes]:
        """Of agents whose windows are written now."""
        by_life = {(mark.agent, mark.epoch): mark for mark in marks}
        found = {}
        for row, epoch in self._sequences.unsettled():
            agent = self._roster.agents[row]
            mark = by_life.get((agent, epoch))
            if mark is not None:
                missing = self._sequences.missing(row, epoch)
                found[row, epoch] = Holes(agent=agent, missing=missing, unwritten=mark.missing)
        return found

    def _seal(self, waiter: Waiter) -> Sealed:
        if waiter.sealed is None:
            window = waiter.window
            assert window is not None
            first_row = int(self._roster.first_row[waiter.group])
            group_id = self._roster.group_ids[waiter.group]
            waiter.sealed = window.seal(group_id, first_row, self._grids)
            waiter.window = None
        return waiter.sealed

    def _unsealed(self, still_open: Iterable[Window]) -> dict[Life, list[Range]]:
        found: dict[Life, list[Range]] = {}
        groups = {one.group for one in self._waiting}
        for window in still_open:
            if window.group in groups:
                first_row = int(self._roster.first_row[window.group])
                for (seat, epoch), ranges in window.unsealed().items():
                    found.setdefault((first_row + seat, epoch), []).extend(ranges)
        return {life: joined(ranges) for life, ranges in found.items()}


def _save_gaps(tx: Transaction, batch: Batch, at_unix_ns: int) -> list[Life]:
    """Write down the holes. A number that fills a hole and is not written yet counts as missing in
    its mark, and so it does here: it is looked at again with the next window.
    """
    return [
        (row, epoch)
        for (row, epoch), one in batch.holes.items()
        if tx.gaps.follow(one.agent, epoch, one.missing, one.unwritten, at_unix_ns=at_unix_ns)
    ]
