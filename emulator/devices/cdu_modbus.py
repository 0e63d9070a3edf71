"""The Modbus side of a liquid-to-air CDU: the registers of a public ORV3 map, one to one.

The map is `fleet/registers/orv3.yaml`. Outlet is the coolant's supply, inlet its return; the fans'
duty stands where a valve does in a CDU with facility water.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from emulator.devices.view import WorldView
from emulator.faults.reach import check_answers
from emulator.readings import CduReadings, CduRequests, ControlMode, PumpHealth
from fleet.clock import Clock
from fleet.errors import ConfigurationError, DeviceError
from fleet.metrics import LeakState
from fleet.register_map import Register, RegisterMap, parse_register_map
from thermal.humidity import humidity_ratio

MAP_FILE: Final = "registers/orv3.yaml"

_PUMPS: Final = 4
_PAN, _FLOOR = range(2)
_PUMP_REGISTER: Final = re.compile(r"pump([1-4])_(rpm|status)")
_MANUAL: Final = frozenset({"manual", "manual_pump", "manual_fan"})
# Bits that order one act and fall back; the acts themselves have nothing to act on here.
_MOMENTARY: Final = frozenset(
    {"power_cycle", "clear_run_time", "clear_log", *(f"pump{n}_reset" for n in range(1, 5))}
)


@cache
def orv3() -> RegisterMap:
    text = files("fleet").joinpath(MAP_FILE).read_text(encoding="utf-8")
    return parse_register_map(text, MAP_FILE)


class RefusedError(DeviceError):
    """A request that the device answers with a Modbus exception of this `code`."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


ILLEGAL_ADDRESS: Final = 2
ILLEGAL_VALUE: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CduModbusSettings:
    """What the registers say beyond the readings. Estimates, but the 48 V of an ORV3 busbar."""

    model: str = "EMULATED-RPU"
    firmware_revision: str = "1.0"
    rated_pump_rpm: float = 3_600.0
    rated_fan_rpm: float = 3_000.0
    unit_fan_rpm: float = 2_000.0
    """Of the two small fans in the pumping unit."""
    busbar_v: float = 48.0
    lowest_target_c: float = 15.0
    highest_target_c: float = 45.0
    outlet_alarm_c: float = 50.0
    inlet_alarm_c: float = 65.0
    air_alarm_c: float = 40.0
    outlet_alarm_kpa: float = 450.0
    low_level_ratio: float = 0.25
    blocked_lpm: float = 5.0
    """Pumps that run and give less than this find the loop blocked."""


