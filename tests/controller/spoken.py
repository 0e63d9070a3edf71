"""A fleet whose agents say what a test wants, frame by frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from controller.placement.job import Job
from controller.state.columns import FleetColumns
from controller.state.roster import Roster
from controller.state.snapshot import FleetSnapshot
from fleet.clock import NS_PER_S
from fleet.frame import (
    MISSING_COUNT,
    CountBlock,
    FloatBlock,
    Frame,
    Schema,
    Slab,
    cdu_schema,
    sled_schema,
)
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
    return Frame(
        agent=agent,
        epoch=epoch,
        seq=seq,
        schema_id=_schema_id(schema),
        t0_unix_ns=at_unix_ns,
        dt_ns=NS_PER_S,
        values=_row(schema, values)[None],
        counters=_counters(schema, counts or {})[None],
    )


@cache
def _schema_id(schema: Schema) -> str:
    return schema.id


_Places = dict[str, list[tuple[int, int]]]
"""Metric -> (column, part) pairs."""


@cache
def _places(schema: Schema) -> _Places:
    places: _Places = {}
    for place, column in enumerate(schema.columns):
        places.setdefault(column.metric, []).append((place, column.part))
    return places


def _row(schema: Schema, values: Said) -> FloatBlock:
    """[columns] what is not named is absent."""
    absent = np.full(len(schema.columns), np.nan, np.float32)
    return _said(_places(schema), absent, values)


def _said(places: _Places, calm: FloatBlock, wanted: Said) -> FloatBlock:
    """[columns] what is not named is calm, also of the parts of a metric that is."""
    row = calm.copy()
    for name, value in wanted.items():
        for place, part in places.get(name, ()):
            row[place] = value.get(part, calm[place]) if isinstance(value, Mapping) else value
    return row


def _counters(schema: Schema, counts: Mapping[str, Mapping[int, int]]) -> CountBlock:
    """[counters] alike."""
    return np.array(
        [
            counts.get(column.metric, {}).get(column.part, MISSING_COUNT)
            for column in schema.counters
        ],
        np.uint64,
    )


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
        fleet = self.fleet_map
        said: dict[int, list[_Says]] = {}
        for row, sled_id in enumerate(fleet.sled_ids):
            chips = int(fleet.chips_of_sled[row])
            liquid = fleet.cooling_of_sled(row) is Cooling.LIQUID
            wanted = self.every_sled | self.sled.get(sled_id, {})
            said.setdefault(chips, []).append((sled_id, row, _sled_calm(chips, liquid), wanted))
        for chips, sleds in said.items():
            self._speak(sled_schema(chips), sleds)
        cdus = [
            (fleet.cdu_ids[row], fleet.sleds + row, _cdu_calm(), self.cdu)
            for row in fleet.loops_cooled_by(Cooling.LIQUID)
        ]
        self._speak(cdu_schema(2), cdus)
        return self.columns.snapshot(self.at_unix_ns, self.seconds)

    def _speak(self, schema: Schema, says: Sequence["_Says"]) -> None:
        """All agents of one schema at once, which a long test is made of."""
        says = [one for one in says if one[0] not in self.silent]
        if not says:
            return
        agents = tuple(agent for agent, *_ in says)
        counters = np.full((len(says), 1, len(schema.counters)), MISSING_COUNT, np.uint64)
        for row, agent in enumerate(agents):
            if agent in self.counts:
                counters[row, 0] = _counters(schema, self.counts[agent])
        places = _places(schema)
        values = np.array([_said(places, calm, wanted) for _, _, calm, wanted in says])
        ones = np.ones(len(says), np.int64)
        slab = Slab(
            schema_id=_schema_id(schema),
            dt_ns=NS_PER_S,
            agents=agents,
            epochs=ones,
            seqs=ones * self.seconds,
            t0_unix_ns=ones * self.at_unix_ns,
            values=values[:, None],
            counters=counters,
        )
        self.columns.apply(slab, schema, np.array([row for _, row, *_ in says], np.intp))


_Says = tuple[str, int, FloatBlock, Wanted]
"""An agent, its row in the roster, what it says when all is calm, and what a test wants instead."""


@cache
def _sled_calm(chips: int, liquid: bool) -> FloatBlock:
    return _row(sled_schema(chips), SLED_CALM if liquid else HOST_CALM)


@cache
def _cdu_calm() -> FloatBlock:
    return _row(cdu_schema(2), CDU_CALM)


def hear(columns: FleetColumns, frame: Frame, schema: Schema) -> bool:
    """Apply one frame of a small fleet as ingest does; whether it was news."""
    rows = _small_roster().seating((frame.agent,)).rows
    (taken,) = columns.apply(frame.slab(), schema, rows)
    return bool(taken)


@cache
def _small_roster() -> Roster:
    return Roster(small_map())


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
