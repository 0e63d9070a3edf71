"""Case P4: agents, brokers and controllers killed at random under load; what history says after."""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from fleet.clock import Clock, SystemClock
from fleet.errors import IsothermError
from isotherm.bench.pipeline.accounts import Verdict, judge, stored_frames
from isotherm.bench.pipeline.arena import Arena
from isotherm.bench.report import Case
from isotherm.servers.components import MissingComponentError
from isotherm.servers.kafka_cluster import KafkaCluster
from isotherm.servers.postgres import PostgresServer, fresh_database
from isotherm.servers.processes import StartError

AGENTS: Final = 12
_STUCK_S: Final = 180.0
_LOOK_S: Final = 0.05
_TELL_S: Final = 15.0
_AHEAD: Final = 0.1
"""No kind is ahead of the slowest by more than this share of its kills: else what takes long to
come back would be killed at the end, alone and without the load that it is about.
"""
_DRAIN_S: Final = 60.0
_INGEST_S: Final = 15.0
"""What is confirmed is read within a second, and by a controller that begins anew within these."""
_DRAINS: Final = 4


class Prey(Enum):
    AGENT = "agents"  # one sled's agent process
    CONTROLLER = "controllers"  # one of two controller processes
    BROKER = "brokers"  # one of three brokers, never two at a time


_SHARES: Final = {Prey.CONTROLLER: 0.10, Prey.BROKER: 0.05}
"""A broker takes the longest to come back, so it is killed least often; the rest are agents."""


def p4(quick: bool, seed: int) -> Case:
    kills = 30 if quick else 300
    target = {"kills": (">=", float(kills)), "lost": ("==", 0.0), "duplicates": ("==", 0.0)}
    target["undeclared_gaps"] = ("==", 0.0)
    title = f"kill -9 at random: {AGENTS} agents, 2 controllers, 3 brokers; {kills} times"
    try:
        with ExitStack() as stack:
            cluster = stack.enter_context(KafkaCluster())
            server = stack.enter_context(PostgresServer())
            database = stack.enter_context(fresh_database(server.url))
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="isotherm-chaos-"))
            clock, tell = SystemClock(), Console(stderr=True, highlight=False, soft_wrap=True).print
            arena = Arena(cluster, database, Path(folder), clock, AGENTS)
            began_s = clock.monotonic_s()
            with arena:
                arena.await_fit(_STUCK_S)
                done = hunt(arena, order(kills, np.random.default_rng(seed)), clock, tell)
                verdict = drain(arena, tell)
            took_s = clock.monotonic_s() - began_s
    except (MissingComponentError, StartError, IsothermError) as error:
        return Case(id="P4", title=title, target=target, reason=str(error))
    return Case(id="P4", title=title, metrics=metrics(done, verdict, took_s), target=target)


def metrics(done: Mapping[Prey, int], verdict: Verdict, took_s: float) -> dict[str, float]:
    return {
        "kills": float(sum(done.values())),
        **{f"kills_of_{prey.value}": float(done[prey]) for prey in Prey},
        "lost": float(verdict.lost),
        "duplicates": float(verdict.duplicates),
        "undeclared_gaps": float(verdict.undeclared_gaps),
        "frames_spooled": float(verdict.spooled),
        "frames_stored": float(verdict.stored),
        "took_s": took_s,
    }


def order(kills: int, rng: np.random.Generator) -> list[tuple[Prey, float]]:
    """What is killed, and where among those of its kind that may be (0 to 1)."""
    prey = [kind for kind, share in _SHARES.items() for _ in range(max(round(kills * share), 1))]
    prey += [Prey.AGENT] * (kills - len(prey))
    return [(prey[n], float(rng.random())) for n in rng.permutation(len(prey)).tolist()]


def hunt(
    arena: Arena, wanted: list[tuple[Prey, float]], clock: Clock, tell: Callable[[str], None]
) -> Counter[Prey]:
    """Kill in the order, but for kinds that are not back yet, which wait while others are killed;
    raises StartError when nothing comes back. `tell` is given a line now and then.
    """
    fit: Mapping[Prey, Callable[[], list[int]]] = {
        Prey.AGENT: arena.fit_agents,
        Prey.CONTROLLER: arena.fit_controllers,
        Prey.BROKER: arena.fit_brokers,
    }
    kill: Mapping[Prey, Callable[[int], None]] = {
        Prey.AGENT: arena.kill_agent,
        Prey.CONTROLLER: arena.kill_controller,
        Prey.BROKER: arena.kill_broker,
    }
    left, done = list(wanted), Counter[Prey]()
    began_s = last_s = told_s = clock.monotonic_s()
    while left:
        there = {prey: fit[prey]() for prey in in_step(wanted, done)}
        place = next((n for n, (prey, _) in enumerate(left) if there.get(prey)), None)
        now_s = clock.monotonic_s()
        if place is not None:
            prey, where = left.pop(place)
            kill[prey](there[prey][int(where * len(there[prey]))])
            done[prey] += 1
            last_s = now_s
        elif now_s - last_s > _STUCK_S:
            raise StartError(f"nothing came back within {_STUCK_S:g} s; {len(left)} kills left")
        if now_s - told_s >= _TELL_S:
            tell(progress(done, len(left), now_s - began_s))
            told_s = now_s
        arena.pause(_LOOK_S)
    return done


def in_step(wanted: list[tuple[Prey, float]], done: Mapping[Prey, int]) -> list[Prey]:
    """Kinds of which some are left, and that are not too far ahead of the others."""
    total = Counter(prey for prey, _ in wanted)
    shares = {prey: done.get(prey, 0) / n for prey, n in total.items() if done.get(prey, 0) < n}
    return [prey for prey, share in shares.items() if share <= min(shares.values()) + _AHEAD]


def progress(done: Mapping[Prey, int], left: int, took_s: float) -> str:
    """How far it is, and how long the rest takes at the same rate."""
    killed = sum(done.values())
    kinds = ", ".join(f"{done[prey]} {prey.value}" for prey in Prey if done.get(prey))
    to_go = f"about {took_s / killed * left:.0f} s to go" if killed else "nothing is fit yet"
    return f"P4: {killed} of {killed + left} kills ({kinds or 'none'}) in {took_s:.0f} s, {to_go}"


def drain(arena: Arena, tell: Callable[[str], None]) -> Verdict:
    """Let everything come back, and see what is stored. What is measured from now on may still be
    in a spool at the end, so it is not asked for.
    """
    tell("P4: waiting for the agents' spools, then for history")
    for n in arena.agent:
        arena.note_spool(n)
    verdict = None
    for _ in range(_DRAINS):
        arena.await_confirmed(_DRAIN_S)
        for process in arena.agent.values():
            process.kill()
        arena.pause(_INGEST_S)
        for process in arena.controller.values():
            process.terminate()  # the one that leads writes its open windows
        verdict = judge(arena.spooled, stored_frames(arena.database, arena.fleet_map))
        tell(f"P4: {verdict.lost} of {verdict.spooled} frames are not in history")
        if not verdict.lost:
            break
        for process in (*arena.controller.values(), *arena.agent.values()):
            process.start()
    assert verdict is not None
    return verdict