class CduModbus:
    """Registers of one CDU, read and written as Modbus does; safe between threads.

    Raises ConfigurationError for a CDU with more pumps than the map has.
    """

    def __init__(
        self, world: WorldView, row: int, clock: Clock, settings: CduModbusSettings | None = None
    ) -> None:
        self._world = world
        self._row = row
        self._clock = clock
        self._settings = settings or CduModbusSettings()
        self.map = orv3()
        self._cdu_id = world.fleet_map.cdu_ids[row]
        pumps = len(world.cdu_readings(row).pump_speed_ratio)
        if pumps > _PUMPS:
            raise ConfigurationError(f"{self._cdu_id} has {pumps} pumps; the ORV3 map has {_PUMPS}")
        self._control = frozenset({"auto_pressure_balance"})
        self._leak_sensors = frozenset(self.map["leak_sensors"].bits.values())
        self._rotation_interval_count = 0
        self._flow_target_lpm = 0.0

    def read_registers(self, address: int, count: int) -> list[int]:
        """Words from `address` on; RefusedError for a gap of the map, DeviceError while cut off."""
        seen = self._world.cdu_readings(self._row)
        check_answers(self._cdu_id, seen)
        shown = _Shown(self._settings, seen)
        words: list[int] = []
        at = address
        while at < address + count:
            register = self._known(at)
            whole = self._words(register, shown)
            first = at - register.address
            words += whole[first:]
            at = register.address + register.length
        return words[:count]

    def write_registers(self, address: int, words: list[int]) -> None:
        """All or nothing: RefusedError for what is not writable, or outside its span."""
        check_answers(self._cdu_id, self._world.cdu_readings(self._row))
        changes = []
        for at, word in enumerate(words, start=address):
            register = self._known(at)
            if not register.writable:
                raise RefusedError(
                    ILLEGAL_ADDRESS, f"{self._cdu_id}: {register.name} at {at} is read-only"
                )
            changes.append(self._change(register, word))
        for change in changes:
            change()
        self._world.cdu_requests(self._row).last_write_monotonic_s = self._clock.monotonic_s()

    # --- reading -----------------------------------------------------------------------------

    def _known(self, address: int) -> Register:
        register = self.map.at(address)
        if register is None:
            raise RefusedError(ILLEGAL_ADDRESS, f"{self._cdu_id}: no register at {address}")
        return register

    def _words(self, register: Register, shown: "_Shown") -> list[int]:
        if register.text:
            return register.encode_text(self._texts()[register.name])
        if register.name == "control":
            return [register.word(self._control_now())]
        if register.name == "leak_sensors":
            return [register.word(self._leak_sensors)]
        if register.name == "leaks":
            return [register.word(shown.leaks() - self._deaf())]
        if register.bits:
            return [register.word(shown.flags(register.name))]
        number = self._orders().get(register.name)
        return register.encode(shown.number(register.name) if number is None else number)

    def _texts(self) -> Mapping[str, str]:
        return {
            "model": self._settings.model,
            "serial": self._cdu_id.replace("/", "-"),
            "firmware_revision": self._settings.firmware_revision,
        }

    def _control_now(self) -> frozenset[str]:
        """Manual bits fall when the firmware has taken over again."""
        local = self._requests().control_mode is ControlMode.LOCAL
        return self._control - _MANUAL if local else self._control

    def _deaf(self) -> frozenset[str]:
        off = {"rack_pan", "rack_floor"} - self._leak_sensors
        return frozenset(f"{place}{suffix}" for place in off for suffix in ("", "_relay", "_error"))

    def _orders(self) -> Mapping[str, float]:
        asked = self._requests()
        return {
            "flow_target_lpm": self._flow_target_lpm,
            "outlet_target_c": asked.supply_setpoint_c,
            "pump_rotation_interval": float(self._rotation_interval_count),
            "manual_pump_percent": 100.0 * max(asked.pump_ratio),
            "manual_fan_percent": 100.0 * asked.valve_ratio,
        }

    def _requests(self) -> CduRequests:
        return self._world.cdu_requests(self._row)

    # --- writing -----------------------------------------------------------------------------

    def _change(self, register: Register, word: int) -> Callable[[], None]:
        """What a write will do, or RefusedError."""
        asked = self._requests()
        if register.name.startswith("sticky_"):
            self._within(register, float(word), 0.0, 0.0)
            return lambda: setattr(asked, "clear_latches", True)
        if register.name == "control":
            return lambda: self._take_control(register.flags(word))
        if register.name == "leak_sensors":
            return lambda: setattr(self, "_leak_sensors", register.flags(word))
        value = register.decode([word])
        match register.name:
            case "flow_target_lpm":
                self._within(register, value, 0.0, 6_500.0)
                return lambda: self._set_flow_target(value)
            case "outlet_target_c":
                span = (self._settings.lowest_target_c, self._settings.highest_target_c)
                self._within(register, value, *span)
                return lambda: setattr(asked, "supply_setpoint_c", value)
            case "manual_pump_percent":
                self._within(register, value, 0.0, 100.0)
                speeds = (value / 100.0,) * len(asked.pump_ratio)
                return lambda: setattr(asked, "pump_ratio", speeds)
            case "manual_fan_percent":
                self._within(register, value, 0.0, 100.0)
                return lambda: setattr(asked, "valve_ratio", value / 100.0)
        return lambda: setattr(self, "_rotation_interval_count", word)

    def _within(self, register: Register, value: float, low: float, high: float) -> None:
        if not low <= value <= high:
            raise RefusedError(
                ILLEGAL_VALUE,
                f"{self._cdu_id}: {register.name} {value:g} is outside {low:g} to {high:g}",
            )

    def _set_flow_target(self, target_lpm: float) -> None:
        self._flow_target_lpm = target_lpm
        self._take_control(self._control)

    def _take_control(self, flags: frozenset[str]) -> None:
        """The bits become registers of the firmware; the mode last, when the others are right."""
        self._control = flags - _MOMENTARY
        asked = self._requests()
        asked.remote_pumps = {"manual", "manual_pump"} <= flags
        asked.remote_valve = {"manual", "manual_fan"} <= flags
        follows_flow = "auto_flow" in flags and self._flow_target_lpm > 0.0
        asked.flow_target_lpm = self._flow_target_lpm if follows_flow else None
        asked.stopped = "system_stop" in flags
        remote = asked.remote_pumps or asked.remote_valve
        asked.last_write_monotonic_s = self._clock.monotonic_s()
        asked.control_mode = ControlMode.REMOTE if remote else ControlMode.LOCAL


