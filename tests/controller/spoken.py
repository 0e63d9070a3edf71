"""A fleet whose agents say what a test wants, frame by frame."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache

import numpy as np

from controller.placement.job import Job
from controller.state.columns import FleetColumns
from controller.state.roster import Roster
from controller.state.snapshot import FleetSnapshot
from fleet.clock import NS_PER_S
from fleet.frame import MISSING_COUNT, FloatBlock, Frame, Schema, cdu_schema, sled_schema
from fleet.metrics import LEAK_STATES, LeakState
from fleet.topology import (
    Cooling,
    FleetMap,
    Generation,
    LoopKind,
    LoopPlan,
    mixed_datacenter,
    trn3_datacenter,
)

START_UNIX_NS = 1_760_000_000 * NS_PER_S

Said = Mapping[str, float | Mapping[int, float]]
"""Metric -> value, or part -> value."""
Wanted = dict[str, float | dict[int, float]]
"""The same, as tests write it."""

SLED_CALM = {
    "junction_c": 55.0,
    "hbm_c": 58.0,
    "power_w": 600.0,
    "inlet_c": 40.0,
    "outlet_c": 46.0,
    "coolant_flow_lpm": 7.5,
    "sled_power_w": 3000.0,
    "leak_state": 0.0,
    "power_state": 1.0,
    "guard_level": 0.0,
}
HOST_CALM = SLED_CALM | {
    "inlet_c": 24.0,
    "outlet_c": 38.0,
    "coolant_flow_lpm": np.nan,
    "sled_power_w": 9_000.0,
    "leak_state": float(LEAK_STATES.index(LeakState.ABSENT)),
}
CDU_CALM = {
    "supply_c": 40.0,
    "return_c": 46.0,
    "secondary_flow_lpm": 540.0,
    "primary_supply_c": 30.0,
    "valve_ratio": 0.5,
    "reservoir_level_ratio": 0.9,
    "dew_point_c": 14.0,
    "cdu_leak_state": 0.0,
    "pump_speed_ratio": 0.8,
    "pump_state": 0.0,
}


def small_map(loops: int = 1) -> FleetMap:
    return FleetMap(trn3_datacenter(loops=loops))


def mixed_map() -> FleetMap:
    """A liquid loop with a Trn3 Gen2 and a CS-3, and a row of Trn2 hosts and a Trn3 Gen1."""
    liquid = {Generation.TRN3_GEN2: 1, Generation.CS3: 1}
    air = {Generation.TRN2: 2, Generation.TRN3_GEN1: 1}
    return FleetMap(
        mixed_datacenter(
            [
                LoopPlan(kind=LoopKind.LIQUID_TO_LIQUID, ultraservers=liquid),
                LoopPlan(kind=LoopKind.AIR, ultraservers=air),
            ]
        )
    )


def make_frame(
    agent: str,
    schema: Schema,
    values: Said,
    *,
    seq: int,
    epoch: int = 1,
    at_unix_ns: int = START_UNIX_NS,
    counts: Mapping[str, Mapping[int, int]] | None = None,
) -> Frame:
    """One tick; a value may differ by part. What is not named is absent."""
    counters = np.full((1, len(schema.counters)), MISSING_COUNT, np.uint64)
    if counts:
        for place, column in enumerate(schema.counters):
            counters[0, place] = counts.get(column.metric, {}).get(column.part, MISSING_COUNT)
    return Frame(
        agent=agent,
        epoch=epoch,
        seq=seq,
        schema_id=_schema_id(schema),
        t0_unix_ns=at_unix_ns,
        dt_ns=NS_PER_S,
        values=_row(schema, _key(values)),
        counters=counters,
    )


@cache
def _schema_id(schema: Schema) -> str:
    return schema.id


Key = tuple[tuple[str, float | tuple[tuple[int, float], ...]], ...]


def _key(values: Said) -> Key:
    return tuple(
        (name, tuple(value.items()) if isinstance(value, Mapping) else value)
        for name, value in sorted(values.items())
    )


@cache
def _places(schema: Schema) -> dict[str, list[tuple[int, int]]]:
    """Metric -> (column, part) pairs."""
    places: dict[str, list[tuple[int, int]]] = {}
    for place, column in enumerate(schema.columns):
        places.setdefault(column.metric, []).append((place, column.part))
    return places


@lru_cache(maxsize=256)
def _row(schema: Schema, values: Key) -> FloatBlock:
    """Shared by all agents that say the same; frames are never written to."""
    row = np.full((1, len(schema.columns)), np.nan, np.float32)
    for name, value in values:
        parts = dict(value) if isinstance(value, tuple) else None
        for place, part in _places(schema).get(name, ()):
            row[0, place] = value if parts is None else parts.get(part, np.nan)
    return row


@dataclass
class SpokenFleet:
    """Every agent of a fleet, one tick a second; tests set what differs from calm."""

    fleet_map: FleetMap = field(default_factory=small_map)
    sled: dict[str, Wanted] = field(default_factory=dict)
    """By sled id."""
    every_sled: Wanted = field(default_factory=dict)
    cdu: Wanted = field(default_factory=dict)
    counts: dict[str, dict[str, dict[int, int]]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    seconds: int = 0

    def __post_init__(self) -> None:
        self.columns = FleetColumns(self.fleet_map)

    @property
    def at_unix_ns(self) -> int:
        return START_UNIX_NS + self.seconds * NS_PER_S

    def tick(self) -> FleetSnapshot:
        """A second later: every agent that is not silent has spoken."""
        self.seconds += 1
        for row, sled_id in enumerate(self.fleet_map.sled_ids):
            wanted = self.every_sled | self.sled.get(sled_id, {})
            chips = int(self.fleet_map.chips_of_sled[row])
            liquid = self.fleet_map.cooling_of_sled(row) is Cooling.LIQUID
            calm = SLED_CALM if liquid else HOST_CALM
            self._speak(sled_id, sled_schema(chips), _whole(wanted, calm, chips))
        for row in self.fleet_map.loops_cooled_by(Cooling.LIQUID):
            cdu_id = self.fleet_map.cdu_ids[row]
            self._speak(cdu_id, cdu_schema(2), _whole(self.cdu, CDU_CALM, 2))
        return self.columns.snapshot(self.at_unix_ns, self.seconds)

    def _speak(self, agent: str, schema: Schema, values: Said) -> None:
        if agent in self.silent:
            return
        frame = make_frame(
            agent,
            schema,
            values,
            seq=self.seconds,
            at_unix_ns=self.at_unix_ns,
            counts=self.counts.get(agent),
        )
        hear(self.columns, frame, schema, self.fleet_map)


def hear(
    columns: FleetColumns, frame: Frame, schema: Schema, fleet_map: FleetMap | None = None
) -> bool:
    """Apply one frame as ingest does; whether it was news."""
    roster = Roster(fleet_map or small_map())
    (taken,) = columns.apply(frame.slab(), schema, roster.seating((frame.agent,)).rows)
    return bool(taken)


def _whole(wanted: Wanted, calm: Mapping[str, float], parts: int) -> Said:
    """What is not named is calm, also of the parts of a metric that is."""
    said: dict[str, float | Mapping[int, float]] = dict(calm)
    for name, value in wanted.items():
        if isinstance(value, dict):
            rest = calm.get(name, np.nan)
            said[name] = {part: value.get(part, rest) for part in range(parts)}
        else:
            said[name] = value
    return said


def make_job(
    job_id: str, chips: int = 4, *, tensor_parallel: int = 1, priority: int = 0, age_s: int = 0
) -> Job:
    return Job(
        id=job_id,
        name=job_id,
        model="llama-70b",
        chips=chips,
        tensor_parallel=tensor_parallel,
        priority=priority,
        submitted_at_unix_ns=START_UNIX_NS - age_s * NS_PER_S,
    )
