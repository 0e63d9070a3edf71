import math
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from agent import guard
from agent.announce import Announcer
from agent.collect import Collected, Collector, FrameMaker
from agent.durable import AgentMemory
from agent.execute import Executor
from agent.guard import LEVELS, Act, GuardLevel, Readings
from agent.inputs.base import Input
from agent.inputs.sled_identity import SledIdentityReader
from agent.notices import Notices
from agent.options import AgentOptions
from agent.outputs.runtime import JobRuntime
from agent.outputs.sled_power import SledPower
from fleet.clock import Clock
from fleet.commands import (
    Ack,
    CapPower,
    Command,
    ResetGuard,
    SetCooling,
    SetSledPower,
    StartJob,
    StopJob,
)
from fleet.errors import CommandRefusedError, DeviceError
from fleet.events import EventKind
from fleet.frame import Frame, sled_schema
from fleet.metrics import LEAK_STATES, LeakState

_log: Final = structlog.get_logger("isotherm.agent")
_CRITICAL: Final = float(LEAK_STATES.index(LeakState.CRITICAL))


class Closable(Protocol):
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SledParts:
    """What an agent reads and moves; `closing` it owns and ends."""

    inputs: Mapping[str, Input]
    identity: SledIdentityReader
    power: SledPower
    jobs: JobRuntime
    closing: tuple[Closable, ...] = ()


