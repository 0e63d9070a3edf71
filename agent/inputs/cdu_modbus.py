import math
from collections.abc import Iterable
from typing import Final

from agent.inputs.attempts import Attempts, Gathered
from agent.inputs.base import Samples
from agent.inputs.lenient import ratio_of_percent
from agent.modbus import Registers, orv3
from fleet.metrics import LEAK_STATES, LeakState
from thermal.humidity import dew_point_c

_METRICS: Final = {
    "coolant_outlet_c": "supply_c",
    "coolant_inlet_c": "return_c",
    "coolant_flow_lpm": "secondary_flow_lpm",
    "coolant_outlet_kpa": "supply_pressure_kpa",
    "cooling_capacity_w": "heat_removed_w",
}
# Bits of `sensor_faults` under which a register says nothing.
_SENSOR_OF: Final = {
    "coolant_outlet_c": "coolant_outlet_temperature",
    "coolant_inlet_c": "coolant_inlet_temperature",
    "coolant_flow_lpm": "flow_meter",
    "coolant_outlet_kpa": "coolant_outlet_pressure",
    "coolant_inlet_kpa": "coolant_inlet_pressure",
    "air_inlet_c": "air_inlet",
    "exchanger_air_inlet1_c": "exchanger_air_inlet1",
    "exchanger_air_inlet2_c": "exchanger_air_inlet2",
    "exchanger_air_outlet1_c": "exchanger_air_outlet1",
    "exchanger_air_outlet2_c": "exchanger_air_outlet2",
}
_PUMPS: Final = tuple(f"pump{number}_rpm" for number in range(1, 5))
_AIR_IN: Final = ("exchanger_air_inlet1_c", "exchanger_air_inlet2_c")
_AIR_OUT: Final = ("exchanger_air_outlet1_c", "exchanger_air_outlet2_c")
_UNIT: Final = (*_METRICS, *_PUMPS, "coolant_inlet_kpa", "pump_unit_w", "air_inlet_c")
_EXCHANGER: Final = (*_AIR_IN, *_AIR_OUT, "exchanger_fan_percent", "exchanger_w")
_POWERS: Final = ("whole_unit_w", "pump_unit_w")
_STICKY_LEAKS: Final = (
    "sticky_internal_leak",
    "sticky_external_leak",
    "sticky_external_leak_1",
    "sticky_external_leak_2",
    "sticky_rack_pan_leak",
    "sticky_rack_floor_leak",
    "sticky_rack_pan_relay",
    "sticky_rack_floor_relay",
)
_NOT_LEAKS: Final = frozenset(
    {*(f"chassis{n}_stop" for n in range(4)), "rack_pan_error", "rack_floor_error"}
)
_LEAK_ERRORS: Final = frozenset({"rack_pan_error", "rack_floor_error"})
_MANUAL: Final = frozenset({"manual_pump", "manual_fan"})
_BY_HAND: Final = {"manual_pump_percent": "manual_pump", "manual_fan_percent": "manual_fan"}
_OK, _CRITICAL = 0.0, 2.0


