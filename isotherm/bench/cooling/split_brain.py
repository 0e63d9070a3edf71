"""C14: two controllers that both believe to lead, and commands that arrive late, out of order."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from agent.durable import AgentMemory
from agent.execute import Executor
from controller.cooling.control import SendCooling
from controller.cooling.loop import LoopControl
from fleet.clock import NS_PER_S, ManualClock
from fleet.commands import Command, Outcome, SetCooling
from isotherm.bench.cooling.rig import COMMAND_S, START_UNIX_NS, Rig
from isotherm.bench.cooling.scenario import SETPOINT_C, Scenario, Trial, rig
from isotherm.bench.cooling.scenario import Outcome as Scored
from isotherm.bench.cooling.trace import Trace
from thermal.arrays import FloatArray

LATEST_S: Final = 12
"""The network holds commands of the old leader back for up to so long."""
SPLIT_S: Final = 240


@dataclass(slots=True)
class _Accepted:
    """What the CDU's agent made of the commands."""

    newest_term: int = 0
    stale: int = 0
    """Carried out though a newer leader had spoken, or though they had run out."""
    sent_old: int = 0
    refused: int = 0


class _Cdu:
    """The CDU's agent in front of the rig: term, expiry and order are its to judge."""

    def __init__(self, bench: Rig, folder: Path) -> None:
        self._bench, self._clock = bench, ManualClock(START_UNIX_NS)
        self.accepted = _Accepted()
        memory = AgentMemory(folder, "h1/cdu0000")
        self._executor = Executor("h1/cdu0000", memory, self._clock, self._apply)

    def tick(self) -> None:
        self._clock.advance(1.0)

    def now_unix_ns(self) -> int:
        return self._clock.unix_ns()

    def hear(self, command: Command) -> None:
        accepted = self.accepted
        if command.term < accepted.newest_term:
            accepted.sent_old += 1
        expired = command.expires_at_unix_ns <= self._clock.unix_ns()
        answer = self._executor.execute(command)
        if answer.outcome is Outcome.APPLIED:
            accepted.stale += command.term < accepted.newest_term or expired
            accepted.newest_term = max(accepted.newest_term, command.term)
        else:
            accepted.refused += 1

    def _apply(self, command: Command) -> str:
        action = command.action
        assert isinstance(action, SetCooling)
        self._bench.obey(0, action)
        return ""


def c14(trial: Trial) -> Scored:
    """A leader is cut off and does not know it; another takes over, and both write for minutes."""
    bench = rig(trial)
    bench.load_ratio[:] = 0.6
    bench.settle(240 if trial.quick else 420)
    rng = np.random.default_rng(trial.seed)
    with tempfile.TemporaryDirectory() as folder:
        cdu = _Cdu(bench, Path(folder))
        bench.trace = Trace()
        bumps = _split(bench, cdu, rng)
    accepted = cdu.accepted
    error = np.abs(bench.trace.column("supply_c") - SETPOINT_C)
    return Scored(
        metrics={
            "stale_accepted": float(accepted.stale),
            "bump_ratio": bumps,
            "supply_error_k": float(error.max()),
            "old_commands": float(accepted.sent_old),
            "refused": float(accepted.refused),
        },
        trace=bench.trace,
    )


def _split(bench: Rig, cdu: _Cdu, rng: np.random.Generator) -> float:
    """Both lead; returns the largest step of valve or pumps when the new one takes over."""
    old: LoopControl = bench.controls[0]
    held: list[tuple[int, Command]] = []
    bench.controller_alive = False
    bump, seq = 0.0, 0
    for second in range(SPLIT_S):
        taken_over = second >= SPLIT_S // 4
        before = _positions(bench)
        cdu.tick()
        new = bench.controls[0]
        # Both decide on the same telemetry, each from its own memory.
        old, effects = bench.decide(old, 0)
        for effect in effects:
            seq += 1
            if isinstance(effect, SendCooling):
                late_s = int(rng.integers(0, LATEST_S)) if taken_over else 0
                held.append((second + late_s, _command(cdu, effect.action, 1, seq)))
        if taken_over:
            new, effects = bench.decide(new, 0)
            for effect in effects:
                seq += 1
                if isinstance(effect, SendCooling):
                    cdu.hear(_command(cdu, effect.action, 2, seq))
        else:
            new = old
        bench.controls[0] = new
        due = [command for at, command in held if at <= second]
        held = [(at, command) for at, command in held if at > second]
        for number in rng.permutation(len(due)):
            cdu.hear(due[number])
        bench.run(1)
        if second == SPLIT_S // 4:
            bump = float(np.abs(_positions(bench) - before).max())
    bench.controller_alive = True
    return bump


def _command(cdu: _Cdu, action: SetCooling, term: int, seq: int) -> Command:
    now_ns = cdu.now_unix_ns()
    return Command(
        id=f"{term}-{seq}",
        target="h1/cdu0000",
        cause="bench",
        issued_at_unix_ns=now_ns,
        expires_at_unix_ns=now_ns + round(COMMAND_S * NS_PER_S),
        term=term,
        seq=seq,
        action=action,
    )


def _positions(bench: Rig) -> FloatArray:
    state = bench.firmware[0].state
    return np.array([state.valve_ratio, *state.pump_ratio])


SCENARIOS: Final = (
    Scenario(
        id="C14",
        title="two leaders: the old one writes on, late and out of order",
        run=c14,
        target={"stale_accepted": ("==", 0.0), "bump_ratio": ("<=", 0.01)},
    ),
)
