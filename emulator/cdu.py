"""The firmware of a CDU: it cools on its own, obeys written commands, and protects itself.

Local mode holds the supply temperature with the facility valve (PI) and the pressure difference
over the racks with the pumps. Remote mode follows the written registers. Neither may pass the slew
limits, and protection stands above both.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Final

from emulator.readings import CduReadings, CduRequests, ControlMode, PumpHealth
from thermal.control import pid
from thermal.control.pid import PidGains, PidState
from thermal.plant.state import Actuators


@dataclass(frozen=True, slots=True, kw_only=True)
class ValveLoop:
    """PI on supply temperature. Gains are estimates, tuned on the plant of `thermal.plant`."""

    gains: PidGains = field(
        default_factory=lambda: PidGains(proportional_per_k=0.08, integral_per_k_s=0.004)
    )
    """At `schedule_position_ratio`: a 25 to 100 % load step peaks at 1.9 K (measured on the plant).
    A vendor's firmware has 0.15 and 0.008 for a valve of another authority."""
    stroke_s: float = 30.0
    """Full stroke of the command; fast ball actuators take 15..60 s (estimate)."""
    schedule_position_ratio: float = 0.6
    """Estimate: position for which the gains hold; the gain of an equal-percentage valve rises
    with its position, so the law's gains fall with it."""
    schedule_exponent: float = 2.0
    """Estimate: gains are divided by exp(exponent * (position - schedule position))."""


