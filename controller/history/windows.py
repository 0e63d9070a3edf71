"""All open windows, and when each may be sealed."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from controller.history.window import Window
from controller.state.roster import Roster
from fleet.clock import NS_PER_S
from fleet.errors import ConfigurationError
from fleet.frame import IntBlock, Schema, Slab

LONGEST_WINDOW_S: Final = 600
"""Queries look so far back for the window that a tick is in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySettings:
    """How much time a block holds, and how long stragglers are waited for."""

    window_s: int = 60
    grace_ticks: int = 5
    """A window is sealed once the next one has so many ticks of at least half of its agents."""
    longest_open_s: float = 90.0
    """A window that nothing follows is sealed after this long, as when agents fall silent."""

    def validate(self) -> None:
        if not 1 <= self.window_s <= LONGEST_WINDOW_S:
            raise ConfigurationError(
                f"history: window_s {self.window_s} is not 1 to {LONGEST_WINDOW_S} s"
            )
        if self.longest_open_s < 1:
            raise ConfigurationError(f"history: longest_open_s {self.longest_open_s} is below 1 s")


Key = tuple[int, str, int]
"""Group, schema id, start."""


class Windows:
    """Open windows of many groups. One thread uses it."""

    def __init__(self, roster: Roster, settings: HistorySettings) -> None:
        settings.validate()
        self._roster = roster
        self._settings = settings
        self._span_ns = settings.window_s * NS_PER_S
        self._open: dict[Key, Window] = {}
        self._due: list[Key] = []

    def __len__(self) -> int:
        return len(self._open)

    def add(
        self,
        slabs: Sequence[Slab],
        schema: Schema,
        places: Sequence[tuple[int, int]],
        now_s: float,
    ) -> None:
        """Slabs of one form and of the same known agents; `places` are the partition and offset of
        each one's message.
        """
        starts = np.array([slab.t0_unix_ns for slab in slabs]) // self._span_ns
        first = starts[:, 0]
        scattered = (starts != first[:, None]).any(axis=1)
        apart = (first[1:] != first[:-1]) | scattered[1:] | scattered[:-1]
        edges = [0, *(np.flatnonzero(apart) + 1).tolist(), len(slabs)]
        for begin, end in pairwise(edges):
            if scattered[begin]:
                self._add_scattered(slabs[begin], schema, starts[begin], places[begin], now_s)
            else:
                self._add(slabs[begin:end], schema, int(first[begin]), places[begin], now_s)

    def _add_scattered(
        self, slab: Slab, schema: Schema, starts: IntBlock, place: tuple[int, int], now_s: float
    ) -> None:
        for start in np.unique(starts).tolist():
            part = slab.take(np.flatnonzero(starts == start).tolist())
            self._add([part], schema, start, place, now_s)

    def take_due(self, now_s: float, *, all_of_them: bool = False) -> list[Window]:
        """Windows that may be sealed; they are no longer open."""
        longest_s = 0.0 if all_of_them else self._settings.longest_open_s
        keys = dict.fromkeys(key for key in self._due if key in self._open)
        keys |= dict.fromkeys(
            key for key, window in self._open.items() if now_s - window.opened_s >= longest_s
        )
        self._due = []
        return [self._open.pop(key) for key in keys]

    def open_windows(self) -> Iterable[Window]:
        return self._open.values()

    def due_bytes(self) -> int:
        """Of windows that `take_due` gives next, but for those that it gives for their age."""
        return sum(self._open[key].memory_bytes for key in set(self._due) if key in self._open)

    def first_offsets(self) -> dict[int, int]:
        """Partition -> offset of the oldest message with a frame in an open window."""
        return oldest(self._open.values())

    def drop(self, groups: Container[int]) -> None:
        """Forget the open windows of these groups."""
        self._open = {key: w for key, w in self._open.items() if key[0] not in groups}

    def _add(
        self,
        slabs: Sequence[Slab],
        schema: Schema,
        start: int,
        place: tuple[int, int],
        now_s: float,
    ) -> None:
        seating = self._roster.seating(slabs[0].agents)
        if not seating.distinct:
            for slab in slabs:
                for row in range(len(slab)):
                    self._add([slab.take([row])], schema, start, place, now_s)
            return
        for share in seating.shares:
            key = (share.group, slabs[0].schema_id, start)
            window = self._open.get(key)
            if window is None:
                window = self._open[key] = Window(
                    group=share.group,
                    size=int(self._roster.size[share.group]),
                    schema=schema,
                    start_unix_ns=start * self._span_ns,
                    opened_s=now_s,
                )
            window.add(slabs, share, *place)
            self._look_back(key, window)

    def _look_back(self, key: Key, window: Window) -> None:
        """Half of the agents must have moved on: one with a wrong clock closes nobody's window."""
        before = (key[0], key[1], key[2] - 1)
        earlier = self._open.get(before)
        if (
            earlier is not None
            and window.ticks >= self._settings.grace_ticks
            and 2 * window.agents >= earlier.agents
        ):
            self._due.append(before)


def oldest(windows: Iterable[Window]) -> dict[int, int]:
    first: dict[int, int] = {}
    for window in windows:
        for partition, offset in window.first_offsets.items():
            first[partition] = min(first.get(partition, offset), offset)
    return first
