import math
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from agent.collect import Collected, Collector, FrameMaker
from agent.durable import AgentMemory
from agent.execute import Executor, acknowledge
from agent.inputs.base import Input
from agent.notices import Notices
from agent.options import AgentOptions, CoolingLimits
from agent.sled import Closable
from agent.taking_over import InForce, eased
from fleet.clock import NS_PER_S, Clock
from fleet.commands import Ack, Command, Outcome, SetCooling
from fleet.errors import CommandRefusedError, DeviceError
from fleet.events import EventKind
from fleet.frame import Frame, cdu_schema

_log: Final = structlog.get_logger("isotherm.agent")
_REMOTE: Final = 1.0
_STEP_K: Final = 0.1
"""Smallest move of a set-point that is worth a write."""


class CduActuators(Protocol):
    """What moves a CDU."""

    def apply(self, wanted: SetCooling) -> str:
        """What part of it did not work, if the rest cools on; DeviceError if it does not."""

    def told(self) -> InForce:
        """What the CDU asks of its actuators now; DeviceError if it does not answer."""

    def hold(self, supply_c: float) -> None:
        """What the CDU's own loop is to hold; DeviceError if it does not take it."""

    def ask_water(self, facility_c: float) -> None:
        """Ask the building for facility water; DeviceError where nobody takes it on."""

    def hand_back(self) -> None:
        """The CDU's own loop takes over."""


@dataclass(slots=True)
class _Alone:
    """The CDU's own loop without a controller, since a time of the monotonic clock."""

    since_s: float
    supply_c: float | None
    """Its set-point; None until it is known."""
    ramped_s: float
    written_c: float | None = None


@dataclass(slots=True)
class _Asked:
    """What the building was last asked for, at a time of the monotonic clock."""

    facility_c: float
    at_s: float


@dataclass(slots=True)
class _Lease:
    """What holds until a time of the monotonic clock, which no one can set back."""

    command: Command
    wanted: SetCooling
    until_s: float
    written_s: float


