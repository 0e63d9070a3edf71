import re
from functools import lru_cache
from typing import Final

from agent.inputs.attempts import Attempts, Gathered
from agent.inputs.base import Key, Samples
from agent.inputs.leaks import worst_leak
from agent.inputs.lenient import JsonObject, number, ratio_of_percent, text
from agent.inputs.redfish import Collection, present
from agent.transport import Transport, get_json

CHASSIS: Final = "/redfish/v1/Chassis/Sled"
SYSTEM: Final = "/redfish/v1/Systems/Sled"

_CHIP_SENSOR: Final = re.compile(r"TRN(\d{1,3})_(\w+)")
_CHIP_METRICS: Final = {
    "Die_Temp": "junction_c",
    "HBM_Temp": "hbm_c",
    "Power": "power_w",
    "HBM_Bandwidth": "hbm_utilization_ratio",
    "Power_Limit": "power_cap_w",
}
_SLED_METRICS: Final = {
    "Coolant_Inlet_Temp": "inlet_c",
    "Coolant_Outlet_Temp": "outlet_c",
    "Coolant_Flow": "coolant_flow_lpm",
    "Inlet_Temp": "inlet_c",  # air, where no coolant is
    "Exhaust_Temp": "outlet_c",
    "Sled_Power": "sled_power_w",
}
_PERCENT: Final = {"hbm_utilization_ratio"}
# On its way up or down a sled is powered: heat is made.
_POWER_STATES: Final = {"Off": 0.0, "On": 1.0, "PoweringOn": 1.0, "PoweringOff": 1.0}


class SledRedfishInput:
    """Sensors, leak detectors, power state and power limits of one sled's BMC.

    Power limits change only when somebody writes them, so they are read every `limits_every`
    ticks and held in between.
    """

    def __init__(self, transport: Transport, *, limits_every: int = 3) -> None:
        self._transport = transport
        self._sensors = Collection(transport, f"{CHASSIS}/Sensors")
        self._controls = Collection(transport, f"{CHASSIS}/Controls")
        self._detectors = Collection(
            transport, f"{CHASSIS}/ThermalSubsystem/LeakDetection/LeakDetectors"
        )
        self._limits_every = limits_every
        self._limits: dict[Key, float] = {}
        self._limits_due = 0
        self._attempts = Attempts()

    def read(self, now_s: float) -> Samples:
        return self._attempts.run(
            now_s, (self._read_sensors, self._read_leaks, self._read_power, self._read_limits)
        )

    def _read_sensors(self, gathered: Gathered) -> None:
        members, errors = self._sensors.read()
        gathered.errors += errors
        for sensor in members:
            key = _key(text(sensor.get("Id")))
            if key is not None and present(sensor):
                value = number(sensor.get("Reading"))
                gathered.values[key] = ratio_of_percent(value) if key[0] in _PERCENT else value

    def _read_leaks(self, gathered: Gathered) -> None:
        members, errors = self._detectors.read()
        gathered.errors += errors
        # A detector that could not be read is one that can not be trusted.
        unread: list[JsonObject] = [{} for _ in errors]
        gathered.values["leak_state", 0] = worst_leak([*members, *unread])

    def _read_power(self, gathered: Gathered) -> None:
        state = text(get_json(self._transport, SYSTEM).get("PowerState"))
        if state in _POWER_STATES:
            gathered.values["power_state", 0] = _POWER_STATES[state]

    def _read_limits(self, gathered: Gathered) -> None:
        if self._limits_due <= 0:
            self._limits_due = self._limits_every
            self._limits = {}
            members, errors = self._controls.read()
            gathered.errors += errors
            self._limits = {
                key: number(control.get("SetPoint"))
                for control in members
                if (key := _key(text(control.get("Id")))) is not None
            }
        self._limits_due -= 1
        gathered.values.update(self._limits)


@lru_cache(maxsize=4096)
def _key(sensor_id: str) -> Key | None:
    """Which metric a sensor of this name is, if any; remembered, as names repeat each tick."""
    if sensor_id in _SLED_METRICS:
        return _SLED_METRICS[sensor_id], 0
    found = _CHIP_SENSOR.fullmatch(sensor_id)
    if found is None or found[2] not in _CHIP_METRICS:
        return None
    return _CHIP_METRICS[found[2]], int(found[1])
