"""How much of what agents measured is in history: their sequence numbers, without a gap."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.history.block import decode_count
from controller.history.window import Block
from fleet.frame import MISSING_COUNT, IntBlock

UNKNOWN = 0
"""As an end of a declared range: from the beginning, or to the end of that life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """Frames of one life that the agent says will not come; both ends may be `UNKNOWN`."""

    epoch: int
    first_seq: int
    last_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """Frames of one agent in a span of time. `expected` are those received and the holes between
    them; a hole is declared or missing.
    """

    received: int
    declared: int
    missing: int
    first_unix_ns: int | None
    last_unix_ns: int | None
    """Of the ticks received: an agent that was silent has its end before the span's."""

    @property
    def expected(self) -> int:
        return self.received + self.declared + self.missing

    @property
    def complete(self) -> bool:
        return self.received > 0 and self.missing == 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ticks:
    """Of one agent: when each tick was measured, and in which frame."""

    at_unix_ns: IntBlock
    epochs: IntBlock
    seqs: IntBlock


def ticks_by_seat(blocks: Iterable[Block], seats: int) -> list[Ticks]:
    """From the times that a group's windows keep; windows of another size are left out."""
    names = [decode_count(block.body) for block in blocks]
    sound = [part for part in names if len(part) == 3 * seats]
    if not sound:
        nothing = np.zeros(0, np.int64)
        return [Ticks(at_unix_ns=nothing, epochs=nothing, seqs=nothing) for _ in range(seats)]
    whole = np.concatenate(sound, axis=1)
    found = []
    for seat in range(seats):
        rows = whole[[seat, seats + seat, 2 * seats + seat]]
        held = rows[:, rows[0] != MISSING_COUNT].view(np.int64)
        found.append(Ticks(at_unix_ns=held[0], epochs=held[1], seqs=held[2]))
    return found


def account(
    ticks: Ticks, declared: Sequence[Declared], *, from_unix_ns: int, until_unix_ns: int
) -> Completeness:
    """One agent's frames with ticks in a span of time, and the holes next to them. Ticks of some
    time around the span should be given: a hole at its edge shows by them.
    """
    inside = (ticks.at_unix_ns >= from_unix_ns) & (ticks.at_unix_ns < until_unix_ns)
    received = missing = excused = 0
    epochs = np.unique(ticks.epochs[inside]).tolist()
    for epoch in epochs:
        own = ticks.epochs == epoch
        seqs = np.unique(ticks.seqs[own & inside])
        received += len(seqs)
        holes = _holes(np.unique(ticks.seqs[own]), int(seqs[0]), int(seqs[-1]))
        known = ticks.epochs < epoch
        if bool(known.any()) and int(np.min(ticks.seqs[own])) > 1:
            # An earlier life was heard, so this one was heard from its first frame on, or is not.
            holes.append((1, int(np.min(ticks.seqs[own])) - 1))
        said = [one for one in declared if one.epoch == epoch]
        for hole in holes:
            covered = _covered(hole, said)
            excused += covered
            missing += hole[1] - hole[0] + 1 - covered
    at = ticks.at_unix_ns[inside]
    return Completeness(
        received=received,
        declared=excused,
        missing=missing,
        first_unix_ns=int(at.min()) if len(at) else None,
        last_unix_ns=int(at.max()) if len(at) else None,
    )


def _holes(seqs: NDArray[np.int64], first: int, last: int) -> list[tuple[int, int]]:
    """Between the numbers that were heard, at and next to those from `first` to `last`."""
    breaks = np.flatnonzero(np.diff(seqs) > 1)
    holes = [(int(seqs[place]) + 1, int(seqs[place + 1]) - 1) for place in breaks]
    return [(a, b) for a, b in holes if b >= first - 1 and a <= last + 1]


def _covered(hole: tuple[int, int], declared: Sequence[Declared]) -> int:
    """How many numbers of a hole are declared, however often."""
    first, last = hole
    said = [(one.first_seq, last if one.last_seq == UNKNOWN else one.last_seq) for one in declared]
    return last - first + 1 - sum(b - a + 1 for a, b in without(hole, said))


def without(whole: tuple[int, int], taken: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is left of a range of numbers."""
    left, (first, last) = [], whole
    for a, b in sorted(taken):
        if b < first or a > last:
            continue
        if a > first:
            left.append((first, a - 1))
        first = b + 1
    if first <= last:
        left.append((first, last))
    return left
