"""Agents over fake devices, with keyword defaults."""

from dataclasses import dataclass, field
from pathlib import Path

from agent.build import cdu_agent, sled_agent
from agent.cdu import CduAgent
from agent.inputs.devices import CduDevices, SledDevices
from agent.options import AgentOptions
from agent.sled import SledAgent
from fleet.clock import NS_PER_S, ManualClock
from fleet.commands import Action, Command
from fleet.frame import Frame, Schema
from tests.agent.devices import Cdu, JobRuntime, Lines, SledBmc

LOOP = "h1/loop01"
SLED = "h1/us01/r1/s01"
CDU_ID = "h1/cdu01"


@dataclass
class Sled:
    directory: Path
    clock: ManualClock = field(default_factory=ManualClock)
    name: str = SLED
    bmc: SledBmc = field(default_factory=SledBmc)
    jobs: JobRuntime = field(default_factory=JobRuntime)
    lines: Lines = field(default_factory=Lines)

    @property
    def options(self) -> AgentOptions:
        return AgentOptions(state_dir=self.directory)

    def agent(self) -> SledAgent:
        devices = SledDevices(lines=self.lines, bmc=self.bmc, runtime=self.jobs)
        return sled_agent(self.options, self.name, LOOP, devices, self.clock)


@dataclass
class CduPlace:
    directory: Path
    clock: ManualClock = field(default_factory=ManualClock)
    bmc: Cdu = field(default_factory=Cdu)

    def agent(self) -> CduAgent:
        options = AgentOptions(state_dir=self.directory)
        return cdu_agent(options, CDU_ID, LOOP, CduDevices(bmc=self.bmc), self.clock)


_numbers = iter(range(1, 1_000_000))


def command(
    action: Action,
    clock: ManualClock,
    *,
    target: str = SLED,
    term: int = 1,
    lease_s: float = 5.0,
    name: str | None = None,
) -> Command:
    number = next(_numbers)
    return Command(
        id=name or f"command-{number}",
        target=target,
        cause="test",
        issued_at_unix_ns=clock.unix_ns(),
        expires_at_unix_ns=clock.unix_ns() + round(lease_s * NS_PER_S),
        term=term,
        seq=number,
        action=action,
    )


def value(schema: Schema, frame: Frame, metric: str, part: int = 0) -> float:
    columns = [(column.metric, column.part) for column in schema.columns]
    return float(frame.values[-1, columns.index((metric, part))])


def count(schema: Schema, frame: Frame, metric: str, part: int = 0) -> int:
    counters = [(column.metric, column.part) for column in schema.counters]
    return int(frame.counters[-1, counters.index((metric, part))])