class CduModbusInput:
    """A liquid-to-air CDU by Modbus, in the ORV3 map.

    Its coil stands where a facility-water exchanger does: `primary_supply_c` is the air that it
    draws in, `primary_return_c` what it blows out, `valve_ratio` the duty of its fans. A register
    at the end of its range says only "more than that", and one whose sensor is reported broken
    says nothing: both are NaN.
    """

    def __init__(self, registers: Registers, *, pumps: int, rated_rpm: float) -> None:
        """`rated_rpm` is a pump's full speed, which the map does not say."""
        self._registers = registers
        self._pumps = pumps
        self._rated_rpm = rated_rpm
        self._map = orv3()
        self._attempts = Attempts()
        self._air_c = math.nan
        self._silenced: frozenset[str] = frozenset()
        self._alarms: frozenset[str] = frozenset()

    def read(self, now_s: float) -> Samples:
        self._silenced, self._alarms, self._air_c = frozenset(), frozenset(), math.nan
        return self._attempts.run(
            now_s,
            (
                self._read_alarms,
                self._read_unit,
                self._read_exchanger,
                self._read_control,
                self._read_humidity,
            ),
        )

    def _read_alarms(self, gathered: Gathered) -> None:
        # The leak is unknown until it has been read: what fails below leaves it so.
        gathered.values["cdu_leak_state", 0] = float(LEAK_STATES.index(LeakState.UNAVAILABLE))
        words = self._words(("sensor_faults", "status_alarms", "leaks"))
        self._silenced = self._map["sensor_faults"].flags(words["sensor_faults"])
        self._alarms = self._map["status_alarms"].flags(words["status_alarms"])
        sticky = self._words(_STICKY_LEAKS)
        leaks = self._map["leaks"].flags(words["leaks"])
        state = _leak_state(leaks, latched=any(sticky.values()))
        gathered.values["cdu_leak_state", 0] = float(LEAK_STATES.index(state))

    def _read_unit(self, gathered: Gathered) -> None:
        words = self._words(_UNIT)
        for name, metric in _METRICS.items():
            gathered.values[metric, 0] = self._number(name, words)
        outlet_kpa = self._number("coolant_outlet_kpa", words)
        inlet_kpa = self._number("coolant_inlet_kpa", words)
        gathered.values["secondary_dp_kpa", 0] = outlet_kpa - inlet_kpa
        self._air_c = gathered.values["hall_air_c", 0] = self._number("air_inlet_c", words)
        self._take_pumps(gathered, words)

    def _take_pumps(self, gathered: Gathered, words: dict[str, int]) -> None:
        """The map has one power for all pumps; those that turn are taken to share it equally."""
        speeds_rpm = [self._number(name, words) for name in _PUMPS[: self._pumps]]
        turning = sum(speed_rpm > 0.0 for speed_rpm in speeds_rpm)
        power_w = self._number("pump_unit_w", words)
        for part, speed_rpm in enumerate(speeds_rpm):
            stands = speed_rpm == 0.0
            abnormal = "pump_abnormal" in self._alarms
            gathered.values["pump_speed_ratio", part] = speed_rpm / self._rated_rpm
            gathered.values["pump_power_w", part] = 0.0 if stands else power_w / max(turning, 1)
            gathered.values["pump_state", part] = _CRITICAL if stands and abnormal else _OK

    def _read_exchanger(self, gathered: Gathered) -> None:
        words = self._words(_EXCHANGER)
        air_in = [self._number(name, words) for name in _AIR_IN]
        air_out = [self._number(name, words) for name in _AIR_OUT]
        gathered.values["primary_supply_c", 0] = _mean(air_in)
        gathered.values["primary_return_c", 0] = _mean(air_out)
        duty_percent = self._number("exchanger_fan_percent", words)
        gathered.values["valve_ratio", 0] = ratio_of_percent(duty_percent)
        gathered.values["fan_power_w", 0] = self._fan_power_w(words)

    def _fan_power_w(self, exchanger: dict[str, int]) -> float:
        """The exchanger's register ends at 6.5 kW; beyond, what the whole unit takes besides its
        pumps, which steps by 1 W.
        """
        own_w = self._number("exchanger_w", exchanger)
        if math.isfinite(own_w):
            return own_w
        words = self._words(_POWERS)
        whole_w, pumps_w = (self._number(name, words) for name in _POWERS)
        return max(whole_w - pumps_w, 0.0)

    def _read_control(self, gathered: Gathered) -> None:
        words = self._words(("control", *_BY_HAND))
        flags = self._map["control"].flags(words["control"])
        manual = "manual" in flags and bool(flags & _MANUAL)
        gathered.values["control_mode", 0] = float(manual)
        # Only by hand does the unit follow these two; what it asks on its own the map does not say.
        pumps, fans = (
            ratio_of_percent(self._number(name, words)) if manual and bit in flags else math.nan
            for name, bit in _BY_HAND.items()
        )
        gathered.values["valve_command_ratio", 0] = fans
        for part in range(self._pumps):
            gathered.values["pump_command_ratio", part] = pumps

    def _read_humidity(self, gathered: Gathered) -> None:
        words = self._words(("board_humidity_percent",))
        humidity_ratio = ratio_of_percent(self._number("board_humidity_percent", words))
        if math.isfinite(self._air_c) and 0.0 < humidity_ratio <= 1.0:
            gathered.values["dew_point_c", 0] = dew_point_c(self._air_c, humidity_ratio)

    def _words(self, names: Iterable[str]) -> dict[str, int]:
        """First words by name, of registers that take one."""
        wanted = tuple(names)
        words: dict[int, int] = {}
        for address, count in self._map.runs(wanted):
            read = self._registers.read_registers(address, count)
            words.update(enumerate(read, start=address))
        return {name: words[self._map[name].address] for name in wanted}

    def _number(self, name: str, words: dict[str, int]) -> float:
        if _SENSOR_OF.get(name) in self._silenced:
            return math.nan
        return self._map[name].decode([words[name]])


def _leak_state(leaks: frozenset[str], *, latched: bool) -> LeakState:
    """A leak that is over but still latched is a warning: it was there, and nobody has looked."""
    if leaks - _NOT_LEAKS:
        return LeakState.CRITICAL
    if leaks & _LEAK_ERRORS:
        return LeakState.UNAVAILABLE
    return LeakState.WARNING if latched else LeakState.OK


def _mean(readings: list[float]) -> float:
    """Of those that say something."""
    said = [reading for reading in readings if math.isfinite(reading)]
    return sum(said) / len(said) if said else math.nan