class _Shown:
    """The read-only registers of one moment, by their names in the map."""

    def __init__(self, settings: CduModbusSettings, seen: CduReadings) -> None:
        self._settings = settings
        self._seen = seen

    def number(self, name: str) -> float:
        source = _NUMBERS.get(name)
        if source is not None:
            return source(self._settings, self._seen)
        return self._numbered(name)

    def flags(self, name: str) -> frozenset[str]:
        match name:
            case "sensor_faults":
                return self._sensor_faults()
            case "status_alarms":
                return self._alarms()
            case "lamps":
                return frozenset({"power"} | ({"leak"} if self.leaks() else set()))
        return frozenset()

    def leaks(self) -> frozenset[str]:
        found = set()
        for place, name in ((_PAN, "rack_pan"), (_FLOOR, "rack_floor")):
            state = self._detector(place)
            if state is LeakState.CRITICAL:
                found |= {name, f"{name}_relay"}
            elif state is LeakState.WARNING:
                found.add(name)
            elif state is LeakState.UNAVAILABLE:
                found.add(f"{name}_error")
        return frozenset(found)

    def _detector(self, place: int) -> LeakState:
        return self._seen.leak[place] if place < len(self._seen.leak) else LeakState.ABSENT

    def _latched(self, place: int) -> bool:
        return place < len(self._seen.leak_latched) and self._seen.leak_latched[place]

    def _numbered(self, name: str) -> float:
        """Sticky copies, and the rows of pumps and fans."""
        for sticky, place in (("rack_pan", _PAN), ("rack_floor", _FLOOR)):
            if name in {f"sticky_{sticky}_leak", f"sticky_{sticky}_relay"}:
                return float(self._latched(place))
        if pump := _PUMP_REGISTER.fullmatch(name):
            return self._pump(int(pump[1]) - 1, status=pump[2] == "status")
        if name.startswith("exchanger_fan"):
            return self._seen.valve_ratio * self._settings.rated_fan_rpm
        return 0.0

    def _pump(self, row: int, *, status: bool) -> float:
        if row >= len(self._seen.pump_speed_ratio):
            return 0.0
        speed_ratio = self._seen.pump_speed_ratio[row]
        if not status:
            return speed_ratio * self._settings.rated_pump_rpm
        if self._seen.pump_state[row] is not PumpHealth.OK:
            return 2.0
        return float(speed_ratio > 0.0)

    def _sensor_faults(self) -> frozenset[str]:
        return frozenset(
            bit for bit, read in _SENSORS.items() if not math.isfinite(read(self._seen))
        )

    def _alarms(self) -> frozenset[str]:
        seen, limits = self._seen, self._settings
        running = max(seen.pump_speed_ratio) > 0.25
        alarms = {
            "reservoir": seen.reservoir_level_ratio < limits.low_level_ratio,
            "outlet_temperature": seen.supply_c > limits.outlet_alarm_c,
            "inlet_temperature": seen.return_c > limits.inlet_alarm_c,
            "air_inlet": seen.hall_air_c > limits.air_alarm_c,
            "outlet_pressure": seen.supply_pressure_kpa > limits.outlet_alarm_kpa,
            "exchanger_air_inlet": seen.primary_supply_c > limits.air_alarm_c,
            "pump_abnormal": any(state is not PumpHealth.OK for state in seen.pump_state),
            "loop_blocked": running and seen.secondary_flow_lpm < limits.blocked_lpm,
            "ready_deasserted": max(seen.pump_speed_ratio) <= 0.0,
        }
        return frozenset(name for name, on in alarms.items() if on)


