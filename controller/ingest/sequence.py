"""Which frames have been read: each (agent, epoch, seq) counts once, and holes are known."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from controller.state.roster import Roster, Rows
from controller.store.marks import Mark
from fleet.frame import IntBlock

MAX_RANGES: Final = 1024
"""Holes remembered for one life of an agent; older ones are given up as lost."""
MAX_EPOCHS: Final = 1024
"""Lives of an agent remembered: its spool may still bring frames of each of them, and after a crash
all lives in the windows that were open are read again. One that starts each minute for half a day
has fewer.
"""

Range = tuple[int, int]
Life = tuple[int, int]
"""(agent row, epoch)"""
Unsealed = Mapping[Life, Sequence[Range]]
"""(agent row, epoch) -> sequence numbers that were read and are not written yet, ascending."""


class Arrival(Enum):
    NEW = "new"  # the next, or after a hole
    LATE = "late"  # fills a hole
    DUPLICATE = "duplicate"  # read before
    FORGOTTEN = "forgotten"  # of a life so old that nobody knows what was read of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """How the frames of a slab stand to those read before."""

    fresh: NDArray[np.bool_]
    """[frames] not read before."""
    late: int
    missed: int
    """Frames before these that are now missing."""
    forgotten: int = 0
    """Frames of lives that are not remembered; not fresh, for they may be stored already."""


class Sequences:
    """Sequence numbers of all agents of a roster, as arrays; what is out of order as exceptions."""

    def __init__(self, roster: Roster, marks: Iterable[Mark] = ()) -> None:
        self._roster = roster
        self._epoch: IntBlock = np.full(len(roster), -1, dtype=np.int64)
        self._last: IntBlock = np.zeros(len(roster), dtype=np.int64)
        self._older: dict[int, dict[int, int]] = {}
        """Row -> last number of each life before the newest."""
        self._missing: dict[tuple[int, int], list[Range]] = {}
        self._unsettled: set[tuple[int, int]] = set()
        """(row, epoch) whose holes have changed since they were written down."""
        self._unmarked: set[tuple[int, int]] = set()
        """(row, epoch) of older lives whose mark is not written as it is now."""
        self._learn(marks)

    def learn_again(self, rows: Rows, marks: Iterable[Mark]) -> None:
        """Forget these agents, then take `marks` for what was read."""
        self._epoch[rows], self._last[rows] = -1, 0
        gone = set(rows.tolist())
        self._older = {row: lives for row, lives in self._older.items() if row not in gone}
        self._missing = {at: holes for at, holes in self._missing.items() if at[0] not in gone}
        self._unsettled = {at for at in self._unsettled if at[0] not in gone}
        self._unmarked = {at for at in self._unmarked if at[0] not in gone}
        self._learn(marks)
        self._unmarked = {at for at in self._unmarked if at[0] not in gone}

    def _learn(self, marks: Iterable[Mark]) -> None:
        for mark in sorted(marks, key=lambda mark: mark.epoch):
            row = self._roster.row(mark.agent)
            if row is not None:
                self._begin(row, mark.epoch, mark.last_seq)
                if mark.missing:
                    self._missing[row, mark.epoch] = list(mark.missing)

    def take(self, rows: Rows, epochs: IntBlock, seqs: IntBlock, *, distinct: bool) -> Taken:
        """Frames of known agents, in order."""
        if distinct:
            in_order = (self._epoch[rows] == epochs) & (self._last[rows] + 1 == seqs)
            if bool(in_order.all()):
                self._last[rows] = seqs
                return Taken(fresh=in_order, late=0, missed=0)
        arrivals = [
            self.take_one(row, epoch, seq)
            for row, epoch, seq in zip(rows.tolist(), epochs.tolist(), seqs.tolist(), strict=True)
        ]
        return Taken(
            fresh=np.array([one is Arrival.NEW or one is Arrival.LATE for one, _ in arrivals]),
            late=sum(arrival is Arrival.LATE for arrival, _ in arrivals),
            missed=sum(missed for _, missed in arrivals),
            forgotten=sum(arrival is Arrival.FORGOTTEN for arrival, _ in arrivals),
        )

    def go_on(self, rows: Rows, epochs: IntBlock, seqs: IntBlock, slabs: int) -> bool:
        """Whether frames of known agents, each once, are just the next ones; if so, they and those
        of the `slabs` - 1 slabs that follow without a break count as read.
        """
        in_order = (self._epoch[rows] == epochs) & (self._last[rows] + 1 == seqs)
        if not in_order.all():
            return False
        self._last[rows] = seqs + (slabs - 1)
        return True

    def take_one(self, row: int, epoch: int, seq: int) -> tuple[Arrival, int]:
        """How a frame stands to those read before, and how many before it are now missing."""
        lives = self._lives(row)
        if epoch not in lives:
            if len(lives) >= MAX_EPOCHS and epoch < min(lives):
                return Arrival.FORGOTTEN, 0
            last = 0
            if not lives or epoch < max(lives):
                # Of a life that was never heard, nobody knows what came before. Nothing is called
                # missing, but a spool that sends new frames first may still bring it.
                last = seq - 1
            self._begin(row, epoch, last)
            if last:
                self._missing[row, epoch] = [(1, last)]
            lives = self._lives(row)
        last = lives[epoch]
        if seq <= last:
            return self._fill(row, epoch, seq), 0
        missed = seq - last - 1
        if missed:
            holes = self._missing.setdefault((row, epoch), [])
            holes.append((last + 1, seq - 1))
            del holes[:-MAX_RANGES]
            self._unsettled.add((row, epoch))
        self._keep(row, epoch, seq)
        return Arrival.NEW, missed

    def missing(self, row: int, epoch: int) -> tuple[Range, ...]:
        return tuple(self._missing.get((row, epoch), ()))

    def unsettled(self) -> list[tuple[int, int]]:
        """(agent row, epoch) whose holes are to be written down."""
        return sorted(self._unsettled)

    def settle(self, lives: Iterable[Life]) -> None:
        """Their holes are being written down as they are now."""
        self._unsettled.difference_update(lives)

    def again(self, marks: Iterable[Mark], lives: Iterable[Life]) -> None:
        """These marks, and the holes of these lives, were not written after all."""
        self._unsettled.update(at for at in lives if at[1] in self._lives(at[0]))
        for mark in marks:
            row = self._roster.row(mark.agent)
            if row is not None and mark.epoch in self._older.get(row, ()):
                self._unmarked.add((row, mark.epoch))

    def marks(self, rows: Iterable[int], unsealed: Unsealed) -> list[Mark]:
        """How far each agent was read, in every life whose mark may have changed since `written`;
        what is not written yet counts as missing.
        """
        marks = []
        for row in rows:
            for epoch, last in self._lives(row).items():
                if epoch != self._epoch[row] and (row, epoch) not in self._unmarked:
                    continue
                holes = [*self._missing.get((row, epoch), ()), *unsealed.get((row, epoch), ())]
                marks.append(
                    Mark(
                        agent=self._roster.agents[row],
                        epoch=epoch,
                        last_seq=last,
                        missing=tuple(sorted(holes)),
                    )
                )
        return marks

    def written(self, marks: Iterable[Mark], unsealed: Unsealed) -> None:
        """These marks are being written; those with `unsealed` numbers go there once more."""
        for mark in marks:
            row = self._roster.row(mark.agent)
            if row is not None and not unsealed.get((row, mark.epoch)):
                self._unmarked.discard((row, mark.epoch))

    def forgotten(self, rows: Iterable[int]) -> dict[str, int]:
        """Agent -> its oldest life that is remembered, where older ones were forgotten."""
        full = [row for row in rows if len(self._older.get(row, ())) >= MAX_EPOCHS - 1]
        return {self._roster.agents[row]: min(self._older[row]) for row in full}

    def _lives(self, row: int) -> dict[int, int]:
        lives = dict(self._older.get(row, {}))
        if self._epoch[row] >= 0:
            lives[int(self._epoch[row])] = int(self._last[row])
        return lives

    def _begin(self, row: int, epoch: int, last: int) -> None:
        newest = int(self._epoch[row])
        older = self._older.setdefault(row, {}) if newest >= 0 else {}
        if epoch > newest:
            if newest >= 0:
                older[newest] = int(self._last[row])
                self._unmarked.add((row, newest))
            self._epoch[row], self._last[row] = epoch, last
        else:
            older[epoch] = last
            self._unmarked.add((row, epoch))
        if len(older) >= MAX_EPOCHS:
            gone = min(older)
            del older[gone]
            self._missing.pop((row, gone), None)
            self._unmarked.discard((row, gone))
            self._unsettled.discard((row, gone))

    def _keep(self, row: int, epoch: int, seq: int) -> None:
        if epoch == self._epoch[row]:
            self._last[row] = seq
        else:
            self._older[row][epoch] = seq
            self._unmarked.add((row, epoch))

    def _fill(self, row: int, epoch: int, seq: int) -> Arrival:
        holes = self._missing.get((row, epoch), [])
        place = bisect_left(holes, seq, key=lambda hole: hole[1])
        if place == len(holes) or not holes[place][0] <= seq:
            return Arrival.DUPLICATE
        first, last = holes[place]
        holes[place : place + 1] = [
            hole for hole in ((first, seq - 1), (seq + 1, last)) if hole[0] <= hole[1]
        ]
        if not holes:
            del self._missing[row, epoch]
        self._unsettled.add((row, epoch))
        self._unmarked.add((row, epoch))
        return Arrival.LATE


def joined(ranges: Iterable[Range]) -> list[Range]:
    """The same numbers in as few ranges as can be, ascending."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(last, found[-1][1])
        else:
            found.append((first, last))
    return found
