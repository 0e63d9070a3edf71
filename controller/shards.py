"""The shards that one controller leads: which loops, their control and their incidents."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from controller.cooling.control import CoolingEffect
from controller.cooling.loop import LoopControl
from controller.cooling.settings import CoolingSettings
from controller.decide import begin, bridge, go_on, restore
from controller.identities import Identities
from controller.incidents.lifecycle import IncidentBook
from controller.ingest.consume import Consumer
from controller.options import ControllerOptions
from controller.others import OtherLoops
from controller.store import Store
from controller.store.leadership import shard_name
from controller.views import control_of
from fleet.clock import NS_PER_S, Clock
from fleet.topology import Cooling, FleetMap

SETTLE_S: Final = 5.0
"""A backlog is waited for so long; then the loop is judged by what has been read."""


def shards_of(partition_of: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """Name of a shard's lease -> its loops; partitions without a loop are no shards."""
    loops: dict[str, tuple[str, ...]] = {}
    for loop, partition in partition_of.items():
        name = shard_name(partition)
        loops[name] = (*loops.get(name, ()), loop)
    return loops


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    term: int
    partition: int
    since_s: float


class Shards:
    """State by loop, for the loops of the shards in hand. One thread uses it."""

    def __init__(
        self,
        options: ControllerOptions,
        fleet_map: FleetMap,
        store: Store,
        clock: Clock,
        ingest: Consumer,
        others: OtherLoops,
    ) -> None:
        self._options = options
        self._map = fleet_map
        self._store = store
        self._clock = clock
        self._ingest = ingest
        self._others = others
        self._loops_of = shards_of(ingest.partition_of)
        liquid = {fleet_map.loop_ids[row] for row in fleet_map.loops_cooled_by(Cooling.LIQUID)}
        self.cooling: Mapping[str, CoolingSettings] = {
            loop: options.cooling_of(fleet_map.plates_in_loop(row), fleet_map.kind_of_loop[row])
            for loop in sorted(liquid)
            for row in (fleet_map.loop(loop),)
        }
        self._held: dict[str, _Held] = {}
        self.controls: dict[str, LoopControl] = {}
        """Of the coolant loops in hand."""
        self.identities = Identities(self.cooling)
        """What those loops turned out to be."""
        self.book = IncidentBook()
        """Incidents of the loops in hand."""

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._loops_of)

    def loops(self) -> frozenset[str]:
        """Loops in hand."""
        return frozenset(loop for name in self._held for loop in self._loops_of[name])

    def settled(self) -> frozenset[str]:
        """Loops in hand whose telemetry has been read, or was waited for long enough."""
        now_s = self._clock.monotonic_s()
        return frozenset(
            loop
            for name, held in self._held.items()
            if self._ingest.caught_up(held.partition) or now_s - held.since_s >= SETTLE_S
            for loop in self._loops_of[name]
        )

    def gone(self, terms: Mapping[str, int]) -> list[str]:
        """Shards in hand whose lease no longer is, or that somebody else has had meanwhile."""
        return [name for name, held in self._held.items() if terms.get(name) != held.term]

    def new(self, terms: Mapping[str, int]) -> list[str]:
        """Shards whose lease was won and whose loops are not in hand yet."""
        return [name for name in terms if name in self._loops_of and name not in self._held]

    def drop(self, names: Iterable[str]) -> None:
        """Forget all of these shards; raises BusError when the bus is away."""
        dropped = {name: self._held.pop(name) for name in names if name in self._held}
        if not dropped:
            return
        mine = self.loops()
        self.controls = {loop: one for loop, one in self.controls.items() if loop in mine}
        kept = {key: one for key, one in self.book.incidents.items() if one.loop_id in mine}
        self.book = IncidentBook(incidents=kept)
        self._ingest.lose(held.partition for held in dropped.values())

    def take(self, names: Iterable[str], terms: Mapping[str, int]) -> tuple[CoolingEffect, ...]:
        """Continue where the controller before stopped; the set-points in force, once more.

        Raises StoreError or BusError with nothing taken.
        """
        taken = list(names)
        loops = [loop for name in taken for loop in self._loops_of[name]]
        partitions = {name: self._ingest.partition_of[self._loops_of[name][0]] for name in taken}
        now_ns = self._clock.unix_ns()
        reopen_ns = round(self._options.incidents.reopen_s * NS_PER_S)
        with self._store.read() as tx:
            found = [*tx.incidents.unresolved(), *tx.incidents.resolved_since(now_ns - reopen_ns)]
            trips = {loop: tx.interlocks.latched(loop) for loop in loops if loop in self.cooling}
        self._ingest.gain(partitions.values())
        inherited = restore((one for one in found if one.loop_id in loops), at_unix_ns=now_ns)
        self.book = IncidentBook(incidents={**self.book.incidents, **inherited.incidents})
        since_s = self._clock.monotonic_s()
        for name, partition in partitions.items():
            self._held[name] = _Held(term=terms[name], partition=partition, since_s=since_s)
        effects: list[CoolingEffect] = []
        too_old_ns = now_ns - round(self._options.command_s * NS_PER_S)
        for loop, latched in trips.items():
            view = self._others.view(loop)
            before = None if view is None else control_of(view)
            inherited_control = go_on(before, latched, not_before_unix_ns=too_old_ns)
            if inherited_control is None:
                cdu_id = self._map.cdu_ids[self._map.loop(loop)]
                self.controls[loop] = begin(loop, cdu_id, latched, self.cooling[loop])
            else:
                self.controls[loop] = inherited_control
                effects += bridge(inherited_control)
        return tuple(effects)