def _return_kpa(seen: CduReadings) -> float:
    """The plant's sensors are one at the outlet and one of the difference."""
    return seen.supply_pressure_kpa - seen.secondary_dp_kpa


_Number = Callable[[CduModbusSettings, CduReadings], float]

_NUMBERS: Final[Mapping[str, _Number]] = {
    "coolant_flow_lpm": lambda _, seen: seen.secondary_flow_lpm,
    "coolant_outlet_c": lambda _, seen: seen.supply_c,
    "coolant_inlet_c": lambda _, seen: seen.return_c,
    "coolant_outlet_kpa": lambda _, seen: seen.supply_pressure_kpa,
    "coolant_inlet_kpa": lambda _, seen: _return_kpa(seen),
    "pump_unit_w": lambda _, seen: sum(seen.pump_power_w),
    "whole_unit_w": lambda _, seen: sum(seen.pump_power_w) + _or_nothing(seen.fan_power_w),
    "input_v": lambda settings, _: settings.busbar_v,
    "air_inlet_c": lambda _, seen: seen.hall_air_c,
    "pump_duty_percent": lambda _, seen: 100.0 * max(seen.pump_speed_ratio),
    "unit_fan1_rpm": lambda settings, _: settings.unit_fan_rpm,
    "unit_fan2_rpm": lambda settings, _: settings.unit_fan_rpm,
    "cooling_capacity_w": lambda _, seen: seen.heat_removed_w,
    "reservoir_status": lambda settings, seen: float(
        seen.reservoir_level_ratio < settings.low_level_ratio
    ),
    "pumps_status": lambda _, seen: float(max(seen.pump_speed_ratio) > 0.0),
    "unit_fans_status": lambda *_: 1.0,
    "exchanger_fan_percent": lambda _, seen: 100.0 * seen.valve_ratio,
    "exchanger_w": lambda _, seen: seen.fan_power_w,
    "exchanger_input_v": lambda settings, _: settings.busbar_v,
    "exchanger_input_a": lambda settings, seen: seen.fan_power_w / settings.busbar_v,
    "exchanger_air_outlet1_c": lambda _, seen: seen.primary_return_c,
    "exchanger_air_outlet2_c": lambda _, seen: seen.primary_return_c,
    "exchanger_air_inlet1_c": lambda _, seen: seen.primary_supply_c,
    "exchanger_air_inlet2_c": lambda _, seen: seen.primary_supply_c,
    "exchanger_water_inlet_c": lambda _, seen: seen.return_c,
    "y_filter_kpa": lambda _, seen: _return_kpa(seen),
    "static_pressure": lambda _, seen: _return_kpa(seen),
    "bladder_status": lambda settings, seen: float(
        seen.reservoir_level_ratio < settings.low_level_ratio
    ),
    "bladder_level": lambda _, seen: 100.0 * seen.reservoir_level_ratio,
    "board_humidity_percent": lambda _, seen: (
        100.0 * humidity_ratio(seen.hall_air_c, seen.dew_point_c)
    ),
}

_SENSORS: Final[Mapping[str, Callable[[CduReadings], float]]] = {
    "coolant_inlet_temperature": lambda seen: seen.return_c,
    "coolant_outlet_temperature": lambda seen: seen.supply_c,
    "coolant_inlet_pressure": _return_kpa,
    "coolant_outlet_pressure": lambda seen: seen.supply_pressure_kpa,
    "flow_meter": lambda seen: seen.secondary_flow_lpm,
    "exchanger_air_outlet1": lambda seen: seen.primary_return_c,
    "exchanger_air_outlet2": lambda seen: seen.primary_return_c,
    "exchanger_air_inlet1": lambda seen: seen.primary_supply_c,
    "exchanger_air_inlet2": lambda seen: seen.primary_supply_c,
    "exchanger_water_inlet": lambda seen: seen.return_c,
    "air_inlet": lambda seen: seen.hall_air_c,
    "bladder_level": lambda seen: seen.reservoir_level_ratio,
}


def _or_nothing(value: float) -> float:
    return value if math.isfinite(value) else 0.0
