from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from controller.state.snapshot import FleetSnapshot, Seconds
from fleet.clock import NS_PER_S
from fleet.frame import MISSING_COUNT, Column, CountBlock, FloatBlock, Reporter, Schema, Slab
from fleet.metrics import Kind, MetricSpec, Scope, in_scope
from fleet.topology import FleetMap

MAX_PUMPS: Final = 4
"""Pump rows kept for each CDU; no CDU sheet read shows more than three."""

_LAST_UNIX_NS: Final = 2**63 - 1

Rows = NDArray[np.intp]
Taken = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Route:
    """Where columns of a schema go: `source` column -> (`metric`, `part`) of a block."""

    source: Rows
    metric: Rows
    part: Rows


class FleetColumns:
    """The newest value of every metric of a fleet, one column a metric.

    Not safe for use by several threads.
    """

    def __init__(self, fleet_map: FleetMap) -> None:
        self._map = fleet_map
        loops = len(fleet_map.loop_ids)
        self._gauges: dict[Scope, FloatBlock] = {
            Scope.CHIP: _gauges(Scope.CHIP, (fleet_map.chips,)),
            Scope.SLED: _gauges(Scope.SLED, (fleet_map.sleds,)),
            Scope.CDU: _gauges(Scope.CDU, (loops,)),
            Scope.PUMP: _gauges(Scope.PUMP, (loops, MAX_PUMPS)),
        }
        self._counts: dict[Scope, CountBlock] = {
            Scope.CHIP: _counts(Scope.CHIP, fleet_map.chips),
            Scope.SLED: _counts(Scope.SLED, fleet_map.sleds),
        }
        self._sleds = _Arrivals(fleet_map.sleds)
        self._cdus = _Arrivals(loops)
        self._routes: dict[tuple[str, Scope, Kind, int], _Route] = {}

    def apply(self, slab: Slab, schema: Schema, rows: Rows) -> Taken:
        """Take the newest tick of each frame; which frames were news [frames].

        `rows` are the frames' agents in the roster. Metrics and parts that this build or this sled
        does not have are skipped.
        """
        if schema.reporter is Reporter.SLED:
            return self._apply_sleds(slab, schema, rows)
        return self._apply_cdus(slab, schema, rows - self._map.sleds)

    def snapshot(self, at_unix_ns: int, cycle: int) -> FleetSnapshot:
        return FleetSnapshot(
            fleet_map=self._map,
            at_unix_ns=at_unix_ns,
            cycle=cycle,
            chip=_named(Scope.CHIP, self._gauges[Scope.CHIP]),
            sled=_named(Scope.SLED, self._gauges[Scope.SLED]),
            cdu=_named(Scope.CDU, self._gauges[Scope.CDU]),
            pump=_named(Scope.PUMP, self._gauges[Scope.PUMP]),
            chip_counts=_named_counts(Scope.CHIP, self._counts[Scope.CHIP]),
            sled_counts=_named_counts(Scope.SLED, self._counts[Scope.SLED]),
            sled_age_s=self._sleds.age_s(at_unix_ns),
            cdu_age_s=self._cdus.age_s(at_unix_ns),
            sled_frame=_frozen_counts(self._sleds.frame),
            cdu_frame=_frozen_counts(self._cdus.frame),
        )

    def _apply_sleds(self, slab: Slab, schema: Schema, sleds: Rows) -> Taken:
        taken = self._sleds.accept(sleds, slab)
        parts_of_sled = self._map.chips_of_sled[sleds]
        for parts in np.unique(parts_of_sled[taken]).tolist():
            frames = np.flatnonzero(taken & (parts_of_sled == parts))
            rows = sleds[frames]
            values, counters = slab.values[frames, -1], slab.counters[frames, -1]
            for scope, first, limit in (
                (Scope.CHIP, self._map.first_chip_of_sled[rows].astype(np.intp), parts),
                (Scope.SLED, rows, 1),
            ):
                gauge = self._route(slab.schema_id, schema, scope, Kind.GAUGE, limit)
                _scatter(self._gauges[scope], gauge, first, values)
                count = self._route(slab.schema_id, schema, scope, Kind.COUNTER, limit)
                _scatter(self._counts[scope], count, first, counters)
        return taken

    def _apply_cdus(self, slab: Slab, schema: Schema, loops: Rows) -> Taken:
        taken = self._cdus.accept(loops, slab)
        rows, values = loops[taken], slab.values[taken, -1]
        cdu = self._route(slab.schema_id, schema, Scope.CDU, Kind.GAUGE, 1)
        _scatter(self._gauges[Scope.CDU], cdu, rows, values)
        pump = self._route(slab.schema_id, schema, Scope.PUMP, Kind.GAUGE, MAX_PUMPS)
        pumps = self._gauges[Scope.PUMP]
        pumps[pump.metric[None, :], rows[:, None], pump.part[None, :]] = values[:, pump.source]
        return taken

    def _route(
        self, schema_id: str, schema: Schema, scope: Scope, kind: Kind, parts: int
    ) -> _Route:
        key = (schema_id, scope, kind, parts)
        if key not in self._routes:
            columns = schema.counters if kind is Kind.COUNTER else schema.columns
            self._routes[key] = _route(columns, _specs(scope, kind), parts)
        return self._routes[key]


