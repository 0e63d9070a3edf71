"""Agents of a fleet for benchmarks of the controllers: they speak once a second and obey."""

import threading
from dataclasses import dataclass
from pathlib import Path

from agent.durable import AgentMemory
from agent.execute import Executor
from fleet.bus import Bus, Start
from fleet.clock import Clock, run_at_rate
from fleet.commands import Command, Outcome, decode_command, encode
from fleet.topics import ACKS, COMMANDS
from fleet.topology import FleetMap
from isotherm.bench.pipeline.fleet_voice import FleetVoice


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
        self._bus = bus
        self._clock = clock
        self._voice = FleetVoice(fleet_map, bus, seed=seed)
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
        self._voice.publish_schemas()
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
        run_at_rate(self._clock, self._stop, 1.0, lambda: self._voice.say(self._clock.unix_ns()))

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
