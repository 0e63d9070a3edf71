"""Messages that carry on where the one before stopped: a backlog is read by runs of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from controller.state.roster import Seating
from fleet.bus import Record
from fleet.frame import Schema, Slab


@dataclass(slots=True, kw_only=True, eq=False)
class Run:
    """Slabs of the same agents in the same form, in the order in which they came."""

    loop_id: str
    schema: Schema
    seating: Seating
    records: list[Record]
    slabs: list[Slab]

    def __len__(self) -> int:
        return len(self.slabs)

    def part(self, first: int, end: int | None = None) -> "Run":
        return Run(
            loop_id=self.loop_id,
            schema=self.schema,
            seating=self.seating,
            records=self.records[first:end],
            slabs=self.slabs[first:end],
        )

    def unbroken(self) -> Iterator["Run"]:
        """Parts in which every agent's numbers rise by one from slab to slab."""
        epochs = np.array([slab.epochs for slab in self.slabs])
        seqs = np.array([slab.seqs for slab in self.slabs])
        follows = (epochs[1:] == epochs[:-1]) & (seqs[1:] == seqs[:-1] + 1)
        breaks = (np.flatnonzero(~follows.all(axis=1)) + 1).tolist()
        edges = [0, *breaks, len(self)]
        for first, end in pairwise(edges):
            yield self.part(first, end)


_Form = tuple[str, int, Seating, tuple[int, ...], tuple[int, ...]]


class Runs:
    """Sorts the slabs of a batch into runs. What one agent said stays in order."""

    def __init__(self) -> None:
        self._of_loop: dict[str, dict[_Form, Run]] = {}

    def add(
        self, record: Record, loop_id: str, slab: Slab, schema: Schema, seating: Seating
    ) -> Sequence[Run]:
        """Runs that are over, as an agent in them goes on in another form."""
        runs = self._of_loop.setdefault(loop_id, {})
        form = (slab.schema_id, slab.dt_ns, seating, slab.values.shape, slab.counters.shape)
        run = runs.get(form)
        if run is not None:
            run.records.append(record)
            run.slabs.append(slab)
            return ()
        over: Sequence[Run] = ()
        said = set(slab.agents)
        if not all(said.isdisjoint(other.slabs[0].agents) for other in runs.values()):
            over = tuple(runs.values())
            runs.clear()
        runs[form] = Run(
            loop_id=loop_id, schema=schema, seating=seating, records=[record], slabs=[slab]
        )
        return over

    def take(self) -> list[Run]:
        """All that is left, and begin anew."""
        taken = [run for runs in self._of_loop.values() for run in runs.values()]
        self._of_loop.clear()
        return taken
