from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from controller.state.snapshot import FleetSnapshot, Seconds
from fleet.clock import NS_PER_S
from fleet.frame import MISSING_COUNT, Column, CountBlock, FloatBlock, Frame, Reporter, Schema
from fleet.metrics import Kind, MetricSpec, Scope, in_scope
from fleet.topology import FleetMap

MAX_PUMPS: Final = 4
"""Pump rows kept for each CDU; no CDU sheet read shows more than three."""

_LAST_UNIX_NS: Final = 2**63 - 1

Rows = NDArray[np.intp]


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

    def apply(self, frame: Frame, schema: Schema) -> bool:
        """Take a frame's newest tick; False when a newer one is held already.

        Metrics and parts that this build or this sled does not have are skipped. Raises
        UnknownIdError for an agent that the fleet does not have.
        """
        if frame.ticks == 0:
            return False
        if schema.reporter is Reporter.SLED:
            return self._apply_sled(self._map.sled(frame.agent), frame, schema)
        return self._apply_cdu(self._map.cdu(frame.agent), frame, schema)

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

    def _apply_sled(self, sled: int, frame: Frame, schema: Schema) -> bool:
        if not self._sleds.accept(sled, frame):
            return False
        chips = self._map.chips_in_sled(sled)
        parts = chips.stop - chips.start
        values, counters = frame.values[-1], frame.counters[-1]
        for scope, first, limit in ((Scope.CHIP, chips.start, parts), (Scope.SLED, sled, 1)):
            gauge = self._route(frame.schema_id, schema, scope, Kind.GAUGE, limit)
            self._gauges[scope][gauge.metric, first + gauge.part] = values[gauge.source]
            count = self._route(frame.schema_id, schema, scope, Kind.COUNTER, limit)
            self._counts[scope][count.metric, first + count.part] = counters[count.source]
        return True

    def _apply_cdu(self, loop: int, frame: Frame, schema: Schema) -> bool:
        if not self._cdus.accept(loop, frame):
            return False
        values = frame.values[-1]
        cdu = self._route(frame.schema_id, schema, Scope.CDU, Kind.GAUGE, 1)
        self._gauges[Scope.CDU][cdu.metric, loop] = values[cdu.source]
        pump = self._route(frame.schema_id, schema, Scope.PUMP, Kind.GAUGE, MAX_PUMPS)
        self._gauges[Scope.PUMP][pump.metric, loop, pump.part] = values[pump.source]
        return True

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

    def accept(self, row: int, frame: Frame) -> bool:
        """Whether this is news. Either order may prove it: (epoch, seq) is right when the agent's
        clock steps back, time is right when the agent has lost its epoch.
        """
        tick_ns = frame.t0_unix_ns + (frame.ticks - 1) * frame.dt_ns
        held = (int(self.frame[0, row]), int(self.frame[1, row]))
        if (frame.epoch, frame.seq) <= held and tick_ns <= int(self._tick_ns[row]):
            return False
        self._tick_ns[row] = min(tick_ns, _LAST_UNIX_NS)
        self.frame[:, row] = frame.epoch, frame.seq
        return True

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
