from collections import Counter
from pathlib import Path
from typing import cast

import numpy as np

from agent.spool import Spool, SpoolSettings
from fleet.clock import ManualClock
from isotherm.bench.pipeline.accounts import confirmed, judge
from isotherm.bench.pipeline.arena import Arena
from isotherm.bench.pipeline.chaos import Prey, hunt, order, progress

LIFE = ("h1/us01/r1/s01", 1)


def test_all_there_is_a_clean_account() -> None:
    verdict = judge({LIFE: 3}, {LIFE: Counter([1, 2, 3, 4])})
    assert (verdict.lost, verdict.duplicates, verdict.undeclared_gaps) == (0, 0, 0)
    assert (verdict.spooled, verdict.stored) == (3, 4)


def test_a_hole_is_lost_and_a_gap_and_a_missing_end_is_lost() -> None:
    verdict = judge({LIFE: 6}, {LIFE: Counter([1, 4])})
    assert (verdict.lost, verdict.undeclared_gaps) == (4, 1)


def test_a_life_that_nobody_heard_of_is_lost() -> None:
    assert judge({LIFE: 2}, {}).lost == 2


def test_what_stands_twice_is_a_duplicate_even_of_a_life_that_is_not_asked_for() -> None:
    assert judge({}, {LIFE: Counter([1, 1, 1])}).duplicates == 2


def test_an_order_has_every_kind_and_repeats_with_its_seed() -> None:
    kills = order(30, np.random.default_rng(1))
    assert kills == order(30, np.random.default_rng(1))
    assert Counter(prey for prey, _ in kills) == {
        Prey.AGENT: 25,
        Prey.CONTROLLER: 3,
        Prey.BROKER: 2,
    }


class SlowBroker:
    """An arena in which agents are always there, and a broker is away for a minute after a kill."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.killed: list[Prey] = []
        self._back_s = 0.0

    def fit_agents(self) -> list[int]:
        return [0]

    def fit_controllers(self) -> list[int]:
        return [0]

    def fit_brokers(self) -> list[int]:
        return [1, 2, 3] if self.clock.monotonic_s() >= self._back_s else []

    def kill_agent(self, _: int) -> None:
        self.killed.append(Prey.AGENT)

    def kill_controller(self, _: int) -> None:
        self.killed.append(Prey.CONTROLLER)

    def kill_broker(self, _: int) -> None:
        self.killed.append(Prey.BROKER)
        self._back_s = self.clock.monotonic_s() + 60.0

    def pause(self, duration_s: float) -> None:
        self.clock.advance(duration_s)


def test_what_takes_long_is_killed_among_the_rest_and_not_all_at_the_end() -> None:
    arena, told = SlowBroker(), list[str]()
    wanted = order(300, np.random.default_rng(3))
    done = hunt(cast("Arena", arena), wanted, arena.clock, told.append)
    assert done == Counter(prey for prey, _ in wanted)
    places = [n for n, prey in enumerate(arena.killed) if prey is Prey.BROKER]
    assert len(places) == 15
    assert np.diff(places).min() > 5, "others die while a broker is away"
    assert told
    assert told[0].startswith("P4: ")


def test_progress_says_how_long_the_rest_takes() -> None:
    done = {Prey.AGENT: 8, Prey.BROKER: 2}
    assert progress(done, 90, 20.0) == (
        "P4: 10 of 100 kills (8 agents, 2 brokers) in 20 s, about 180 s to go"
    )
    assert progress({}, 5, 20.0).endswith("nothing is fit yet")


def test_the_mark_of_a_spool_says_what_kafka_has(tmp_path: Path) -> None:
    assert confirmed(tmp_path) == 0
    spool = Spool(tmp_path / "spool" / "telemetry", SpoolSettings(), ManualClock())
    numbers = [spool.append(bytes([n])) for n in range(5)]
    spool.lend(5)
    spool.confirm(numbers[:3])
    spool.sync()
    spool.close()
    assert confirmed(tmp_path) == numbers[2]