class CduAgent:
    """Reads one CDU and moves it while a lease holds; without one the CDU's own loop cools.

    `tick` and `execute` may come from two threads.
    """

    def __init__(
        self,
        *,
        agent_id: str,
        loop_id: str,
        pumps: int,
        inputs: Mapping[str, Input],
        actuators: CduActuators,
        clock: Clock,
        options: AgentOptions,
        closing: tuple[Closable, ...] = (),
    ) -> None:
        self.agent_id = agent_id
        self.loop_id = loop_id
        self.schema = cdu_schema(pumps)
        self.counts: Counter[str] = Counter()
        self._actuators = actuators
        self._clock = clock
        self._limits: CoolingLimits = options.cooling
        self._memory = AgentMemory(options.state_dir / "agents", agent_id)
        self._collector = Collector(agent_id, self.schema, inputs, self.counts)
        self._frames = FrameMaker(agent_id, self._memory.epoch, self.schema, options.period_s)
        self._executor = Executor(agent_id, self._memory, clock, self._apply)
        self.notices = Notices(agent_id, self._memory.epoch, clock)
        self._closing = closing
        self._turn = threading.Lock()
        self._lease: _Lease | None = None
        self._asked: _Asked | None = None
        self._shown = InForce(valve_ratio=math.nan, pump_ratio=math.nan)
        # An agent that starts knows of no lease: whatever an earlier one left ends here.
        self._hand_back_due = True
        self._alone = _Alone(clock.monotonic_s(), None, clock.monotonic_s())
        self.notices.tell_start(loss_window_s=options.sync_s)

    @property
    def leased(self) -> bool:
        return self._lease is not None

    @property
    def epoch(self) -> int:
        """Which life of the agent this is."""
        return self._memory.epoch

    def tick(self) -> Frame:
        t0_unix_ns, now_s = self._clock.unix_ns(), self._clock.monotonic_s()
        collected = self._collector.collect(now_s)
        mode = collected.values[self._collector.position("control_mode")]
        shown = self._in_force(collected)
        with self._turn:
            self._shown = shown
            self._watch(remote=bool(mode == _REMOTE), now_s=now_s)
            if self._lease is None:
                self._fend(self._value(collected, "supply_c"), collected, now_s)
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
        """Hand the CDU back to its own loop, then let go of it."""
        with self._turn:
            if self._lease is not None:
                self._lease = None
                self._hand_back()
        for device in self._closing:
            device.close()

    def _watch(self, *, remote: bool, now_s: float) -> None:
        lease = self._lease
        if lease is None:
            if self._hand_back_due or remote:
                self._hand_back()
        elif now_s >= lease.until_s:
            self._lapse(lease, now_s)
        elif now_s - lease.written_s >= self._limits.rewrite_s:
            self._rewrite(lease, now_s)

    def _value(self, collected: Collected, metric: str) -> float:
        return float(collected.values[self._collector.position(metric)])

    def _in_force(self, collected: Collected) -> InForce:
        """How valve and fastest pump stand."""
        schema = self.schema.columns
        speeds = [
            float(collected.values[at])
            for at, column in enumerate(schema)
            if column.metric == "pump_speed_ratio"
        ]
        return InForce(
            valve_ratio=self._value(collected, "valve_ratio"),
            pump_ratio=max(filter(math.isfinite, speeds), default=math.nan),
        )

    def _fend(self, measured_c: float, collected: Collected, now_s: float) -> None:
        """Without a controller: the last set-point holds for a while, then a safe one comes, at the
        slew of set-points and above the dew point. A cooler one stays.
        """
        alone, limits = self._alone, self._limits
        since_s, alone.ramped_s = alone.ramped_s, now_s
        if now_s - alone.since_s < limits.alone_hold_s:
            return
        if alone.supply_c is None and math.isfinite(measured_c):
            alone.supply_c = measured_c
        if alone.supply_c is None:
            return
        dew_c = self._value(collected, "dew_point_c")
        floor_c = dew_c + limits.dew_margin_k if math.isfinite(dew_c) else limits.alone_supply_c
        safe_c = max(limits.alone_supply_c, floor_c)
        least_c = alone.supply_c - limits.alone_ramp_k_per_s * (now_s - since_s)
        if alone.supply_c > safe_c:
            alone.supply_c = max(least_c, safe_c)
        alone.supply_c = min(max(alone.supply_c, floor_c), limits.highest_supply_c)
        if alone.written_c is None or abs(alone.written_c - alone.supply_c) >= _STEP_K:
            self._hold(alone)

    def _hold(self, alone: _Alone) -> None:
        wanted_c = round(alone.supply_c or 0.0, 1)
        try:
            self._actuators.hold(wanted_c)
        except DeviceError as error:
            self.counts["hold_failures"] += 1
            _log.error("CDU takes no set-point", agent=self.agent_id, error=str(error))
        else:
            alone.written_c = wanted_c

    def _lapse(self, lease: _Lease, now_s: float) -> None:
        self._lease = None
        self._alone = _Alone(now_s, lease.wanted.supply_c, now_s)
        self._hand_back()
        command = lease.command
        detail = "no newer command came: the CDU's own loop cools"
        _log.warning("lease lapsed", agent=self.agent_id, command=command.id)
        self.counts["leases_lapsed"] += 1
        self.notices.tell(EventKind.LEASE_LAPSED, command.id, {})
        self.notices.answer(acknowledge(command, Outcome.LAPSED, detail, self._clock.unix_ns()))

    def _hand_back(self) -> None:
        """Tried again at each tick until the CDU takes it."""
        self._hand_back_due = True
        try:
            self._actuators.hand_back()
        except DeviceError as error:
            self.counts["hand_back_failures"] += 1
            _log.error(
                "CDU does not go back to its own loop", agent=self.agent_id, error=str(error)
            )
        else:
            self._hand_back_due = False

    def _rewrite(self, lease: _Lease, now_s: float) -> None:
        lease.written_s = now_s
        try:
            self._actuators.apply(lease.wanted)
        except DeviceError:
            self.counts["rewrite_failures"] += 1

    def _apply(self, command: Command) -> str:
        wanted = command.action
        if not isinstance(wanted, SetCooling):
            raise CommandRefusedError("a CDU takes SetCooling only")
        self._check(wanted)
        first = wanted if self._lease is not None else self._eased(wanted)
        detail = self._actuators.apply(first)
        now_s = self._clock.monotonic_s()
        detail = "; ".join(filter(None, (detail, self._ask_water(wanted.facility_c, now_s))))
        left_s = (command.expires_at_unix_ns - self._clock.unix_ns()) / NS_PER_S
        until_s = now_s + min(left_s, self._limits.longest_lease_s)
        self._lease = _Lease(command, wanted, until_s, now_s)
        self._hand_back_due = False
        return detail

    def _eased(self, wanted: SetCooling) -> SetCooling:
        """The first command of a lease; nothing is waited for where the CDU does not say."""
        try:
            told = self._actuators.told()
        except DeviceError:
            return wanted
        return eased(self._limits, wanted, told=told, shown=self._shown)

    def _ask_water(self, facility_c: float | None, now_s: float) -> str:
        """Why the building was not asked, if it was to be; the loop cools on either way."""
        if facility_c is None:
            self._asked = None
            return ""
        asked = self._asked
        if asked is not None and asked.facility_c == facility_c:
            due_s = asked.at_s + self._limits.ask_again_s
        else:
            due_s = now_s
        if now_s < due_s:
            return ""
        self._asked = _Asked(facility_c, now_s)
        try:
            self._actuators.ask_water(facility_c)
        except DeviceError as error:
            self.counts["water_refusals"] += 1
            return f"facility water: {error}"
        return ""

    def _check(self, wanted: SetCooling) -> None:
        limits = self._limits
        facility_c = wanted.facility_c
        if facility_c is not None:
            low_c, high_c = limits.lowest_facility_c, limits.highest_facility_c
            if not low_c <= facility_c <= high_c:
                raise CommandRefusedError(
                    f"facility water of {facility_c} C is outside {low_c}..{high_c} C"
                )
        if not limits.lowest_supply_c <= wanted.supply_c <= limits.highest_supply_c:
            raise CommandRefusedError(
                f"supply of {wanted.supply_c} C is outside "
                f"{limits.lowest_supply_c}..{limits.highest_supply_c} C"
            )
        if wanted.pump_ratio < limits.lowest_pump_ratio:
            raise CommandRefusedError(
                f"pumps at {wanted.pump_ratio} are below {limits.lowest_pump_ratio}"
            )
