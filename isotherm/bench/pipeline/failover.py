"""Case P5: how long a loop is without a controller when its controller dies, stops, is cut off."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from controller.store import Store
from controller.store.leadership import shard_name
from controller.store.leases import GIVEN_BACK
from fleet.bus_kafka import KafkaBus
from fleet.clock import Clock, SystemClock
from fleet.errors import IsothermError
from fleet.kafka_options import KafkaOptions
from fleet.topics import TELEMETRY
from isotherm.bench.pipeline.field import Field
from isotherm.bench.pipeline.sharers import LOOPS, Sharer, fleet
from isotherm.bench.report import Case
from isotherm.servers.components import MissingComponentError
from isotherm.servers.kafka_broker import KafkaBroker
from isotherm.servers.postgres import PostgresServer, fresh_database
from isotherm.servers.processes import StartError

CONTROLLERS: Final = 3
_TARGET: Final = {"failover_p99_s": ("<=", 3.0), "stale_accepted": ("==", 0.0)}
_STEADY_S: Final = 60.0
_LONGEST_S: Final = 20.0
_BEYOND_S: Final = 1.0
"""A stopped or cut controller comes back so long after the last of its loops was taken over."""


class Trouble(Enum):
    KILL = "kill"  # kill -9 of the controller's process
    STOP = "stop"  # SIGSTOP, and SIGCONT beyond the lease
    CUT = "cut"  # no byte between the controller and its broker and database, healed later


def p5(quick: bool, seed: int) -> Case:
    rounds = 3 if quick else 30
    title = f"{LOOPS} loops, {CONTROLLERS} controllers; {rounds} x kill -9, SIGSTOP, partition; "
    try:
        with _servers() as (bootstrap, database, port):
            title += "PostgreSQL" if port else "SQLite (no PostgreSQL here; it is never cut off)"
            with tempfile.TemporaryDirectory(prefix="isotherm-bench-") as folder:
                metrics = _measured(bootstrap, database, port, Path(folder), rounds, seed)
        return Case(id="P5", title=title, metrics=metrics, target=_TARGET)
    except (MissingComponentError, StartError, IsothermError) as error:
        return Case(id="P5", title=title, target=_TARGET, reason=str(error))


@contextmanager
def _servers() -> Iterator[tuple[str, str, int | None]]:
    """Bootstrap, database and the database's port, None for a file."""
    with ExitStack() as stack:
        broker = stack.enter_context(KafkaBroker())
        try:
            server = stack.enter_context(PostgresServer())
        except MissingComponentError:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="isotherm-bench-"))
            yield broker.bootstrap, f"sqlite:///{folder}/isotherm.db", None
            return
        url = stack.enter_context(fresh_database(server.url))
        yield broker.bootstrap, url, int(url.rpartition("/")[0].rpartition(":")[2])


def _measured(
    bootstrap: str, database: str, port: int | None, folder: Path, rounds: int, seed: int
) -> dict[str, float]:
    clock, rng = SystemClock(), np.random.default_rng(seed)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    store, bus = Store(database), KafkaBus(KafkaOptions(bootstrap=bootstrap))
    agents = Field(fleet(), bus, clock, folder / "agents", seed)
    agents.start()
    hall = _Hall(bootstrap, database, port, folder, store, agents, clock)
    try:
        for _ in range(CONTROLLERS):
            hall.join()
        troubles = [trouble for trouble in Trouble for _ in range(rounds)]
        began_s = clock.monotonic_s()
        for done, number in enumerate(rng.permutation(len(troubles)).tolist(), start=1):
            hall.suffer(troubles[number], rng)
            took_s = clock.monotonic_s() - began_s
            console.print(progress(done, len(troubles), took_s, hall.longest_s))
    finally:
        hall.close()
        agents.stop()
        bus.close()
        store.close()
    every = [pause for pauses in hall.pauses_s.values() for pause in pauses]
    p99 = {f"{t.value}_p99_s": float(np.percentile(v, 99)) for t, v in hall.pauses_s.items()}
    return {
        "failover_p99_s": float(np.percentile(every, 99)),
        "failover_p50_s": float(np.percentile(every, 50)),
        "failover_max_s": max(every),
        **p99,
        "stale_accepted": float(agents.stale_accepted),
        "stale_refused": float(agents.stale_refused),
        "failovers": float(len(every)),
        "troubles": float(len(troubles)),
    }