class _Arrivals:
    """Which tick each agent was last heard with, and when that was first looked at."""

    def __init__(self, agents: int) -> None:
        self.frame = np.zeros((2, agents), dtype=np.uint64)
        self._tick_ns = np.zeros(agents, dtype=np.int64)
        self._aged_tick_ns = np.zeros(agents, dtype=np.int64)
        self._seen_ns = np.zeros(agents, dtype=np.int64)

    def accept(self, rows: Rows, slab: Slab) -> Taken:
        """Which frames are news. Either order may prove it: (epoch, seq) is right when the agent's
        clock steps back, time is right when the agent has lost its epoch.
        """
        span_ns = min((slab.ticks - 1) * slab.dt_ns, _LAST_UNIX_NS)
        tick_ns = slab.t0_unix_ns + np.minimum(span_ns, _LAST_UNIX_NS - slab.t0_unix_ns)
        epochs, seqs = self.frame[0, rows], self.frame[1, rows]
        given_epochs, given_seqs = slab.epochs.view(np.uint64), slab.seqs.view(np.uint64)
        later = (given_epochs > epochs) | ((given_epochs == epochs) & (given_seqs > seqs))
        taken: Taken = later | (tick_ns > self._tick_ns[rows])
        chosen = rows[taken]
        self._tick_ns[chosen] = tick_ns[taken]
        self.frame[0, chosen], self.frame[1, chosen] = given_epochs[taken], given_seqs[taken]
        return taken

    def age_s(self, at_unix_ns: int) -> Seconds:
        """Seconds since each agent's newest tick. An agent whose clock runs ahead ages from the
        time at which its tick was first seen here.
        """
        news = self._tick_ns != self._aged_tick_ns
        self._seen_ns[news] = at_unix_ns
        self._aged_tick_ns = self._tick_ns.copy()
        since_ns = at_unix_ns - np.minimum(self._tick_ns, self._seen_ns)
        age: Seconds = np.maximum(since_ns, 0) / NS_PER_S
        age[self.frame[0] + self.frame[1] == 0] = np.inf
        age.flags.writeable = False
        return age


def _scatter(block: NDArray[Any], route: _Route, first: Rows, values: NDArray[Any]) -> None:
    """Columns of each frame to their metrics, from the agent's first part on."""
    block[route.metric[None, :], first[:, None] + route.part[None, :]] = values[:, route.source]


def _specs(scope: Scope, kind: Kind) -> tuple[MetricSpec, ...]:
    counter = kind is Kind.COUNTER
    return tuple(spec for spec in in_scope(scope) if (spec.kind is Kind.COUNTER) is counter)


def _route(columns: tuple[Column, ...], specs: tuple[MetricSpec, ...], parts: int) -> _Route:
    rows = {spec.name: row for row, spec in enumerate(specs)}
    taken = [
        (source, rows[column.metric], column.part)
        for source, column in enumerate(columns)
        if column.metric in rows and 0 <= column.part < parts
    ]
    table = np.array(taken, dtype=np.intp).reshape(-1, 3)
    return _Route(source=table[:, 0], metric=table[:, 1], part=table[:, 2])


def _gauges(scope: Scope, shape: tuple[int, ...]) -> FloatBlock:
    return np.full((len(_specs(scope, Kind.GAUGE)), *shape), np.nan, dtype=np.float32)


def _counts(scope: Scope, rows: int) -> CountBlock:
    return np.full((len(_specs(scope, Kind.COUNTER)), rows), MISSING_COUNT, dtype=np.uint64)


def _named(scope: Scope, block: FloatBlock) -> MappingProxyType[str, FloatBlock]:
    copy = block.copy()
    copy.flags.writeable = False
    specs = _specs(scope, Kind.GAUGE)
    return MappingProxyType({spec.name: copy[row] for row, spec in enumerate(specs)})


def _named_counts(scope: Scope, block: CountBlock) -> MappingProxyType[str, CountBlock]:
    copy = _frozen_counts(block)
    specs = _specs(scope, Kind.COUNTER)
    return MappingProxyType({spec.name: copy[row] for row, spec in enumerate(specs)})


def _frozen_counts(block: CountBlock) -> CountBlock:
    copy = block.copy()
    copy.flags.writeable = False
    return copy
