"""Controllers that share one fleet, in one process, on a clock moved by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from controller.options import ControllerOptions
from controller.placement.job import JobState
from controller.runtime import ControllerRuntime
from controller.store import Store
from fleet.bus import InMemoryBus, Start
from fleet.clock import ManualClock
from fleet.commands import (
    Ack,
    Command,
    Outcome,
    SetCooling,
    StartJob,
    decode_command,
    encode,
)
from fleet.topics import ACKS, COMMANDS
from fleet.topology import FleetMap, trn3_datacenter
from isotherm.bench.pipeline.fleet_voice import FleetVoice
from tests.controller.builders import make_job

LOOPS = 4
WARM_S = 12
"""Long enough for every loop to be steered."""


@dataclass
class Hall:
    """Controllers by name, and receivers that obey the highest term they have seen."""

    url: str
    fleet_map: FleetMap = field(
        default_factory=lambda: FleetMap(trn3_datacenter(loops=LOOPS, ultraservers=1))
    )
    bus: InMemoryBus = field(default_factory=InMemoryBus)
    clock: ManualClock = field(default_factory=ManualClock)
    running: dict[str, ControllerRuntime] = field(default_factory=dict)
    accepted: list[Command] = field(default_factory=list)
    refused: list[Command] = field(default_factory=list)
    terms: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = Store(self.url)
        self.voice = FleetVoice(self.fleet_map, self.bus)
        self.voice.publish_schemas()
        self._reader = self.bus.reader(COMMANDS, start=Start.BEGINNING)

    def join(self, name: str) -> ControllerRuntime:
        self.running[name] = ControllerRuntime(
            ControllerOptions(holder=name),
            self.fleet_map,
            self.bus,
            self.store,
            self.clock,
            rng=np.random.default_rng(1),
        )
        return self.running[name]

    def run(self, seconds: int, *names: str) -> None:
        """Agents speak each second; the named controllers (all) turn three times in it."""
        for _ in range(seconds):
            self.voice.say(self.clock.unix_ns())
            for _ in range(3):
                self.clock.advance(1 / 3)
                for name in names or tuple(self.running):
                    self.running[name].cycle()
                self._obey()

    def _obey(self) -> None:
        for record in self._reader.poll(0.0):
            command = decode_command(record.value)
            good = command.term >= self.terms.get(command.target, 0)
            (self.accepted if good else self.refused).append(command)
            if good:
                self.terms[command.target] = command.term
                if isinstance(command.action, SetCooling):
                    self.voice.readings[command.target] = {
                        "valve_ratio": command.action.valve_ratio,
                        "pump_speed_ratio": command.action.pump_ratio,
                    }
            outcome = Outcome.APPLIED if good else Outcome.REFUSED_TERM
            ack = Ack(
                command_id=command.id,
                target=command.target,
                term=command.term,
                seq=command.seq,
                outcome=outcome,
                detail="",
                at_unix_ns=self.clock.unix_ns(),
            )
            self.bus.publish(ACKS, key=record.key, value=encode(ack))

    def longest_pause_s(self) -> float:
        """Between two set-points of any one CDU, since each got its first; up to now."""
        pauses = [0.0]
        for cdu in self.fleet_map.cdu_ids:
            at_s = [c.issued_at_unix_ns / 1e9 for c in self.cooling() if c.target == cdu]
            assert at_s, f"{cdu} was never steered"
            pauses += np.diff([*at_s, self.clock.unix_ns() / 1e9]).tolist()
        return max(pauses)

    def cooling(self) -> list[Command]:
        return [one for one in self.accepted if isinstance(one.action, SetCooling)]

    def jump(self) -> float:
        """Largest change of a valve or pump from one set-point to the next."""
        steps = [0.0]
        for cdu in self.fleet_map.cdu_ids:
            actions = [
                c.action
                for c in self.cooling()
                if c.target == cdu and isinstance(c.action, SetCooling)
            ]
            places = np.array([(a.valve_ratio, a.pump_ratio) for a in actions])
            steps.append(float(np.abs(np.diff(places, axis=0)).max()))
        return max(steps)

    def in_hand(self, name: str) -> frozenset[str]:
        return self.running[name]._shards.loops()

    def shared(self) -> bool:
        """Whether each loop is in exactly one hand."""
        hands = [loop for name in self.running for loop in self.in_hand(name)]
        return sorted(hands) == sorted(self.fleet_map.loop_ids)


@contextmanager
def opened(folder: Path) -> Iterator[Hall]:
    hall = Hall(url=f"sqlite:///{folder}/isotherm.db")
    yield hall
    for runtime in hall.running.values():
        runtime.stop()
    hall.store.close()


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    with opened(tmp_path) as built:
        yield built


def test_who_joins_gets_a_share_without_a_gap_in_control(hall: Hall) -> None:
    hall.join("a")
    hall.run(WARM_S)
    undisturbed = hall.jump()
    hall.join("b")
    hall.run(3)
    assert hall.shared()
    assert len(hall.in_hand("b")) >= 1
    hall.run(10)
    assert hall.longest_pause_s() <= 2.0
    assert hall.jump() <= undisturbed + 0.02
    assert hall.refused == []


def test_who_leaves_hands_its_loops_over(hall: Hall) -> None:
    hall.join("a")
    hall.join("b")
    hall.run(WARM_S)
    hall.running.pop("a").stop()
    hall.run(3)
    assert hall.in_hand("b") == frozenset(hall.fleet_map.loop_ids)
    hall.run(5)
    assert hall.longest_pause_s() <= 2.0


def test_who_stops_is_succeeded_and_can_not_act_when_it_wakes(hall: Hall) -> None:
    hall.join("a")
    hall.join("b")
    hall.join("c")
    hall.run(WARM_S)
    assert hall.shared()
    lost = hall.in_hand("a")
    assert lost
    hall.run(3, "b", "c")
    assert hall.in_hand("b") | hall.in_hand("c") == frozenset(hall.fleet_map.loop_ids)
    hall.run(10, "b", "c")
    assert hall.longest_pause_s() <= 3.0
    before = len(hall.accepted)
    hall.running["a"].effects._command("h1/cdu01", hall.cooling()[0].action, "late", 5.0)
    assert hall.running["a"].effects.withheld_total == 1
    hall.run(4)
    assert len(hall.accepted) > before
    assert hall.refused == []
    assert hall.shared()


def test_placement_goes_on_in_another_controller(hall: Hall) -> None:
    hall.join("a")
    hall.join("b")
    hall.run(WARM_S)
    hall.run(4, "b")  # whoever placed, b does now
    with hall.store.begin() as tx:
        job = make_job(id="job-1", chips=144)
        tx.jobs.add(replace(job, submitted_at_unix_ns=hall.clock.unix_ns()))
    del hall.running["a"]
    hall.run(6)
    with hall.store.read() as tx:
        placed = tx.jobs.get("job-1")
    assert placed is not None
    assert placed.state is JobState.RUNNING


def test_jobs_land_on_sleds_of_loops_that_another_controller_looks_after(hall: Hall) -> None:
    hall.join("a")
    hall.join("b")
    hall.run(WARM_S)
    with hall.store.begin() as tx:
        for number in range(LOOPS):
            job = make_job(id=f"job-{number}", chips=144)
            tx.jobs.add(replace(job, submitted_at_unix_ns=hall.clock.unix_ns()))
    hall.run(6)
    starts = [one for one in hall.accepted if isinstance(one.action, StartJob)]
    assert {one.target for one in starts} == set(hall.fleet_map.sled_ids)


def test_an_incident_moves_with_its_loop_and_is_told_once(hall: Hall) -> None:
    hall.join("a")
    hall.join("b")
    for sled in ("h1/us01/r1/s05", "h1/us03/r1/s05"):
        hall.voice.readings[sled] = {"junction_c/2": 99.0}
    hall.run(WARM_S)
    with hall.store.read() as tx:
        before = {incident.id for incident in tx.incidents.unresolved()}
    assert len(before) == 2
    hall.run(20, "b")
    with hall.store.read() as tx:
        after = {incident.id for incident in tx.incidents.unresolved()}
    assert after == before
