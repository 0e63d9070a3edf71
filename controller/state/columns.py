from collections.abc import Mapping
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
    spans: tuple[tuple[int, int], ...] | None
    """(metric, first source column), where each metric has all parts side by side."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Spoken:
    """The newest tick of each agent that speaks by one schema: (agents, columns)."""

    schema: Schema
    values: FloatBlock
    counters: CountBlock


class FleetColumns:
    """The newest tick of every agent, turned into one column a metric when a snapshot is taken.

    Not safe for use by several threads.
    """

    def __init__(self, fleet_map: FleetMap) -> None:
        self._map = fleet_map
        loops = len(fleet_map.loop_ids)
        self._sleds = _Arrivals(fleet_map.sleds)
        self._cdus = _Arrivals(loops)
        self._spoken: dict[str, _Spoken] = {}
        self._numbers: dict[str, int] = {}
        self._schema_of: Rows = np.full(fleet_map.sleds + loops, -1, dtype=np.intp)
        """[agents] which of the schemas an agent spoke last."""
        self._routes: dict[tuple[str, Scope, Kind, int], _Route] = {}

    def apply(self, slab: Slab, schema: Schema, rows: Rows) -> Taken:
        """Take the newest tick of each frame; which frames were news [frames].

        `rows` are the frames' agents in the roster, each once. Metrics and parts that this build or
        this sled does not have are skipped.
        """
        of_sleds = schema.reporter is Reporter.SLED
        first = 0 if of_sleds else self._map.sleds
        arrivals = self._sleds if of_sleds else self._cdus
        spoken = self._spoken.get(slab.schema_id)
        if spoken is None:
            spoken = self._open(slab.schema_id, schema, len(arrivals))
        taken = arrivals.accept(rows - first, slab)
        news: slice | Taken = slice(None) if bool(taken.all()) else taken
        heard = rows[news]
        spoken.values[heard - first] = slab.values[news, -1]
        spoken.counters[heard - first] = slab.counters[news, -1]
        self._schema_of[heard] = self._numbers[slab.schema_id]
        return taken

    def snapshot(self, at_unix_ns: int, cycle: int) -> FleetSnapshot:
        fleet, loops = self._map, len(self._map.loop_ids)
        gauges = {
            Scope.CHIP: _gauges(Scope.CHIP, (fleet.chips,)),
            Scope.SLED: _gauges(Scope.SLED, (fleet.sleds,)),
            Scope.CDU: _gauges(Scope.CDU, (loops,)),
            Scope.PUMP: _gauges(Scope.PUMP, (loops * MAX_PUMPS,)),
        }
        counts = {
            Scope.CHIP: _counts(Scope.CHIP, fleet.chips),
            Scope.SLED: _counts(Scope.SLED, fleet.sleds),
        }
        for schema_id, spoken in self._spoken.items():
            if spoken.schema.reporter is Reporter.SLED:
                self._place_sleds(schema_id, spoken, gauges, counts)
            else:
                self._place_cdus(schema_id, spoken, gauges)
        pumps = gauges[Scope.PUMP].reshape(-1, loops, MAX_PUMPS)
        return FleetSnapshot(
            fleet_map=fleet,
            at_unix_ns=at_unix_ns,
            cycle=cycle,
            chip=_named(Scope.CHIP, gauges[Scope.CHIP]),
            sled=_named(Scope.SLED, gauges[Scope.SLED]),
            cdu=_named(Scope.CDU, gauges[Scope.CDU]),
            pump=_named(Scope.PUMP, pumps),
            chip_counts=_named_counts(Scope.CHIP, counts[Scope.CHIP]),
            sled_counts=_named_counts(Scope.SLED, counts[Scope.SLED]),
            sled_age_s=self._sleds.age_s(at_unix_ns),
            cdu_age_s=self._cdus.age_s(at_unix_ns),
            sled_frame=_frozen(self._sleds.frame.copy()),
            cdu_frame=_frozen(self._cdus.frame.copy()),
        )

    def _open(self, schema_id: str, schema: Schema, agents: int) -> _Spoken:
        opened = _Spoken(
            schema=schema,
            values=np.zeros((agents, len(schema.columns)), dtype=np.float32),
            counters=np.zeros((agents, len(schema.counters)), dtype=np.uint64),
        )
        self._numbers[schema_id] = len(self._numbers)
        self._spoken[schema_id] = opened
        return opened

    def _place_sleds(
        self,
        schema_id: str,
        spoken: _Spoken,
        gauges: Mapping[Scope, FloatBlock],
        counts: Mapping[Scope, CountBlock],
    ) -> None:
        sleds = np.flatnonzero(self._schema_of[: self._map.sleds] == self._numbers[schema_id])
        parts_of_sled = self._map.chips_of_sled[sleds]
        for parts in np.unique(parts_of_sled).tolist():
            rows = sleds[parts_of_sled == parts]
            values, counters = spoken.values[rows], spoken.counters[rows]
            for scope, first, limit in (
                (Scope.CHIP, self._map.first_chip_of_sled[rows].astype(np.intp), parts),
                (Scope.SLED, rows, 1),
            ):
                gauge = self._route(schema_id, spoken.schema, scope, Kind.GAUGE, limit)
                _place(gauges[scope], gauge, first, limit, values)
                count = self._route(schema_id, spoken.schema, scope, Kind.COUNTER, limit)
                _place(counts[scope], count, first, limit, counters)

    def _place_cdus(
        self, schema_id: str, spoken: _Spoken, gauges: Mapping[Scope, FloatBlock]
    ) -> None:
        spoke = self._schema_of[self._map.sleds :] == self._numbers[schema_id]
        loops = np.flatnonzero(spoke)
        for scope, parts in ((Scope.CDU, 1), (Scope.PUMP, MAX_PUMPS)):
            route = self._route(schema_id, spoken.schema, scope, Kind.GAUGE, parts)
            _place(gauges[scope], route, loops * parts, parts, spoken.values[loops])

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

    def __len__(self) -> int:
        """How many agents there may be."""
        return len(self._tick_ns)

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


def _place(
    block: NDArray[Any], route: _Route, first: Rows, parts: int, values: NDArray[Any]
) -> None:
    """Columns of each agent to their metrics, from the agent's first part on."""
    cells = len(first) * parts
    side_by_side = cells > 0 and int(first[-1]) - int(first[0]) + parts == cells
    if route.spans is not None and side_by_side:
        begin = int(first[0])
        for metric, source in route.spans:
            block[metric, begin : begin + cells] = values[:, source : source + parts].reshape(-1)
        return
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
    source, metric, part = table.T
    return _Route(source=source, metric=metric, part=part, spans=_spans(table, parts))


