"""The baseboard management controller of a sled: sensors, power limits, leak detectors, power."""

import math
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from emulator.devices.answer import Answer
from emulator.devices.leak_detectors import reacting_leak_detector
from emulator.devices.nitro_redfish import MAKER, MANAGER, NitroSeat, nitro_nodes
from emulator.devices.redfish import (
    ENABLED,
    ROOT,
    Action,
    Collection,
    Node,
    RedfishService,
    Resource,
    identity,
    link,
    service_root,
    static,
)
from emulator.devices.redfish_rules import Nested, Number, OneOf, Rule, Written
from emulator.devices.view import WorldView
from emulator.faults.reach import check_answers
from emulator.readings import SledReadings, SledRequests
from emulator.skus import settings_of_sled
from fleet.topology import Cooling

CHASSIS: Final = f"{ROOT}/Chassis/Sled"
SYSTEM: Final = f"{ROOT}/Systems/Sled"
LEAK_DETECTION: Final = f"{CHASSIS}/ThermalSubsystem/LeakDetection"
CONNECTORS: Final = f"{CHASSIS}/ThermalSubsystem/CoolantConnectors"

_ROOT_LINKS: Final = {
    name: f"{ROOT}/{name}"
    for name in ("Chassis", "Systems", "Managers", "UpdateService", "ComponentIntegrity")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BmcSettings:
    """Thresholds that the BMC reports. Estimates."""

    die_caution_c: float = 90.0
    die_critical_c: float = 95.0
    hbm_caution_c: float = 95.0
    hbm_critical_c: float = 105.0
    outlet_caution_c: float = 60.0
    outlet_critical_c: float = 65.0
    lowest_cap_ratio: float = 0.1
    """Of rated power: lower limits are refused, since a chip can not idle below them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sensor:
    id: str
    name: str
    type: str
    units: str
    span: tuple[float, float]
    read: Callable[[SledReadings], float]
    caution: float | None = None
    critical: float | None = None


class SledBmc:
    """Redfish service of one sled. The BMC has standby power: it answers when the sled is off."""

    def __init__(self, world: WorldView, row: int, settings: BmcSettings | None = None) -> None:
        self._world = world
        self._row = row
        self._settings = settings or BmcSettings()
        self._chips = int(world.fleet_map.chips_of_sled[row])
        self._rated_w = settings_of_sled(world.fleet_map, row).chip.power.tdp_w
        self._cooling = world.fleet_map.cooling_of_sled(row)
        self._seat = NitroSeat(world, row)
        self.service = RedfishService(self._nodes())

    def handle(self, method: str, target: str, body: bytes | None = None) -> Answer:
        """DeviceError while the device is cut off."""
        check_answers(self._world.fleet_map.sled_ids[self._row], self._readings())
        return self.service.handle(method, target, body)

    def request(self, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
        answer = self.handle(method, target, body)
        return answer.status, answer.body

    def _readings(self) -> SledReadings:
        return self._world.sled_readings(self._row)

    def _requests(self) -> SledRequests:
        return self._world.sled_requests(self._row)

    def _nodes(self) -> tuple[Node, ...]:
        sled_id = self._world.fleet_map.sled_ids[self._row]
        sensors = [
            _sensor_resource(sensor, self._readings)
            for sensor in _sensors(self._settings, self._chips, self._rated_w, self._cooling)
        ]
        controls = [self._control(chip) for chip in range(self._chips)]
        return (
            *service_root(
                f"BMC of sled {sled_id}",
                str(uuid.uuid5(uuid.NAMESPACE_URL, f"isotherm:{sled_id}")),
                _ROOT_LINKS,
            ),
            *nitro_nodes(self._seat, system=SYSTEM, chips=self._chips),
            Collection(f"{ROOT}/Chassis", "Chassis", "Chassis", [_chassis(sled_id, self._seat)]),
            Collection(f"{CHASSIS}/Sensors", "Sensor", "Sensors", sensors),
            Collection(f"{CHASSIS}/Controls", "Control", "Controls", controls),
            _thermal_subsystem(self._cooling),
            *self._connectors(),
            static(
                LEAK_DETECTION,
                "LeakDetection.v1_1_0",
                "Leak detection",
                {"Status": ENABLED, "LeakDetectors": link(f"{LEAK_DETECTION}/LeakDetectors")},
            ),
            Collection(
                f"{LEAK_DETECTION}/LeakDetectors",
                "LeakDetector",
                "Leak detectors",
                [self._leak_detector(place) for place in range(len(self._readings().leak))],
            ),
            Collection(f"{ROOT}/Systems", "ComputerSystem", "Systems", [self._system(sled_id)]),
            Action(
                path=f"{SYSTEM}/Actions/ComputerSystem.Reset",
                parameter="ResetType",
                allowed=("On", "ForceOff", "GracefulShutdown"),
                act=self._reset,
            ),
        )

    def _control(self, chip: int) -> Resource:
        path = f"{CHASSIS}/Controls/TRN{chip}_Power_Limit"
        lowest_w = self._settings.lowest_cap_ratio * self._rated_w
        fixed = {
            **identity(path, "Control.v1_6_0", f"TRN{chip} power limit"),
            "ControlType": "Power",
            "ControlMode": "Automatic",
            "SetPointUnits": "W",
            "AllowableMin": lowest_w,
            "AllowableMax": self._rated_w,
            "Status": ENABLED,
        }

        def render() -> bytes:
            set_point_w = round(self._requests().power_cap_ratio[chip] * self._rated_w, 3)
            power_w = number(self._readings().chip_power_w[chip])
            return msgspec.json.encode(
                {**fixed, "SetPoint": set_point_w, "Sensor": {"Reading": power_w}}
            )

        def write(written: Written) -> None:
            self._requests().cap_power(chip, float(written["SetPoint"]) / self._rated_w)

        rules = {"SetPoint": Number(low=lowest_w, high=self._rated_w, unit="W")}
        return Resource(path=path, render=render, rules=rules, write=write)

    def _connectors(self) -> tuple[Node, ...]:
        """Where coolant comes in: its valves are shut to isolate a sled that leaks."""
        if self._cooling is not Cooling.LIQUID:
            return ()
        path = f"{CONNECTORS}/1"
        fixed = {
            **identity(path, "CoolantConnector.v1_3_0", "Coolant connector"),
            "CoolantConnectorType": "Pair",
            "Status": ENABLED,
        }

        def render() -> bytes:
            state = "Closed" if self._requests().isolated else "Open"
            return msgspec.json.encode({**fixed, "ValveState": state})

        def write(written: Written) -> None:
            self._requests().isolated = written["ValveState"] == "Closed"

        rules = {"ValveState": OneOf(allowed=("Open", "Closed"))}
        connector = Resource(path=path, render=render, rules=rules, write=write)
        return (Collection(CONNECTORS, "CoolantConnector", "Coolant connectors", [connector]),)

    def _leak_detector(self, place: int) -> Resource:
        return reacting_leak_detector(
            f"{LEAK_DETECTION}/LeakDetectors/{place + 1}",
            lambda: self._readings().leak[place],
            lambda: self._requests().leak_policies[place],
            lambda policy: self._requests().set_leak_policy(place, policy),
        )

    def _system(self, sled_id: str) -> Resource:
        target = f"{SYSTEM}/Actions/ComputerSystem.Reset"
        fixed = {
            **identity(SYSTEM, "ComputerSystem.v1_23_0", f"Sled {sled_id}"),
            "SystemType": "Physical",
            "Links": {"Chassis": [link(CHASSIS)]},
            "Processors": link(f"{SYSTEM}/Processors"),
            "Actions": {
                "#ComputerSystem.Reset": {
                    "target": target,
                    "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "GracefulShutdown"],
                }
            },
        }

        def render() -> bytes:
            powered = self._readings().powered
            status = {"State": "Enabled" if powered else "StandbyOffline", "Health": "OK"}
            state = "On" if powered else "Off"
            return msgspec.json.encode({**fixed, "PowerState": state, "Status": status})

        return Resource(path=SYSTEM, render=render)

    def _reset(self, reset_type: str) -> None:
        self._requests().powered = reset_type == "On"


def number(value: float, digits: int = 6) -> float | None:
    """A reading for JSON: null where the sensor shows nothing."""
    return round(value, digits) if math.isfinite(value) else None


def _chassis(sled_id: str, seat: NitroSeat) -> Resource:
    fixed = {
        **identity(CHASSIS, "Chassis.v1_26_0", f"Sled {sled_id}"),
        "ChassisType": "Sled",
        "Manufacturer": MAKER,
        "Status": ENABLED,
        "Sensors": link(f"{CHASSIS}/Sensors"),
        "Controls": link(f"{CHASSIS}/Controls"),
        "ThermalSubsystem": link(f"{CHASSIS}/ThermalSubsystem"),
        "Links": {"ComputerSystems": [link(SYSTEM)], "ManagedBy": [link(MANAGER)]},
    }

    def render() -> bytes:
        said = seat.identity()
        told = {"SerialNumber": said.serial, "PartNumber": said.part_number}
        return msgspec.json.encode({**fixed, **told})

    return Resource(path=CHASSIS, render=render)


def _thermal_subsystem(cooling: Cooling) -> Resource:
    parts: dict[str, object] = {"Status": ENABLED, "LeakDetection": link(LEAK_DETECTION)}
    if cooling is Cooling.LIQUID:
        parts["CoolantConnectors"] = link(CONNECTORS)
    return static(
        f"{CHASSIS}/ThermalSubsystem", "ThermalSubsystem.v1_3_2", "Thermal subsystem", parts
    )


def _sensors(settings: BmcSettings, chips: int, rated_w: float, cooling: Cooling) -> list[_Sensor]:
    sensors = []
    for chip in range(chips):
        sensors += _chip_sensors(settings, chip, rated_w)
    sensors += _coolant_sensors(settings) if cooling is Cooling.LIQUID else _air_sensors()
    most_w = 3.0 * chips * rated_w
    sensors.append(
        _Sensor(
            id="Sled_Power",
            name="Sled power",
            type="Power",
            units="W",
            span=(0.0, most_w),
            read=lambda seen: seen.sled_power_w,
        )
    )
    return sensors


def _air_sensors() -> list[_Sensor]:
    return [
        _Sensor(
            id="Inlet_Temp",
            name="Air at the inlet",
            type="Temperature",
            units="Cel",
            span=(-10.0, 90.0),
            read=lambda seen: seen.inlet_c,
        ),
        _Sensor(
            id="Exhaust_Temp",
            name="Air at the outlet",
            type="Temperature",
            units="Cel",
            span=(-10.0, 120.0),
            read=lambda seen: seen.outlet_c,
        ),
    ]


def _coolant_sensors(settings: BmcSettings) -> list[_Sensor]:
    celsius = ("Temperature", "Cel", (-10.0, 120.0))
    return [
        _Sensor(
            id="Coolant_Inlet_Temp",
            name="Coolant at the inlet",
            type=celsius[0],
            units=celsius[1],
            span=celsius[2],
            read=lambda seen: seen.inlet_c,
        ),
        _Sensor(
            id="Coolant_Outlet_Temp",
            name="Coolant at the outlet",
            type=celsius[0],
            units=celsius[1],
            span=celsius[2],
            read=lambda seen: seen.outlet_c,
            caution=settings.outlet_caution_c,
            critical=settings.outlet_critical_c,
        ),
        _Sensor(
            id="Coolant_Flow",
            name="Coolant flow",
            type="LiquidFlowLPM",
            units="L/min",
            span=(0.0, 60.0),
            read=lambda seen: seen.flow_lpm,
        ),
    ]


def _chip_sensors(settings: BmcSettings, chip: int, rated_w: float) -> list[_Sensor]:
    return [
        _Sensor(
            id=f"TRN{chip}_Die_Temp",
            name=f"TRN{chip} die",
            type="Temperature",
            units="Cel",
            span=(-10.0, 130.0),
            read=lambda seen: seen.junction_c[chip],
            caution=settings.die_caution_c,
            critical=settings.die_critical_c,
        ),
        _Sensor(
            id=f"TRN{chip}_HBM_Temp",
            name=f"TRN{chip} HBM",
            type="Temperature",
            units="Cel",
            span=(-10.0, 130.0),
            read=lambda seen: seen.hbm_c[chip],
            caution=settings.hbm_caution_c,
            critical=settings.hbm_critical_c,
        ),
        _Sensor(
            id=f"TRN{chip}_Power",
            name=f"TRN{chip} power",
            type="Power",
            units="W",
            span=(0.0, 3.0 * rated_w),
            read=lambda seen: seen.chip_power_w[chip],
        ),
        _Sensor(
            id=f"TRN{chip}_HBM_Bandwidth",
            name=f"TRN{chip} HBM bandwidth",
            type="Percent",
            units="%",
            span=(0.0, 100.0),
            read=lambda seen: 100.0 * seen.hbm_utilization_ratio[chip],
        ),
    ]


def _sensor_resource(sensor: _Sensor, readings: Callable[[], SledReadings]) -> Resource:
    """A sensor from a template made once, because each is read every second; its thresholds may
    be written.
    """
    path = f"{CHASSIS}/Sensors/{sensor.id}"
    upper = {"UpperCaution": sensor.caution, "UpperCritical": sensor.critical}
    limits = {name: limit for name, limit in upper.items() if limit is not None}
    template = _template(path, sensor, limits)
    read = sensor.read

    def render() -> bytes:
        value = read(readings())
        if not math.isfinite(value):
            return template % (b"null", b"UnavailableOffline", b"OK")
        caution = limits.get("UpperCaution", math.inf)
        critical = limits.get("UpperCritical", math.inf)
        # Either may have been written below the other.
        health = b"Critical" if value >= critical else b"Warning" if value >= caution else b"OK"
        return template % (b"%.9g" % value, b"Enabled", health)

    def write(written: Written) -> None:
        nonlocal template
        for name, held in limits.items():
            limits[name] = float(written.get(f"Thresholds/{name}/Reading", held))
        template = _template(path, sensor, limits)

    return Resource(path=path, render=render, rules=_threshold_rules(sensor, limits), write=write)


def _template(path: str, sensor: _Sensor, limits: Mapping[str, float]) -> bytes:
    properties = {
        **identity(path, "Sensor.v1_11_0", sensor.name),
        "ReadingType": sensor.type,
        "ReadingUnits": sensor.units,
        "ReadingRangeMin": sensor.span[0],
        "ReadingRangeMax": sensor.span[1],
        "Thresholds": {name: {"Reading": limit} for name, limit in limits.items()},
    }
    template = msgspec.json.encode(properties).replace(b"%", b"%%")[:-1]
    return template + b',"Reading":%b,"Status":{"State":"%b","Health":"%b"}}'


def _threshold_rules(sensor: _Sensor, limits: Mapping[str, float]) -> dict[str, Rule] | None:
    if not limits:
        return None
    reading = Number(low=sensor.span[0], high=sensor.span[1], unit=sensor.units)
    writable: dict[str, Rule] = {name: Nested(rules={"Reading": reading}) for name in limits}
    return {"Thresholds": Nested(rules=writable)}
