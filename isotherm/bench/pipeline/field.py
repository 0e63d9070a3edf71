"""Agents of a fleet for benchmarks of the controllers: they speak once a second and obey."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from agent.durable import AgentMemory
from agent.execute import Executor
from fleet.bus import Bus, Start
from fleet.clock import NS_PER_S, Clock, run_at_rate
from fleet.codec import encode_message
from fleet.commands import Command, Outcome, decode_command, encode
from fleet.frame import Frame, Schema, cdu_schema, encode_schema, sled_schema
from fleet.metrics import STATES
from fleet.topics import ACKS, COMMANDS, SCHEMAS, TELEMETRY
from fleet.topology import FleetMap

_SLED: Final[Mapping[str, float]] = {
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
_CDU: Final[Mapping[str, float]] = {
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
_NOISE_RATIO: Final = 0.002
"""Real sensors never stand still; those that do are taken for broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Obeyed:
    """A set-point that a CDU's agent took."""

    at_s: float
    """By the monotonic clock."""
    cdu_id: str
    term: int


class Field:
    """Steady telemetry, and executors as the agents have them, terms on disk and all."""

    def __init__(
        self, fleet_map: FleetMap, bus: Bus, clock: Clock, directory: Path, seed: int
    ) -> None:
        self._map = fleet_map
        self._bus = bus
        self._clock = clock
        self._rng = np.random.default_rng(seed)
        self._seq = 0
        self._executors = {
            cdu: Executor(cdu, AgentMemory(directory, cdu), clock, lambda _: "done")
            for cdu in fleet_map.cdu_ids
        }
        self._highest: dict[str, int] = {}
        self._obeyed: list[Obeyed] = []
        self.stale_accepted = 0
        """Commands taken with a lower term than one that was taken before."""
        self.stale_refused = 0
        self._reader = bus.reader(COMMANDS, start=Start.END)
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=work, name=work.__name__, daemon=True)
            for work in (self._speak, self._obey)
        ]

    def start(self) -> None:
        for schema in (sled_schema(4), cdu_schema(2)):
            self._bus.publish(SCHEMAS, key=schema.id, value=encode_schema(schema))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(5.0)
        self._reader.close()

    def after(self, cdu_id: str, since_s: float, term: int) -> Obeyed | None:
        """The first set-point that was taken after `since_s` with a term above `term`."""
        for one in list(self._obeyed):
            if one.cdu_id == cdu_id and one.at_s > since_s and one.term > term:
                return one
        return None

    def steered_since(self, since_s: float) -> frozenset[str]:
        """CDUs that have taken a set-point since."""
        return frozenset(one.cdu_id for one in list(self._obeyed) if one.at_s > since_s)

    def term(self, cdu_id: str) -> int:
        return self._highest.get(cdu_id, 0)

    def _speak(self) -> None:
        run_at_rate(self._clock, self._stop, 1.0, self._say)

    def _say(self) -> None:
        self._seq += 1
        for row, loop in enumerate(self._map.loop_ids):
            sleds = self._map.sleds_in_loop(row)
            names = self._map.sled_ids[sleds.start : sleds.stop]
            frames = [self._frame(name, sled_schema(4), _SLED) for name in names]
            frames.append(self._frame(self._map.cdu_ids[row], cdu_schema(2), _CDU))
            self._bus.publish(TELEMETRY, key=loop, value=encode_message(loop, frames))

    def _frame(self, agent: str, schema: Schema, usual: Mapping[str, float]) -> Frame:
        row = np.array([usual.get(column.metric, np.nan) for column in schema.columns])
        states = (row == np.round(row)) & (np.abs(row) < 10)
        noise = np.where(states, 0.0, self._rng.normal(0.0, _NOISE_RATIO, len(row)))
        return Frame(
            agent=agent,
            epoch=1,
            seq=self._seq,
            schema_id=schema.id,
            t0_unix_ns=self._clock.unix_ns(),
            dt_ns=NS_PER_S,
            values=(row * (1.0 + noise)).astype(np.float32)[None],
            counters=np.zeros((1, len(schema.counters)), dtype=np.uint64),
        )

    def _obey(self) -> None:
        while not self._stop.is_set():
            for record in self._reader.poll(0.1):
                command = decode_command(record.value)
                if command.target in self._executors:
                    self._execute(command, record.key)

    def _execute(self, command: Command, loop_id: str) -> None:
        ack = self._executors[command.target].execute(command)
        self._bus.publish(ACKS, key=loop_id, value=encode(ack))
        highest = self._highest.get(command.target, 0)
        if ack.outcome is Outcome.APPLIED:
            self.stale_accepted += command.term < highest
            self._highest[command.target] = max(highest, command.term)
            taken = Obeyed(at_s=self._clock.monotonic_s(), cdu_id=command.target, term=command.term)
            self._obeyed.append(taken)
        elif command.term < highest:
            self.stale_refused += 1