FANS: Final = ValveLoop(
    gains=PidGains(proportional_per_k=0.15, integral_per_k_s=0.006), schedule_exponent=0.0
)
"""The same law on the fans of a liquid-to-air CDU, whose heat follows speed almost straight: a load
step from 25 to 100 % peaks at 1.7 K (measured on the plant)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PumpLoop:
    """Integral action on the relative error of pressure difference or flow."""

    target_dp_kpa: float = 180.0
    """Design drop of the loop: 70 kPa sleds, 110 kPa headers and exchanger (`thermal.plant`)."""
    target_flow_lpm: float | None = None
    """Hold this flow instead of the pressure difference."""
    gain_per_s: float = 0.1
    """Estimate: speed a second for each unit of relative error."""
    up_per_s: float = 0.05
    """Safe control of cooling: at most 5 %/s up, and slower down."""
    down_per_s: float = 0.02
    minimum_ratio: float = 0.3
    """Estimate (30..45 %)."""
    lead_ratio: float = 0.1
    """Estimate: how far the common command may lead the slowest drive, against wind-up."""
    standby_pumps: int = 0
    """Pumps, last in the row, that stand still until a duty pump trips. The default runs all:
    a cold pump needs about 10 s to give flow, by when a 1 kW chip without it is at 85 C."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """Limits that no command passes. All are estimates."""

    over_temperature_c: float = 50.0
    """Supply: valve and pumps go to full, in any mode."""
    over_temperature_end_c: float = 46.0
    dew_margin_k: float = 3.0
    """The own set-point stays this far above the dew point."""
    condensation_margin_k: float = 1.0
    """Supply nearer to the dew point shuts the valve, in any mode."""
    dry_level_ratio: float = 0.03
    """Pumps stop below this level, and start again above `refilled_level_ratio`."""
    refilled_level_ratio: float = 0.10
    dry_dp_kpa: float = 5.0
    """A running pump that builds less than this draws gas."""
    dry_confirm_s: float = 5.0
    dry_pause_s: float = 30.0
    """How long a dry pump rests before it tries again."""
    sensor_grace_s: float = 3.0
    """How long the last command stands when the supply sensor shows nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CduSettings:
    valve: ValveLoop = field(default_factory=ValveLoop)
    pump: PumpLoop = field(default_factory=PumpLoop)
    protection: Protection = field(default_factory=Protection)
    remote_lease_s: float = 10.0
    """Remote mode without a write for this long ends in Local mode."""
    start_valve_ratio: float = 0.5
    start_pump_ratio: float = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareState:
    """Memory of the firmware between two steps."""

    valve_ratio: float
    """Command in force."""
    pump_ratio: tuple[float, ...]
    """Speed commands in force."""
    pump_enabled: tuple[bool, ...]
    pid: PidState = field(default_factory=PidState)
    over_temperature: bool = False
    dry_for_s: float = 0.0
    """How long running pumps have built no pressure."""
    dry_pause_left_s: float = 0.0
    level_low: bool = False
    blind_for_s: float = 0.0
    """How long the supply sensor has shown nothing."""

    @property
    def dry(self) -> bool:
        """Pumps are stopped because they have nothing to pump."""
        return self.level_low or self.dry_pause_left_s > 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What the registers say, after the lease was checked. None: the own loop decides."""

    valve_ratio: float | None
    pump_ratio: tuple[float, ...] | None
    supply_setpoint_c: float
    flow_target_lpm: float | None = None
    """None: as the settings say."""
    stopped: bool = False


def initial_state(settings: CduSettings, pumps: int) -> FirmwareState:
    duty = pumps - min(settings.pump.standby_pumps, pumps - 1)
    return FirmwareState(
        valve_ratio=settings.start_valve_ratio,
        pump_ratio=(settings.start_pump_ratio,) * pumps,
        pump_enabled=tuple(row < duty for row in range(pumps)),
    )


def step(
    settings: CduSettings, state: FirmwareState, orders: Orders, sensed: CduReadings, dt_s: float
) -> FirmwareState:
    """Commands for the next `dt_s`, and what to remember."""
    state = _watch(settings.protection, state, sensed, dt_s)
    valve_ratio, memory = _valve(settings, state, orders, sensed, dt_s)
    return replace(
        state,
        valve_ratio=valve_ratio,
        pid=memory,
        pump_ratio=_pumps(settings.pump, state, orders, sensed, dt_s),
        pump_enabled=_enabled(settings.pump, state, orders, sensed),
    )


# --- protection ----------------------------------------------------------------------------------


def _watch(
    limits: Protection, state: FirmwareState, sensed: CduReadings, dt_s: float
) -> FirmwareState:
    blind = not math.isfinite(sensed.supply_c)
    hot = state.over_temperature
    if sensed.supply_c >= limits.over_temperature_c:
        hot = True
    elif sensed.supply_c <= limits.over_temperature_end_c:
        hot = False
    low = state.level_low
    if sensed.reservoir_level_ratio < limits.dry_level_ratio:
        low = True
    elif sensed.reservoir_level_ratio > limits.refilled_level_ratio:
        low = False
    dry_for_s = state.dry_for_s + dt_s if _draws_gas(limits, state, sensed) else 0.0
    pause_s = max(0.0, state.dry_pause_left_s - dt_s)
    if dry_for_s >= limits.dry_confirm_s:
        dry_for_s, pause_s = 0.0, limits.dry_pause_s
    return replace(
        state,
        over_temperature=hot,
        level_low=low,
        dry_for_s=dry_for_s,
        dry_pause_left_s=pause_s,
        blind_for_s=state.blind_for_s + dt_s if blind else 0.0,
    )


def _draws_gas(limits: Protection, state: FirmwareState, sensed: CduReadings) -> bool:
    if state.dry:
        return False
    at_speed = any(speed >= _AT_SPEED_RATIO for speed in sensed.pump_speed_ratio)
    return at_speed and sensed.secondary_dp_kpa < limits.dry_dp_kpa


# Below this speed a healthy pump's head is too near to the sensor's error.
_AT_SPEED_RATIO: Final = 0.25


def _forced_valve(
    settings: CduSettings, state: FirmwareState, orders: Orders, sensed: CduReadings
) -> float | None:
    """Position that protection demands, whatever the mode; None when it has no say. A CDU that has
    lost its supply sensor looks after itself only where nobody who sees more writes its valve.
    """
    limits = settings.protection
    if state.over_temperature:
        return 1.0
    if sensed.supply_c < sensed.dew_point_c + limits.condensation_margin_k:
        return 0.0
    if state.blind_for_s > limits.sensor_grace_s and orders.valve_ratio is None:
        # Supply can not fall below facility water, so an open valve can not bring dew here.
        dry_pipes = sensed.primary_supply_c >= sensed.dew_point_c + limits.dew_margin_k
        return 1.0 if dry_pipes else state.valve_ratio
    return None


# --- valve ---------------------------------------------------------------------------------------


def _valve(
    settings: CduSettings, state: FirmwareState, orders: Orders, sensed: CduReadings, dt_s: float
) -> tuple[float, PidState]:
    reach = dt_s / settings.valve.stroke_s
    low, high = max(0.0, state.valve_ratio - reach), min(1.0, state.valve_ratio + reach)
    gains = _scheduled(settings.valve, state.valve_ratio)
    error_k = sensed.supply_c - _setpoint_c(settings, orders, sensed)
    forced = _forced_valve(settings, state, orders, sensed)
    if forced is None:
        forced = 0.0 if orders.stopped else orders.valve_ratio
    if forced is None and math.isfinite(error_k):
        memory = state.pid
        if memory.error_k is None:
            memory = pid.transfer(gains, memory, state.valve_ratio, error_k, 0.0)
        return pid.step(gains, memory, error_k, 0.0, dt_s, low, high)
    wanted = state.valve_ratio if forced is None else forced
    valve_ratio = min(max(wanted, low), high)
    if not math.isfinite(error_k):
        return valve_ratio, PidState()
    # The law follows whoever moves the valve, so that it can take over without a bump.
    return valve_ratio, pid.transfer(gains, state.pid, valve_ratio, error_k, 0.0)


def _setpoint_c(settings: CduSettings, orders: Orders, sensed: CduReadings) -> float:
    floor_c = sensed.dew_point_c + settings.protection.dew_margin_k
    # max() keeps its first argument against NaN: without a dew point the order stands.
    return max(orders.supply_setpoint_c, floor_c)


def _scheduled(loop: ValveLoop, position_ratio: float) -> PidGains:
    away = position_ratio - loop.schedule_position_ratio
    return pid.scaled(loop.gains, math.exp(-loop.schedule_exponent * away))


# --- pumps ---------------------------------------------------------------------------------------


def _pumps(
    loop: PumpLoop, state: FirmwareState, orders: Orders, sensed: CduReadings, dt_s: float
) -> tuple[float, ...]:
    pumps = len(state.pump_ratio)
    blind = state.blind_for_s > 0.0 and orders.pump_ratio is None
    if state.over_temperature or blind:
        wanted = (1.0,) * pumps
    elif orders.pump_ratio is not None:
        wanted = orders.pump_ratio
    else:
        if orders.flow_target_lpm is not None:
            loop = replace(loop, target_flow_lpm=orders.flow_target_lpm)
        wanted = (_common_speed(loop, state, sensed, dt_s),) * pumps
    return tuple(
        _slewed(loop, held, asked, dt_s)
        for held, asked in zip(state.pump_ratio, wanted, strict=True)
    )


def _slewed(loop: PumpLoop, held: float, asked: float, dt_s: float) -> float:
    asked = min(max(asked, loop.minimum_ratio), 1.0)
    return held + min(max(asked - held, -loop.down_per_s * dt_s), loop.up_per_s * dt_s)


def _common_speed(loop: PumpLoop, state: FirmwareState, sensed: CduReadings, dt_s: float) -> float:
    """One speed for all that run: unequal pumps in parallel work against each other."""
    running = [row for row, enabled in enumerate(state.pump_enabled) if enabled]
    if not running:
        return max(state.pump_ratio)
    held = max(state.pump_ratio[row] for row in running)
    measured, target = sensed.secondary_dp_kpa, loop.target_dp_kpa
    if loop.target_flow_lpm is not None:
        measured, target = sensed.secondary_flow_lpm, loop.target_flow_lpm
    if not math.isfinite(measured):
        return held
    wanted = held + loop.gain_per_s * (target - measured) / target * dt_s
    speeds = [sensed.pump_speed_ratio[row] for row in running]
    if wanted > held and all(map(math.isfinite, speeds)):
        wanted = max(held, min(wanted, min(speeds) + loop.lead_ratio))
    return wanted


def _enabled(
    loop: PumpLoop, state: FirmwareState, orders: Orders, sensed: CduReadings
) -> tuple[bool, ...]:
    """Duty pumps, and as many standby pumps as duty pumps have tripped."""
    pumps = len(state.pump_ratio)
    if state.dry or orders.stopped:
        return (False,) * pumps
    duty = pumps - min(loop.standby_pumps, pumps - 1)
    left, enabled = duty, []
    for health in sensed.pump_state:
        healthy = health is not PumpHealth.CRITICAL
        enabled.append(healthy and left > 0)
        left -= healthy
    return tuple(enabled)


# --- the object that a world holds -------------------------------------------------------------


class Firmware:
    """One CDU's firmware; follows `emulator.sensing.CduFirmware`."""

    def __init__(self, settings: CduSettings, *, pumps: int) -> None:
        self.settings = settings
        self.state = initial_state(settings, pumps)

    def actuators(
        self, requests: CduRequests, sensed: CduReadings, now_monotonic_s: float, dt_s: float
    ) -> Actuators:
        """Commands for the next step. Ends Remote mode in `requests` when its lease ran out."""
        unwritten_s = now_monotonic_s - requests.last_write_monotonic_s
        if (
            requests.control_mode is ControlMode.REMOTE
            and unwritten_s >= self.settings.remote_lease_s
        ):
            requests.control_mode = ControlMode.LOCAL
        remote = requests.control_mode is ControlMode.REMOTE
        orders = Orders(
            valve_ratio=requests.valve_ratio if remote and requests.remote_valve else None,
            pump_ratio=requests.pump_ratio if remote and requests.remote_pumps else None,
            supply_setpoint_c=requests.supply_setpoint_c,
            flow_target_lpm=requests.flow_target_lpm,
            stopped=requests.stopped,
        )
        self.state = step(self.settings, self.state, orders, sensed, dt_s)
        return Actuators(
            valve_ratio=self.state.valve_ratio,
            # The same command: a CDU rejects its heat by a valve or by fans, never by both.
            fan_ratio=self.state.valve_ratio,
            pump_ratio=self.state.pump_ratio,
            pump_enabled=self.state.pump_enabled,
        )
