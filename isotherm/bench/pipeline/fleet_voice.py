"""Steady agents of a fleet: frames as they would publish them, with chosen readings."""

from collections.abc import Mapping

import numpy as np

from fleet.bus import Bus
from fleet.clock import NS_PER_S
from fleet.codec import encode_message
from fleet.frame import Frame, Schema, cdu_schema, encode_schema, sled_schema
from fleet.metrics import STATES
from fleet.topics import SCHEMAS, TELEMETRY
from fleet.topology import FleetMap

SLED: Mapping[str, float] = {
    "junction_c": 65.0,
    "hbm_c": 70.0,
    "power_w": 800.0,
    "power_cap_w": 1000.0,
    "hbm_utilization_ratio": 0.5,
    "neuroncore_utilization_ratio": 0.6,
    "inlet_c": 40.0,
    "outlet_c": 48.0,
    "coolant_flow_lpm": 5.5,
    "sled_power_w": 3600.0,
    "leak_state": 0.0,
    "power_state": float(STATES["power_state"].index("On")),
    "guard_level": 0.0,
}
CDU: Mapping[str, float] = {
    "supply_c": 40.0,
    "return_c": 48.0,
    "secondary_flow_lpm": 400.0,
    "secondary_dp_kpa": 120.0,
    "supply_pressure_kpa": 300.0,
    "primary_supply_c": 25.0,
    "primary_return_c": 33.0,
    "primary_flow_lpm": 350.0,
    "valve_ratio": 0.5,
    "heat_removed_w": 250_000.0,
    "reservoir_level_ratio": 0.9,
    "hall_air_c": 25.0,
    "dew_point_c": 12.0,
    "cdu_leak_state": 0.0,
    "control_mode": 1.0,
    "pump_speed_ratio": 0.7,
    "pump_power_w": 3000.0,
    "pump_state": 0.0,
}


class FleetVoice:
    """All agents of a fleet; `say` publishes one tick of every loop."""

    def __init__(
        self, fleet_map: FleetMap, bus: Bus, *, epoch: int = 1, seq: int = 0, seed: int = 7
    ) -> None:
        self._map = fleet_map
        self._bus = bus
        self._rng = np.random.default_rng(seed)
        self.epoch = epoch
        self.seq = seq
        self.readings: dict[str, dict[str, float]] = {}
        """Agent id -> readings that differ from the usual; chips' by `metric/part`."""
        self.silent: set[str] = set()

    def publish_schemas(self) -> None:
        for chips in {int(n) for n in self._map.chips_of_sled}:
            self._publish_schema(sled_schema(chips))
        self._publish_schema(cdu_schema(2))

    def say(self, at_unix_ns: int) -> None:
        self.seq += 1
        for row, loop in enumerate(self._map.loop_ids):
            self._bus.publish(
                TELEMETRY, key=loop, value=encode_message(loop, self.frames(row, at_unix_ns))
            )

    def frames(self, row: int, at_unix_ns: int) -> list[Frame]:
        sleds = self._map.sleds_in_loop(row)
        agents = [
            (self._map.sled_ids[sled], sled_schema(int(self._map.chips_of_sled[sled])), SLED)
            for sled in range(sleds.start, sleds.stop)
        ]
        agents.append((self._map.cdu_ids[row], cdu_schema(2), CDU))
        return [
            self.frame(agent, schema, usual, at_unix_ns)
            for agent, schema, usual in agents
            if agent not in self.silent
        ]

    def frame(
        self, agent: str, schema: Schema, usual: Mapping[str, float], at_unix_ns: int
    ) -> Frame:
        said = {**usual, **self.readings.get(agent, {})}
        row = [
            said.get(f"{column.metric}/{column.part}", said.get(column.metric, np.nan))
            for column in schema.columns
        ]
        # Real sensors never stand still; detectors of frozen ones would say so.
        noise = self._rng.normal(0.0, 0.002, len(row))
        exact = [value.is_integer() and abs(value) < 10 for value in map(float, row)]
        values = np.array([row], dtype=np.float32) * (1.0 + np.where(exact, 0.0, noise))
        return Frame(
            agent=agent,
            epoch=self.epoch,
            seq=self.seq,
            schema_id=schema.id,
            t0_unix_ns=at_unix_ns,
            dt_ns=NS_PER_S,
            values=values.astype(np.float32),
            counters=np.zeros((1, len(schema.counters)), dtype=np.uint64),
        )

    def _publish_schema(self, schema: Schema) -> None:
        self._bus.publish(SCHEMAS, key=schema.id, value=encode_schema(schema))
