"""Devices that answer like the documented ones, from values that a test sets."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.transport import NoAnswerError

EXPAND = "?$expand=*($levels=1)"
SENSORS = "/redfish/v1/Chassis/Sled/Sensors"
CONTROLS = "/redfish/v1/Chassis/Sled/Controls"
LEAKS = "/redfish/v1/Chassis/Sled/ThermalSubsystem/LeakDetection/LeakDetectors"
SYSTEM = "/redfish/v1/Systems/Sled"
CDU = "/redfish/v1/ThermalEquipment/CDUs/1"

Json = dict[str, object]


def _error(status: int, message: str) -> tuple[int, bytes]:
    error = {"error": {"code": "Base.1.0.GeneralError", "message": message}}
    return status, json.dumps(error).encode()


@dataclass
class Device:
    """`answers` by path; `raw` overrides one with bytes; `away` plays a dead network."""

    away: bool = False
    expands: bool = True
    raw: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    written: list[tuple[str, str, object]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        if self.away:
            raise NoAnswerError("fake does not answer: connection refused")
        self.asked.append((method, path))
        if method != "GET":
            return self._write(method, path, json.loads(body) if body else None)
        plain, _, query = path.partition("?")
        if plain in self.raw:
            return self.raw[plain]
        return self._read(plain, expand=bool(query))

    def _write(self, method: str, path: str, document: object) -> tuple[int, bytes]:
        if path in self.refused:
            return _error(409, "not now")
        self.written.append((method, path, document))
        self.take(path, document)
        return 204, b""

    def take(self, path: str, document: object) -> None:
        """What a write changes."""

    def collections(self) -> dict[str, dict[str, Json]]:
        return {}

    def documents(self) -> dict[str, Json]:
        return {}

    def _read(self, path: str, *, expand: bool) -> tuple[int, bytes]:
        documents: dict[str, object] = dict(self.documents())
        for base, members in self.collections().items():
            documents |= {f"{base}/{name}": member for name, member in members.items()}
            links = [{"@odata.id": f"{base}/{name}"} for name in members]
            whole = [{**link, **m} for link, m in zip(links, members.values(), strict=True)]
            documents[base] = {"Members": whole if expand and self.expands else links}
        if path not in documents:
            return _error(404, f"no resource at {path}")
        return 200, json.dumps(documents[path]).encode()


@dataclass
class SledBmc(Device):
    junction_c: list[object] = field(default_factory=lambda: [60.0, 61.0, 62.0, 63.0])
    flow_lpm: object = 6.0
    leaks: list[str] = field(default_factory=lambda: ["OK", "OK"])
    power_state: str = "On"
    caps_w: dict[str, float] = field(
        default_factory=lambda: {f"TRN{chip}_Power_Limit": 1000.0 for chip in range(4)}
    )

    def collections(self) -> dict[str, dict[str, Json]]:
        sensors: dict[str, object] = {
            "Coolant_Inlet_Temp": 40.1,
            "Coolant_Outlet_Temp": 50.2,
            "Coolant_Flow": self.flow_lpm,
            "Sled_Power": 4100,
        }
        for chip, junction_c in enumerate(self.junction_c):
            sensors[f"TRN{chip}_Die_Temp"] = junction_c
            sensors[f"TRN{chip}_HBM_Temp"] = 70.5
            sensors[f"TRN{chip}_Power"] = 900
            sensors[f"TRN{chip}_HBM_Bandwidth"] = 55.0
        return {
            SENSORS: {name: {"Id": name, "Reading": value} for name, value in sensors.items()},
            CONTROLS: {
                name: {
                    "Id": name,
                    "ControlType": "Power",
                    "SetPoint": watts,
                    "AllowableMin": 150.0,
                    "AllowableMax": 1000.0,
                }
                for name, watts in self.caps_w.items()
            },
            LEAKS: {
                f"{place}": {"Id": f"{place}", "DetectorState": state}
                for place, state in enumerate(self.leaks)
            },
        }

    def documents(self) -> dict[str, Json]:
        return {SYSTEM: {"PowerState": self.power_state}}

    def take(self, path: str, document: object) -> None:
        assert isinstance(document, dict)
        if path.startswith(CONTROLS):
            self.caps_w[path.rpartition("/")[2]] = document["SetPoint"]
        if path.endswith("ComputerSystem.Reset"):
            self.power_state = "On" if document["ResetType"] == "On" else "Off"


def _set_point(name: str, percent: float | None) -> Json:
    return {} if percent is None else {name: {"SetPoint": percent}}


@dataclass
class Cdu(Device):
    supply_c: object = 40.0
    mode: str = "Local"
    valve: float = 35.0
    valve_set_point: float | None = None
    """What it says that it asks of valve and pumps; None: it does not say."""
    pump_set_point: float | None = None
    pumps: list[float] = field(default_factory=lambda: [70.0, 71.0])

    def documents(self) -> dict[str, Json]:
        return {
            CDU: {"Oem": {"Isotherm": {"ControlMode": self.mode}}},
            f"{CDU}/SecondaryCoolantConnectors/1": {
                "SupplyTemperatureCelsius": {"Reading": self.supply_c},
                "ReturnTemperatureCelsius": {"Reading": 49.5},
                "FlowLitersPerMinute": {"Reading": 540},
                "DeltaPressurekPa": {"Reading": "180.5"},
                "SupplyPressurekPa": 320,
            },
            f"{CDU}/PrimaryCoolantConnectors/1": {
                "SupplyTemperatureCelsius": {"Reading": 30.0},
                "ReturnTemperatureCelsius": {"Reading": None},
                "FlowLitersPerMinute": {"Reading": 400},
                "HeatRemovedkW": {"Reading": 310.5},
                "ValvePositionPercent": {"Reading": self.valve},
                **_set_point("ValvePositionControlPercent", self.valve_set_point),
            },
            f"{CDU}/Reservoirs/1": {"FluidLevelPercent": {"Reading": 96.0}},
            f"{CDU}/EnvironmentMetrics": {
                "TemperatureCelsius": {"Reading": 27.0},
                "DewPointCelsius": {"Reading": 14.0},
                "Oem": {"Isotherm": {"OutdoorWetBulbCelsius": {"Reading": 17.5}}},
            },
        }

    def collections(self) -> dict[str, dict[str, Json]]:
        return {
            f"{CDU}/Pumps": {
                str(number): {
                    "Id": str(number),
                    "PumpSpeedPercent": {"Reading": speed, "SpeedRPM": 30 * speed},
                    **_set_point("SpeedControlPercent", self.pump_set_point),
                    "Status": {"Health": "OK"},
                    "Oem": {"Isotherm": {"PowerWatts": 900.0}},
                }
                for number, speed in enumerate(self.pumps, start=1)
            },
            f"{CDU}/LeakDetection/LeakDetectors": {"0": {"Id": "0", "DetectorState": "OK"}},
        }

    def take(self, path: str, document: object) -> None:
        if path == CDU and document == {"Oem": {"Isotherm": {"ControlMode": "Local"}}}:
            self.mode = "Local"
        elif "Secondary" not in path:
            self.mode = "Remote"


@dataclass
class JobRuntime(Device):
    status: int = 201
    metrics: bytes | None = None

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        if self.away:
            raise NoAnswerError("fake does not answer: connection refused")
        if method == "GET":
            return (404, b"") if self.metrics is None else (200, self.metrics)
        self.written.append((method, path, json.loads(body) if body else None))
        if method == "DELETE":
            return 204, b""
        detail = b"" if self.status < 300 else b'{"detail": "chips busy"}'
        return self.status, detail


@dataclass
class Lines:
    waiting: list[bytes] = field(default_factory=list)
    make: Callable[[], bytes] | None = None

    def read_lines(self) -> list[bytes]:
        taken, self.waiting = self.waiting, []
        return [*taken, self.make()] if self.make else taken