class SledAgent:
    """Reads, protects and commands one sled. `tick` and `execute` may come from two threads."""

    def __init__(
        self,
        *,
        agent_id: str,
        loop_id: str,
        chips: int,
        parts: SledParts,
        clock: Clock,
        options: AgentOptions,
    ) -> None:
        self.agent_id = agent_id
        self.loop_id = loop_id
        self.schema = sled_schema(chips)
        self.counts: Counter[str] = Counter()
        self._chips = chips
        self._power, self._jobs = parts.power, parts.jobs
        self._clock = clock
        self._settings = options.guard
        self._memory = AgentMemory(options.state_dir / "agents", agent_id)
        self._collector = Collector(agent_id, self.schema, parts.inputs, self.counts)
        self._frames = FrameMaker(agent_id, self._memory.epoch, self.schema, options.period_s)
        self._executor = Executor(agent_id, self._memory, clock, self._apply)
        self.notices = Notices(agent_id, self._memory.epoch, clock)
        self._announcer = Announcer(
            agent_id,
            self._memory.epoch,
            parts.identity,
            self.notices,
            self.counts,
            every_s=options.identity_s,
        )
        self._closing = parts.closing
        # Guard and commands move the same power limits, so they take turns.
        self._turn = threading.Lock()
        level, reason = self._memory.guard
        self._guard = guard.start(chips, clock.monotonic_s(), level=level, reason=reason)
        self._readings = _nothing(chips)
        self._due: tuple[Act, ...] = ()
        self._wanted_cap_ratio = 1.0
        self._junctions = slice(
            self._collector.position("junction_c", 0),
            self._collector.position("junction_c", 0) + chips,
        )
        self.notices.tell_start(loss_window_s=options.sync_s)

    @property
    def level(self) -> GuardLevel:
        return self._guard.level

    @property
    def epoch(self) -> int:
        """Which life of the agent this is."""
        return self._memory.epoch

    def tick(self) -> Frame:
        t0_unix_ns, now_s = self._clock.unix_ns(), self._clock.monotonic_s()
        collected = self._collector.collect(now_s)
        with self._turn:
            self._protect(self._see(collected), now_s)
            level = LEVELS.index(self._guard.level)
        collected.values[self._collector.position("guard_level")] = level
        self._announcer.step(now_s)
        return self._frames.make(collected, t0_unix_ns)

    def look(self) -> Frame:
        """A frame of what the devices say, with nothing written to them."""
        collected = self._collector.collect(self._clock.monotonic_s())
        return self._frames.make(collected, self._clock.unix_ns())

    def execute(self, command: Command) -> Ack:
        with self._turn:
            ack = self._executor.execute(command)
        self.notices.answer(ack)
        return ack

    def close(self) -> None:
        for device in self._closing:
            device.close()

    def _see(self, collected: Collected) -> Readings:
        def value(metric: str) -> float:
            return float(collected.values[self._collector.position(metric)])

        leak, power = value("leak_state"), value("power_state")
        return Readings(
            junction_c=tuple(collected.values[self._junctions].tolist()),
            flow_lpm=value("coolant_flow_lpm"),
            leak_critical=None if math.isnan(leak) else leak == _CRITICAL,
            powered=None if math.isnan(power) else power > 0,
        )

    def _protect(self, readings: Readings, now_s: float) -> None:
        before = self._guard.level
        self._readings = readings
        self._guard, acts = guard.step(self._settings, self._guard, readings, now_s)
        if acts:
            self._due = acts
        self._do_what_is_due()
        if self._guard.level is not before:
            self._tell_level(before)

    def _do_what_is_due(self) -> None:
        """What a device does not take now is due again at the next tick."""
        while self._due:
            try:
                self._do(self._due[0])
            except DeviceError as error:
                self.counts["guard_failures"] += 1
                _log.error("guard act failed", agent=self.agent_id, error=str(error))
                return
            self._due = self._due[1:]

    def _do(self, act: Act) -> None:
        match act:
            case Act.SHED:
                self._power.cap(min(self._wanted_cap_ratio, self._settings.shed_cap_ratio))
            case Act.RESTORE:
                self._power.cap(self._wanted_cap_ratio)
            case Act.POWER_OFF:
                self._power.force_off()
            case Act.POWER_ON:
                self._power.switch_on()
            case Act.ISOLATE:
                self._set_valves(is_open=False)
            case Act.OPEN:
                self._set_valves(is_open=True)

    def _set_valves(self, *, is_open: bool) -> None:
        if not self._power.set_valves(is_open=is_open):
            self.counts["no_valves"] += 1
            _log.warning("sled has no coolant valves", agent=self.agent_id)

    def _tell_level(self, before: GuardLevel) -> None:
        level, reason = self._guard.level, self._guard.reason
        if LEVELS.index(level) > LEVELS.index(before):
            self.counts[f"guard_{level}"] += 1
            self.notices.tell(
                EventKind.GUARD_TRIPPED,
                self._frames.next_id,
                {"level": level.value, "reason": reason.value if reason else ""},
            )
        _log.warning("guard", agent=self.agent_id, level=level.value, reason=str(reason))
        try:
            self._memory.keep_guard(level, reason)
        except OSError as error:
            self.counts["state_failures"] += 1
            _log.error("guard level not stored", agent=self.agent_id, error=str(error))

    def _apply(self, command: Command) -> str:
        match command.action:
            case StartJob() as job:
                return self._start_job(job)
            case StopJob() as job:
                return self._stop_job(job)
            case CapPower() as wanted:
                return self._cap(wanted.cap_ratio)
            case SetSledPower() as wanted:
                return self._switch(on=wanted.on)
            case ResetGuard() as word:
                return self._reset_guard(word)
            case SetCooling():
                raise CommandRefusedError("a sled has no valve and no pumps")

    def _start_job(self, job: StartJob) -> str:
        if self._guard.level is not GuardLevel.NONE:
            raise CommandRefusedError(f"the guard is at {self._guard.level}: {self._guard.reason}")
        if not job.chips or len(set(job.chips)) < len(job.chips) or max(job.chips) >= self._chips:
            raise CommandRefusedError(f"chips {job.chips} of a sled with {self._chips}")
        if self.agent_id not in job.gang:
            raise CommandRefusedError(f"{self.agent_id} is not in the gang")
        self._jobs.start(job)
        return ""

    def _stop_job(self, job: StopJob) -> str:
        self._jobs.stop(job.job_id, job.attempt)
        return ""

    def _cap(self, ratio: float) -> str:
        self._wanted_cap_ratio = ratio
        if self._guard.level is GuardLevel.NONE:
            self._power.cap(ratio)
            return ""
        self._power.cap(min(ratio, self._settings.shed_cap_ratio))
        return f"the guard holds {self._settings.shed_cap_ratio}"

    def _switch(self, *, on: bool) -> str:
        if not on:
            self._power.shut_down()
        elif self._guard.level is GuardLevel.OFF:
            raise CommandRefusedError(f"the guard switched this sled off: {self._guard.reason}")
        else:
            self._power.switch_on()
        return ""

    def _reset_guard(self, word: ResetGuard) -> str:
        before = self._guard.level
        now_s = self._clock.monotonic_s()
        self._guard, self._due = guard.reset(self._settings, self._guard, self._readings, now_s)
        _log.warning("guard reset", agent=self.agent_id, actor=word.actor, reason=word.reason)
        self._do_what_is_due()
        if before is not GuardLevel.NONE:
            self._tell_level(before)
        return "still to be done by the device" if self._due else f"was {before}"


def _nothing(chips: int) -> Readings:
    return Readings(
        junction_c=(math.nan,) * chips, flow_lpm=math.nan, leak_critical=None, powered=None
    )