def progress(done: int, troubles: int, took_s: float, longest_s: float) -> str:
    """How far it is, how long the rest takes at the same rate, and the longest pause so far."""
    to_go_s = took_s / done * (troubles - done)
    return (
        f"P5: {done} of {troubles} troubles in {took_s:.0f} s, about {to_go_s:.0f} s to go; "
        f"longest pause {longest_s:.2f} s"
    )


@dataclass
class _Hall:
    bootstrap: str
    database: str
    port: int | None
    folder: Path
    store: Store
    agents: Field
    clock: Clock
    sharers: dict[str, Sharer] = field(default_factory=dict)
    pauses_s: dict[Trouble, list[float]] = field(default_factory=dict)
    joined: int = 0

    @property
    def longest_s(self) -> float:
        """The longest that a loop was without a controller."""
        return max((pause for pauses in self.pauses_s.values() for pause in pauses), default=0.0)

    def join(self) -> None:
        self.joined += 1
        name = f"c{self.joined}"
        log = self.folder / f"{name}.log"
        self.sharers[name] = Sharer(name, self.bootstrap, self.database, self.port, log)

    def suffer(self, trouble: Trouble, rng: np.random.Generator) -> None:
        """One trouble of one controller, and how long each of its loops was without."""
        self._until_steady()
        # At any time within the second: commands go out at the same point of each.
        self._wait(float(rng.uniform(0.0, 1.0)))
        led = self._led()
        name = str(rng.choice(sorted(led)))
        terms = {cdu: self.agents.term(cdu) for cdu in led[name]}
        since_s = self.clock.monotonic_s()
        victim = self.sharers[name]
        match trouble:
            case Trouble.KILL:
                victim.kill()
            case Trouble.STOP:
                victim.stop()
            case Trouble.CUT:
                victim.cut()
        pauses = [self._pause_s(cdu, since_s, term) for cdu, term in terms.items()]
        self.pauses_s.setdefault(trouble, []).extend(pauses)
        self._wait(_BEYOND_S)
        match trouble:
            case Trouble.KILL:
                del self.sharers[name]
                self.join()
            case Trouble.STOP:
                victim.go_on()
            case Trouble.CUT:
                victim.mend()

    def close(self) -> None:
        for sharer in self.sharers.values():
            sharer.kill()

    def _pause_s(self, cdu_id: str, since_s: float, term: int) -> float:
        while self.clock.monotonic_s() - since_s < _LONGEST_S:
            if (taken := self.agents.after(cdu_id, since_s, term)) is not None:
                return taken.at_s - since_s
            self._wait(0.02)
        return _LONGEST_S

    def _led(self) -> dict[str, list[str]]:
        """Controller -> CDUs of the loops it leads."""
        fleet_map = fleet()
        with self.store.read() as tx:
            leases = {lease.name: lease for lease in tx.leases.all()}
        found: dict[str, list[str]] = {}
        for row, loop in enumerate(fleet_map.loop_ids):
            lease = leases.get(shard_name(TELEMETRY.partition_of(loop)))
            if lease is not None and lease.expires_at_unix_ns != GIVEN_BACK:
                found.setdefault(lease.holder, []).append(fleet_map.cdu_ids[row])
        return found

    def _until_steady(self) -> None:
        """Each controller leads its share, and every loop has been steered just now."""
        deadline_s = self.clock.monotonic_s() + _STEADY_S
        while self.clock.monotonic_s() < deadline_s:
            since_s = self.clock.monotonic_s()
            self._wait(2.2)
            led = self._led()
            shared = led.keys() == self.sharers.keys() and sum(map(len, led.values())) == LOOPS
            if shared and len(self.agents.steered_since(since_s)) == LOOPS:
                return
        raise StartError(f"the controllers did not share {LOOPS} loops within {_STEADY_S:g} s")

    def _wait(self, duration_s: float) -> None:
        self.clock.wait(threading.Event(), duration_s)