def _spans(table: Rows, parts: int) -> tuple[tuple[int, int], ...] | None:
    if len(table) % parts:
        return None
    blocks = table.reshape(-1, parts, 3)
    steps = np.arange(parts)
    whole = (
        (blocks[:, :, 0] == blocks[:, :1, 0] + steps)
        & (blocks[:, :, 1] == blocks[:, :1, 1])
        & (blocks[:, :, 2] == steps)
    )
    if not whole.all():
        return None
    return tuple((int(block[0, 1]), int(block[0, 0])) for block in blocks)


def _gauges(scope: Scope, shape: tuple[int, ...]) -> FloatBlock:
    return np.full((len(_specs(scope, Kind.GAUGE)), *shape), np.nan, dtype=np.float32)


def _counts(scope: Scope, rows: int) -> CountBlock:
    return np.full((len(_specs(scope, Kind.COUNTER)), rows), MISSING_COUNT, dtype=np.uint64)


def _named(scope: Scope, block: FloatBlock) -> MappingProxyType[str, FloatBlock]:
    block.flags.writeable = False
    specs = _specs(scope, Kind.GAUGE)
    return MappingProxyType({spec.name: block[row] for row, spec in enumerate(specs)})


def _named_counts(scope: Scope, block: CountBlock) -> MappingProxyType[str, CountBlock]:
    _frozen(block)
    specs = _specs(scope, Kind.COUNTER)
    return MappingProxyType({spec.name: block[row] for row, spec in enumerate(specs)})


def _frozen(block: CountBlock) -> CountBlock:
    block.flags.writeable = False
    return block
