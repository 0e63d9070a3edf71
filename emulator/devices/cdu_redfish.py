"""The Redfish service of a CDU: a CoolingUnit with connectors, pumps and writable set-points."""

import math
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from emulator.devices.answer import Answer
from emulator.devices.leak_detectors import leak_detector
from emulator.devices.redfish import (
    ENABLED,
    ROOT,
    Collection,
    Node,
    RedfishService,
    Resource,
    identity,
    link,
    service_root,
    static,
)
from emulator.devices.redfish_rules import Nested, Number, OneOf, Rule, SetPoint, Written
from emulator.devices.sled_bmc import number
from emulator.devices.view import WorldView
from emulator.faults.reach import check_answers
from emulator.readings import (
    CduReadings,
    CduRequests,
    ControlMode,
    PumpHealth,
    pumps_told_ratio,
    valve_told_ratio,
)
from fleet.clock import Clock

EQUIPMENT: Final = f"{ROOT}/ThermalEquipment"
UNIT: Final = f"{EQUIPMENT}/CDUs/1"

_PERCENT: Final = Number(low=0.0, high=100.0, unit="%")
_FLOAT_SWITCH: Final = 2
_MODES: Final = {"Local": ControlMode.LOCAL, "Remote": ControlMode.REMOTE}
_MODE_NAMES: Final = {mode: name for name, mode in _MODES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class CduIdentity:
    """What the CDU says of itself. Estimates, but the span of set-points: a vendor's firmware takes
    15 to 40 C, warm-water loops run up to 45 C (ASHRAE W45).
    """

    capacity_w: float = 360_000.0
    lowest_setpoint_c: float = 15.0
    highest_setpoint_c: float = 45.0
    lowest_facility_c: float = 8.0
    highest_facility_c: float = 40.0
    """Estimate: what its building takes as a wish; W40 loops are supplied so warm."""
    rated_rpm: float = 3_600.0
    reservoir_l: float = 6.4
    firmware_version: str = "1.0.0"
    readings_as_text: bool = False
    """Every `Reading` is a string, as the firmware of one vendor has it."""
    coolant: Mapping[str, object] | None = None
    """Redfish `Coolant`; None is PG25 at 40 C."""


_PG25: Final[Mapping[str, object]] = {
    "CoolantType": "Water",
    "AdditiveName": "Propylene glycol",
    "AdditivePercent": 25,
    "SpecificHeatkJoulesPerKgK": 3.96,
    "DensityKgPerCubicMeter": 1012,
}


class CduRedfish:
    """Redfish service of one CDU. Writing the valve or a pump while Local switches to Remote.

    `clock` stamps the writes, which the firmware's lease counts from; it is the world's clock.
    """

    def __init__(
        self, world: WorldView, row: int, clock: Clock, described: CduIdentity | None = None
    ) -> None:
        self._world = world
        self._row = row
        self._clock = clock
        self._described = described or CduIdentity()
        self.service = RedfishService(self._nodes())

    def handle(self, method: str, target: str, body: bytes | None = None) -> Answer:
        """DeviceError while the device is cut off."""
        check_answers(self._world.fleet_map.cdu_ids[self._row], self._readings())
        return self.service.handle(method, target, body)

    def request(self, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
        answer = self.handle(method, target, body)
        return answer.status, answer.body

    def _readings(self) -> CduReadings:
        return self._world.cdu_readings(self._row)

    def _requests(self) -> CduRequests:
        return self._world.cdu_requests(self._row)

    # --- the tree --------------------------------------------------------------------------------

    def _nodes(self) -> tuple[Node, ...]:
        cdu_id = self._world.fleet_map.cdu_ids[self._row]
        seen = self._readings()
        detectors = f"{UNIT}/LeakDetection/LeakDetectors"
        return (
            *service_root(
                f"CDU {cdu_id}",
                str(uuid.uuid5(uuid.NAMESPACE_URL, f"isotherm:{cdu_id}")),
                {"ThermalEquipment": EQUIPMENT},
            ),
            static(
                EQUIPMENT,
                "ThermalEquipment.v1_2_0",
                "Cooling equipment",
                {"Status": ENABLED, "CDUs": link(f"{EQUIPMENT}/CDUs")},
            ),
            Collection(f"{EQUIPMENT}/CDUs", "CoolingUnit", "CDUs", [self._unit(cdu_id)]),
            self._collection("PrimaryCoolantConnectors", "CoolantConnector", [self._primary()]),
            self._collection("SecondaryCoolantConnectors", "CoolantConnector", [self._secondary()]),
            self._collection("Pumps", "Pump", [self._pump(n) for n in range(len(seen.pump_state))]),
            self._collection("Reservoirs", "Reservoir", [self._reservoir()]),
            self._collection("Filters", "Filter", [_filter()]),
            self._environment(),
            static(
                f"{UNIT}/LeakDetection",
                "LeakDetection.v1_1_0",
                "Leak detection",
                {"Status": ENABLED, "LeakDetectors": link(detectors)},
            ),
            self._collection(
                "LeakDetection/LeakDetectors",
                "LeakDetector",
                [self._leak_detector(place) for place in range(len(seen.leak))],
            ),
        )

    def _collection(self, name: str, kind: str, members: list[Resource]) -> Collection:
        return Collection(f"{UNIT}/{name}", kind, name.rsplit("/", maxsplit=1)[-1], members)

    def _unit(self, cdu_id: str) -> Resource:
        described = self._described
        fixed: dict[str, object] = {
            **identity(UNIT, "CoolingUnit.v1_3_0", f"CDU {cdu_id}"),
            "EquipmentType": "CDU",
            "CoolingCapacityWatts": described.capacity_w,
            "FirmwareVersion": described.firmware_version,
            "Coolant": dict(described.coolant or _PG25),
        }
        for name in ("PrimaryCoolantConnectors", "SecondaryCoolantConnectors", "Pumps", "Filters"):
            fixed[name] = link(f"{UNIT}/{name}")
        for name in ("Reservoirs", "EnvironmentMetrics", "LeakDetection"):
            fixed[name] = link(f"{UNIT}/{name}")

        def render() -> bytes:
            seen = self._readings()
            pumps_well = all(health is PumpHealth.OK for health in seen.pump_state)
            status = {"State": "Enabled", "Health": "OK" if pumps_well else "Warning"}
            mode = _MODE_NAMES[self._requests().control_mode]
            oem = {"Isotherm": {"ControlMode": mode}}
            return msgspec.json.encode({**fixed, "Status": status, "Oem": oem})

        rules = {"Oem": Nested(rules={"Isotherm": Nested(rules=_MODE_RULES)})}
        return Resource(path=UNIT, render=render, rules=rules, write=self._write_mode)

    def _secondary(self) -> Resource:
        path = f"{UNIT}/SecondaryCoolantConnectors/1"
        span = Number(
            low=self._described.lowest_setpoint_c,
            high=self._described.highest_setpoint_c,
            unit="Cel",
        )

        def properties(seen: CduReadings) -> dict[str, object]:
            return {
                "SupplyTemperatureCelsius": self._excerpt(seen.supply_c),
                "ReturnTemperatureCelsius": self._excerpt(seen.return_c),
                "DeltaTemperatureCelsius": self._excerpt(seen.return_c - seen.supply_c),
                "FlowLitersPerMinute": self._excerpt(seen.secondary_flow_lpm),
                "SupplyPressurekPa": self._excerpt(seen.supply_pressure_kpa),
                "DeltaPressurekPa": self._excerpt(seen.secondary_dp_kpa),
                "SupplyTemperatureControlCelsius": _control(
                    self._requests().supply_setpoint_c, span
                ),
            }

        rules = {"SupplyTemperatureControlCelsius": SetPoint(number=span)}
        return self._connector(path, "Secondary", properties, rules, self._write_setpoint)

    def _primary(self) -> Resource:
        path = f"{UNIT}/PrimaryCoolantConnectors/1"
        described = self._described
        water = Number(
            low=described.lowest_facility_c, high=described.highest_facility_c, unit="Cel"
        )

        def properties(seen: CduReadings) -> dict[str, object]:
            return {
                "SupplyTemperatureCelsius": self._excerpt(seen.primary_supply_c),
                "SupplyTemperatureControlCelsius": _control(
                    self._requests().facility_setpoint_c, water
                ),
                "ReturnTemperatureCelsius": self._excerpt(seen.primary_return_c),
                "FlowLitersPerMinute": self._excerpt(seen.primary_flow_lpm),
                "HeatRemovedkW": self._excerpt(seen.heat_removed_w / 1e3),
                "ValvePositionPercent": self._excerpt(100.0 * seen.valve_ratio),
                "ValvePositionControlPercent": _control(
                    100.0 * valve_told_ratio(seen, self._requests()), _PERCENT
                ),
            }

        rules = {
            "ValvePositionControlPercent": SetPoint(number=_PERCENT),
            "SupplyTemperatureControlCelsius": SetPoint(number=water),
        }
        return self._connector(path, "Primary", properties, rules, self._write_primary)

    def _connector(
        self,
        path: str,
        side: str,
        properties: Callable[[CduReadings], dict[str, object]],
        rules: Mapping[str, Rule],
        write: Callable[[Written], None],
    ) -> Resource:
        fixed = {
            **identity(path, "CoolantConnector.v1_3_0", f"{side} connector"),
            "CoolantConnectorType": "Pair",
            "Status": ENABLED,
        }

        def render() -> bytes:
            return msgspec.json.encode({**fixed, **properties(self._readings())})

        return Resource(path=path, render=render, rules=rules, write=write)

    def _pump(self, row: int) -> Resource:
        path = f"{UNIT}/Pumps/{row + 1}"
        fixed = {**identity(path, "Pump.v1_2_0", f"Pump {row + 1}"), "PumpType": "Liquid"}

        def render() -> bytes:
            seen = self._readings()
            speed = seen.pump_speed_ratio[row]
            rpm = number(speed * self._described.rated_rpm, 0)
            running = math.isfinite(speed) and speed > 0.0
            status = {
                "State": "Enabled" if running else "StandbyOffline",
                "Health": seen.pump_state[row].value,
            }
            watts = number(seen.pump_power_w[row], 3)
            asked = 100.0 * pumps_told_ratio(seen, self._requests())[row]
            return msgspec.json.encode(
                {
                    **fixed,
                    "Status": status,
                    "PumpSpeedPercent": {**self._excerpt(100.0 * speed), "SpeedRPM": rpm},
                    "SpeedControlPercent": _control(asked, _PERCENT),
                    "Oem": {"Isotherm": {"PowerWatts": watts}},
                }
            )

        def write(written: Written) -> None:
            self._write_pump(row, float(written["SpeedControlPercent"]) / 100.0)

        rules = {"SpeedControlPercent": SetPoint(number=_PERCENT)}
        return Resource(path=path, render=render, rules=rules, write=write)

    def _reservoir(self) -> Resource:
        path = f"{UNIT}/Reservoirs/1"
        fixed = {
            **identity(path, "Reservoir.v1_1_0", "Expansion vessel"),
            "ReservoirType": "Reserve",
            "CapacityLiters": self._described.reservoir_l,
            "Status": ENABLED,
        }

        def render() -> bytes:
            level = self._excerpt(100.0 * self._readings().reservoir_level_ratio)
            return msgspec.json.encode({**fixed, "FluidLevelPercent": level})

        return Resource(path=path, render=render)

    def _environment(self) -> Resource:
        path = f"{UNIT}/EnvironmentMetrics"
        fixed = identity(path, "EnvironmentMetrics.v1_4_0", "Air at the CDU")

        def render() -> bytes:
            seen = self._readings()
            return msgspec.json.encode(
                {
                    **fixed,
                    "TemperatureCelsius": self._excerpt(seen.hall_air_c),
                    "DewPointCelsius": self._excerpt(seen.dew_point_c),
                    "PowerWatts": self._excerpt(sum(seen.pump_power_w)),
                    "Oem": {
                        "Isotherm": {
                            "OutdoorWetBulbCelsius": self._excerpt(seen.outdoor_wet_bulb_c)
                        }
                    },
                }
            )

        return Resource(path=path, render=render)

    def _leak_detector(self, place: int) -> Resource:
        path = f"{UNIT}/LeakDetection/LeakDetectors/{place + 1}"
        # Drip pan and floor have ropes; the third watches the level of the expansion vessel.
        kind = "FloatSwitch" if place == _FLOAT_SWITCH else "Moisture"
        return leak_detector(path, lambda: self._readings().leak[place], kind)

    def _excerpt(self, value: float) -> dict[str, float | str | None]:
        shown = number(value, 3)
        if shown is None or not self._described.readings_as_text:
            return {"Reading": shown}
        return {"Reading": f"{shown:g}"}

    # --- writes ----------------------------------------------------------------------------------

    def _write_mode(self, written: Written) -> None:
        # A body such as {"Oem": {}} names no mode; it is well formed and changes nothing.
        mode = written.get("Oem/Isotherm/ControlMode")
        if mode == "Remote":
            self._take_over()
        elif mode == "Local":
            self._requests().control_mode = ControlMode.LOCAL

    def _write_setpoint(self, written: Written) -> None:
        self._requests().supply_setpoint_c = float(written["SupplyTemperatureControlCelsius"])

    def _write_primary(self, written: Written) -> None:
        """Water is asked of the building, whoever moves the valve."""
        if "SupplyTemperatureControlCelsius" in written:
            requests = self._requests()
            requests.facility_asked_monotonic_s = self._clock.monotonic_s()
            requests.facility_setpoint_c = float(written["SupplyTemperatureControlCelsius"])
        if "ValvePositionControlPercent" in written:
            self._take_over(valve_ratio=float(written["ValvePositionControlPercent"]) / 100.0)

    def _write_pump(self, row: int, speed_ratio: float) -> None:
        self._take_over(pump=(row, speed_ratio))

    def _take_over(
        self, *, valve_ratio: float | None = None, pump: tuple[int, float] | None = None
    ) -> None:
        """Write registers and renew the lease.

        What the first writer leaves out keeps its measured place, so that taking over does not
        bump it. The mode is written last, when the registers are right.
        """
        requests = self._requests()
        if requests.control_mode is ControlMode.LOCAL:
            self._hold_still(requests)
        if valve_ratio is not None:
            requests.valve_ratio = valve_ratio
        if pump is not None:
            speeds = list(requests.pump_ratio)
            speeds[pump[0]] = pump[1]
            requests.pump_ratio = tuple(speeds)
        requests.last_write_monotonic_s = self._clock.monotonic_s()
        requests.control_mode = ControlMode.REMOTE

    def _hold_still(self, requests: CduRequests) -> None:
        seen = self._readings()
        if math.isfinite(seen.valve_ratio):
            requests.valve_ratio = min(max(seen.valve_ratio, 0.0), 1.0)
        requests.pump_ratio = tuple(
            min(max(speed, 0.0), 1.0) if math.isfinite(speed) else asked
            for speed, asked in zip(seen.pump_speed_ratio, requests.pump_ratio, strict=True)
        )


_MODE_RULES: Final[Mapping[str, Rule]] = {"ControlMode": OneOf(allowed=tuple(_MODES))}


def _filter() -> Resource:
    """The main strainer. How clogged it is no CDU of this kind measures: it tells no more."""
    properties = {"Replaceable": True, "HotPluggable": False, "Status": ENABLED}
    return static(f"{UNIT}/Filters/1", "Filter.v1_0_2", "Main filter", properties)


def _control(set_point: float | None, span: Number) -> dict[str, float | None]:
    return {
        "SetPoint": None if set_point is None else number(set_point, 3),
        "AllowableMin": span.low,
        "AllowableMax": span.high,
    }
