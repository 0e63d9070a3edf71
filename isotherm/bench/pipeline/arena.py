"""Real agents, brokers and controllers as processes that can be killed and come back."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from fleet.clock import Clock
from fleet.kafka_options import FILE_VARIABLE
from fleet.topology import FleetMap, trn3_datacenter
from isotherm.bench.pipeline.accounts import Life, confirmed, last_spooled
from isotherm.servers.kafka_cluster import KafkaCluster
from isotherm.servers.processes import StartError, dies_with_parent

LINES: Final = 20_000
REPORT: Final = (
    '{"neuron_runtime_data": [], "system_data": {"memory_info": {"memory_used_bytes": 5e9}}}\n'
)
NOBODY: Final = "http://127.0.0.1:9"
"""No BMC answers there: the agents live on their recorded stream, and say NaN for the rest."""
PERIOD_S: Final = 0.2
_LOOK_S: Final = 0.25
WARM_S: Final = 6.0
"""A controller is killed no sooner after its start: by then it has read its offsets."""


def _after_brokers() -> list[str]:
    """Sleds are machines of their own. Here interpreters that start by the dozen would hold up the
    start of a broker tenfold.
    """
    nice = shutil.which("nice")
    return [nice, "-n", "5"] if nice else []


@dataclass
class Process:
    """A role of the house as an operating-system process."""

    arguments: Sequence[str]
    log: Path
    environment: dict[str, str]
    clock: Clock
    started_s: float = 0.0
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*_after_brokers(), *dies_with_parent([sys.executable, "-m", *self.arguments])],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | self.environment,
            )
        self.started_s = self.clock.monotonic_s()

    def check(self) -> None:
        """Raises StartError when it ended though nobody killed it."""
        if self._process is not None and (code := self._process.poll()) is not None:
            said = self.log.read_text(errors="replace")[-500:]
            raise StartError(f"{self.arguments[0]} ended with code {code}: {said}")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None


@dataclass
class Arena:
    """Sled agents, controllers and a cluster of brokers; `spooled` is what must be found stored.

    Use it from one thread that outlives it: the kernel ends the processes with their starter.
    """

    cluster: KafkaCluster
    database: str
    folder: Path
    clock: Clock
    agents: int
    controllers: int = 2
    spooled: dict[Life, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fleet_map = FleetMap(trn3_datacenter(loops=1, ultraservers=1))
        settings = self.folder / "kafka.toml"
        settings.write_text("replication = 3\nmin_in_sync = 2\n")
        recording = self.folder / "monitor.ndjson"
        recording.write_text(REPORT * LINES)
        (loop,) = self.fleet_map.loop_ids
        environment = {FILE_VARIABLE: str(settings), "ISOTHERM_DATABASE": self.database}
        kafka = ("--kafka", self.cluster.bootstrap)
        self.agent = {
            n: Process(
                arguments=(
                    *("agent", "--sled", sled, "--loop", loop, "--redfish", NOBODY, *kafka),
                    *("--neuron-monitor-file", str(recording), "--period", str(PERIOD_S)),
                    *("--state-dir", str(self.state_dir(n))),
                ),
                log=self.folder / f"agent{n}.log",
                environment=environment,
                clock=self.clock,
            )
            for n, sled in enumerate(self.fleet_map.sled_ids[: self.agents])
        }
        self.controller = {
            n: Process(
                arguments=("controller", *kafka, "--ultraservers", "1", "--loops", "1"),
                log=self.folder / f"controller{n}.log",
                environment=environment,
                clock=self.clock,
            )
            for n in range(self.controllers)
        }
        self._before: dict[int, int] = {}
        self._newest: dict[int, int] = {}

    def state_dir(self, agent: int) -> Path:
        return self.folder / f"agent{agent}"

    def __enter__(self) -> Self:
        # The controllers make the topics; agents wait for them.
        for process in (*self.controller.values(), *self.agent.values()):
            process.start()
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.agent.values(), *self.controller.values()):
            process.kill()

    def await_fit(self, timeout_s: float) -> None:
        """Until each process has done something; raises StartError when one does not."""
        deadline_s = self.clock.monotonic_s() + timeout_s
        while True:
            fit = (self.fit_agents(), self.fit_controllers(), self.fit_brokers())
            if sum(map(len, fit)) == self.agents + self.controllers + len(self.cluster.numbers):
                return
            for process in (*self.agent.values(), *self.controller.values()):
                process.check()
            if self.clock.monotonic_s() > deadline_s:
                raise StartError(f"agents, controllers, brokers that serve: {fit}")
            self.pause(_LOOK_S)

    def await_confirmed(self, timeout_s: float) -> None:
        """Until Kafka has what the spools held when they were noted, or the time is over."""
        deadline_s = self.clock.monotonic_s() + timeout_s
        while self.clock.monotonic_s() < deadline_s:
            marks = {n: confirmed(self.state_dir(n)) for n in self.agent}
            if all(marks[n] >= self._newest.get(n, 0) for n in self.agent):
                return
            self.pause(_LOOK_S)

    def fit_agents(self) -> list[int]:
        """Agents that have spooled a frame since they were started."""
        return [n for n in self.agent if self._bytes(n) != self._before.get(n, 0)]

    def fit_controllers(self) -> list[int]:
        now_s = self.clock.monotonic_s()
        return [n for n, p in self.controller.items() if now_s - p.started_s > WARM_S]

    def fit_brokers(self) -> list[int]:
        """All or none: one is away at a time."""
        numbers = self.cluster.numbers
        ready = all(self.cluster.node(n).says_ready() for n in numbers)
        return list(numbers) if ready else []

    def kill_agent(self, n: int) -> None:
        self.agent[n].check()
        self.agent[n].kill()
        self.note_spool(n)
        self._before[n] = self._bytes(n)
        self.agent[n].start()

    def kill_controller(self, n: int) -> None:
        self.controller[n].check()
        self.controller[n].kill()
        self.controller[n].start()

    def kill_broker(self, number: int) -> None:
        self.cluster.node(number).kill()
        self.cluster.node(number).launch()

    def note_spool(self, n: int) -> None:
        lives, self._newest[n] = last_spooled(self.state_dir(n))
        for life, last in lives.items():
            self.spooled[life] = max(self.spooled.get(life, 0), last)

    def pause(self, duration_s: float) -> None:
        self.clock.wait(threading.Event(), duration_s)

    def _bytes(self, n: int) -> int:
        folder = self.state_dir(n) / "spool" / "telemetry"
        return sum(path.stat().st_size + 1 for path in folder.glob("*.seg"))
