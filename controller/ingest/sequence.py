"""Which frames have been read: each (agent, epoch, seq) counts once, and holes are known."""

from collections.abc import Iterable
from dataclasses import replace
from enum import Enum
from typing import Final

from controller.store.marks import Mark

MAX_RANGES: Final = 32
"""Holes remembered for one life of an agent; older ones are given up as lost."""
MAX_EPOCHS: Final = 3
"""Lives of an agent remembered; its spool may still hold frames of the last ones."""


class Arrival(Enum):
    NEW = "new"  # the next, or after a hole
    LATE = "late"  # fills a hole
    DUPLICATE = "duplicate"  # read before


class Sequences:
    """The marks of many agents."""

    def __init__(self, marks: Iterable[Mark] = ()) -> None:
        self._marks: dict[str, dict[int, Mark]] = {}
        for mark in marks:
            self._marks.setdefault(mark.agent, {})[mark.epoch] = mark
        self._changed: set[tuple[str, int]] = set()

    def take(self, agent: str, epoch: int, seq: int) -> tuple[Arrival, int]:
        """How a frame stands to those read before, and how many before it are now missing."""
        epochs = self._marks.setdefault(agent, {})
        mark = epochs.get(epoch)
        if mark is None:
            if len(epochs) >= MAX_EPOCHS and epoch < min(epochs):
                return Arrival.DUPLICATE, 0  # so old that nobody remembers it
            # Of an agent that was never heard, nobody knows what came before.
            last = 0 if epochs and epoch > max(epochs) else seq - 1
            mark = Mark(agent=agent, epoch=epoch, last_seq=last)
        arrival, missed, after = _place(mark, seq)
        if after is not mark or epoch not in epochs:
            epochs[epoch] = after
            self._changed.add((agent, epoch))
            if len(epochs) > MAX_EPOCHS:
                del epochs[min(epochs)]
        return arrival, missed

    def changed(self) -> list[Mark]:
        """Marks that are new since the last call of `saved`."""
        return [
            self._marks[agent][epoch]
            for agent, epoch in sorted(self._changed)
            if epoch in self._marks[agent]
        ]

    def saved(self) -> None:
        self._changed.clear()

    def oldest_epochs(self, agents: Iterable[str]) -> dict[str, int]:
        """The oldest life that is still remembered, by agent."""
        return {agent: min(self._marks[agent]) for agent in agents if self._marks.get(agent)}


def _place(mark: Mark, seq: int) -> tuple[Arrival, int, Mark]:
    if seq > mark.last_seq:
        missed = seq - mark.last_seq - 1
        missing = mark.missing
        if missed:
            missing = (*missing, (mark.last_seq + 1, seq - 1))[-MAX_RANGES:]
        return Arrival.NEW, missed, replace(mark, last_seq=seq, missing=missing)
    for place, (first, last) in enumerate(mark.missing):
        if first <= seq <= last:
            rest = tuple(gap for gap in ((first, seq - 1), (seq + 1, last)) if gap[0] <= gap[1])
            missing = (*mark.missing[:place], *rest, *mark.missing[place + 1 :])[-MAX_RANGES:]
            return Arrival.LATE, 0, replace(mark, missing=missing)
    return Arrival.DUPLICATE, 0, mark
