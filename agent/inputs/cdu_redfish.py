from collections.abc import Mapping
from typing import Final

from agent.inputs.attempts import Attempts, Gathered
from agent.inputs.base import Samples
from agent.inputs.leaks import worst_leak
from agent.inputs.lenient import JsonObject, number, ratio_of_percent, reading, text, within
from agent.inputs.redfish import Collection
from agent.transport import Transport, get_json
from fleet.units import W_PER_KW

CDU: Final = "/redfish/v1/ThermalEquipment/CDUs/1"

_SECONDARY: Final = {
    "SupplyTemperatureCelsius": "supply_c",
    "ReturnTemperatureCelsius": "return_c",
    "FlowLitersPerMinute": "secondary_flow_lpm",
    "DeltaPressurekPa": "secondary_dp_kpa",
    "SupplyPressurekPa": "supply_pressure_kpa",
}
_PRIMARY: Final = {
    "SupplyTemperatureCelsius": "primary_supply_c",
    "ReturnTemperatureCelsius": "primary_return_c",
    "FlowLitersPerMinute": "primary_flow_lpm",
    "HeatRemovedkW": "heat_removed_w",
    "ValvePositionPercent": "valve_ratio",
}
_RESERVOIR: Final = {"FluidLevelPercent": "reservoir_level_ratio"}
_ENVIRONMENT: Final = {"TemperatureCelsius": "hall_air_c", "DewPointCelsius": "dew_point_c"}
_CONTROL_MODES: Final = {"Local": 0.0, "Remote": 1.0}
_PUMP_STATES: Final = {"OK": 0.0, "Warning": 1.0, "Critical": 2.0}


class CduRedfishInput:
    """A coolant distribution unit by Redfish: connectors, pumps, reservoir, leaks, mode."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._pumps = Collection(transport, f"{CDU}/Pumps")
        self._detectors = Collection(transport, f"{CDU}/LeakDetection/LeakDetectors")
        self._attempts = Attempts()

    def read(self, now_s: float) -> Samples:
        return self._attempts.run(
            now_s,
            (
                self._read_unit,
                self._read_secondary,
                self._read_primary,
                self._read_pumps,
                self._read_reservoir,
                self._read_environment,
                self._read_leaks,
            ),
        )

    def _read_unit(self, gathered: Gathered) -> None:
        mode = text(within(get_json(self._transport, CDU), "Oem", "Isotherm").get("ControlMode"))
        if mode in _CONTROL_MODES:
            gathered.values["control_mode", 0] = _CONTROL_MODES[mode]

    def _read_secondary(self, gathered: Gathered) -> None:
        self._read_table(gathered, "SecondaryCoolantConnectors/1", _SECONDARY)

    def _read_primary(self, gathered: Gathered) -> None:
        document = self._read_table(gathered, "PrimaryCoolantConnectors/1", _PRIMARY)
        told = within(document, "ValvePositionControlPercent")
        if "SetPoint" in told:
            gathered.values["valve_command_ratio", 0] = ratio_of_percent(number(told["SetPoint"]))

    def _read_reservoir(self, gathered: Gathered) -> None:
        self._read_table(gathered, "Reservoirs/1", _RESERVOIR)

    def _read_environment(self, gathered: Gathered) -> None:
        document = self._read_table(gathered, "EnvironmentMetrics", _ENVIRONMENT)
        # What the building's weather station says; no property of the standard has it.
        outdoor = within(document, "Oem", "Isotherm")
        if "OutdoorWetBulbCelsius" in outdoor:
            told_c = reading(outdoor["OutdoorWetBulbCelsius"])
            gathered.values["outdoor_wet_bulb_c", 0] = told_c

    def _read_table(self, gathered: Gathered, name: str, table: Mapping[str, str]) -> JsonObject:
        document = get_json(self._transport, f"{CDU}/{name}")
        for field, metric in table.items():
            if field in document:
                gathered.values[metric, 0] = _in_house_units(field, reading(document[field]))
        return document

    def _read_pumps(self, gathered: Gathered) -> None:
        members, errors = self._pumps.read()
        gathered.errors += errors
        for pump in members:
            number = text(pump.get("Id"))
            if number.isdecimal() and int(number[:6]) > 0:
                _take_pump(gathered, int(number[:6]) - 1, pump)

    def _read_leaks(self, gathered: Gathered) -> None:
        members, errors = self._detectors.read()
        gathered.errors += errors
        unread: list[JsonObject] = [{} for _ in errors]
        gathered.values["cdu_leak_state", 0] = worst_leak([*members, *unread])


def _in_house_units(field: str, value: float) -> float:
    if field.endswith("Percent"):
        return ratio_of_percent(value)
    return value * W_PER_KW if field.endswith("kW") else value


def _take_pump(gathered: Gathered, part: int, pump: JsonObject) -> None:
    speed = reading(pump.get("PumpSpeedPercent"))
    # A pump may run over its rated speed, so nothing is cut off at 100 %.
    gathered.values["pump_speed_ratio", part] = speed / 100.0
    told = within(pump, "SpeedControlPercent")
    if "SetPoint" in told:
        gathered.values["pump_command_ratio", part] = number(told["SetPoint"]) / 100.0
    gathered.values["pump_power_w", part] = reading(
        within(pump, "Oem", "Isotherm").get("PowerWatts")
    )
    health = text(within(pump, "Status").get("Health"))
    if health in _PUMP_STATES:
        gathered.values["pump_state", part] = _PUMP_STATES[health]
