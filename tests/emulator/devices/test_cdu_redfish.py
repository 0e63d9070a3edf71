import json
from typing import Any

import pytest

from emulator.devices.cdu_redfish import CduRedfish
from emulator.readings import ControlMode, PumpHealth
from fleet.clock import ManualClock
from fleet.metrics import LeakState
from tests.emulator.devices.builders import HandHall

UNIT = "/redfish/v1/ThermalEquipment/CDUs/1"
EXPAND = "?$expand=*($levels=1)"


class Bench:
    def __init__(self) -> None:
        self.hall = HandHall()
        self.clock = ManualClock()
        self.device = CduRedfish(self.hall, 0, self.clock)
        self.requests = self.hall.cdu_requests(0)

    def get(self, name: str) -> Any:
        status, body = self.device.request("GET", f"{UNIT}{name}")
        assert status == 200, name
        return json.loads(body)

    def patch(self, name: str, body: object) -> Any:
        encoded = json.dumps(body).encode()
        status, answer = self.device.request("PATCH", f"{UNIT}{name}", encoded)
        assert status == 200, answer
        return json.loads(answer)


@pytest.mark.parametrize(
    ("resource", "name", "reading"),
    [
        ("/SecondaryCoolantConnectors/1", "SupplyTemperatureCelsius", 40.0),
        ("/SecondaryCoolantConnectors/1", "ReturnTemperatureCelsius", 48.5),
        ("/SecondaryCoolantConnectors/1", "DeltaTemperatureCelsius", 8.5),
        ("/SecondaryCoolantConnectors/1", "FlowLitersPerMinute", 540.0),
        ("/SecondaryCoolantConnectors/1", "SupplyPressurekPa", 330.0),
        ("/SecondaryCoolantConnectors/1", "DeltaPressurekPa", 180.0),
        ("/PrimaryCoolantConnectors/1", "SupplyTemperatureCelsius", 30.0),
        ("/PrimaryCoolantConnectors/1", "ReturnTemperatureCelsius", 38.0),
        ("/PrimaryCoolantConnectors/1", "FlowLitersPerMinute", 500.0),
        ("/PrimaryCoolantConnectors/1", "HeatRemovedkW", 280.0),
        ("/PrimaryCoolantConnectors/1", "ValvePositionPercent", 60.0),
        ("/Reservoirs/1", "FluidLevelPercent", 97.0),
        ("/EnvironmentMetrics", "TemperatureCelsius", 27.0),
        ("/EnvironmentMetrics", "DewPointCelsius", 14.1),
    ],
)
def test_readings_are_excerpts_in_redfish_units(resource: str, name: str, reading: float) -> None:
    assert Bench().get(resource)[name] == {"Reading": pytest.approx(reading)}


def test_pumps_show_speed_health_and_watts() -> None:
    bench = Bench()
    bench.hall.change_cdu(
        pump_speed_ratio=(0.0, 1.0), pump_state=(PumpHealth.CRITICAL, PumpHealth.OK)
    )
    first, second = bench.get(f"/Pumps{EXPAND}")["Members"]
    assert (first["Id"], second["Id"]) == ("1", "2")
    assert first["Status"]["Health"] == "Critical"
    assert second["PumpSpeedPercent"] == {"Reading": 100.0, "SpeedRPM": 3600.0}
    assert second["Oem"]["Isotherm"]["PowerWatts"] == 1410.0
    assert bench.get("")["Status"]["Health"] == "Warning"


def test_a_lost_sensor_reads_null() -> None:
    bench = Bench()
    bench.hall.change_cdu(supply_c=float("nan"))
    connector = bench.get("/SecondaryCoolantConnectors/1")
    assert connector["SupplyTemperatureCelsius"] == {"Reading": None}
    assert connector["ReturnTemperatureCelsius"] == {"Reading": 48.5}


@pytest.mark.parametrize("value", [70, {"SetPoint": 70}])
def test_writing_the_valve_takes_over_and_leaves_the_pumps_where_they_are(value: object) -> None:
    bench = Bench()
    bench.clock.advance(3.0)
    shown = bench.patch("/PrimaryCoolantConnectors/1", {"ValvePositionControlPercent": value})
    assert shown["ValvePositionControlPercent"]["SetPoint"] == 70
    assert bench.requests.control_mode is ControlMode.REMOTE
    assert bench.requests.valve_ratio == pytest.approx(0.7)
    assert bench.requests.pump_ratio == (0.85, 0.85)
    assert bench.requests.last_write_monotonic_s == 3.0
    assert bench.get("")["Oem"]["Isotherm"]["ControlMode"] == "Remote"


def test_set_points_show_what_the_own_loop_asks_until_somebody_writes_them() -> None:
    bench = Bench()
    bench.hall.change_cdu(valve_command_ratio=0.617, pump_command_ratio=(0.83, 0.84))

    def shown() -> list[float]:
        valve = bench.get("/PrimaryCoolantConnectors/1")["ValvePositionControlPercent"]
        pumps = [bench.get(f"/Pumps/{pump}")["SpeedControlPercent"] for pump in (1, 2)]
        return [one["SetPoint"] for one in (valve, *pumps)]

    assert shown() == pytest.approx([61.7, 83.0, 84.0])
    bench.patch("/PrimaryCoolantConnectors/1", {"ValvePositionControlPercent": 70})
    assert shown() == pytest.approx([70.0, 85.0, 85.0])
    bench.patch("", {"Oem": {"Isotherm": {"ControlMode": "Local"}}})
    assert shown() == pytest.approx([61.7, 83.0, 84.0])
    bench.hall.change_cdu(valve_command_ratio=float("nan"))
    valve = bench.get("/PrimaryCoolantConnectors/1")["ValvePositionControlPercent"]
    assert valve["SetPoint"] is None


def test_writing_one_pump_leaves_valve_and_other_pumps() -> None:
    bench = Bench()
    bench.patch("/Pumps/2", {"SpeedControlPercent": {"SetPoint": 55}})
    assert bench.requests.control_mode is ControlMode.REMOTE
    assert bench.requests.pump_ratio == pytest.approx((0.85, 0.55))
    assert bench.requests.valve_ratio == pytest.approx(0.6)


def test_later_writes_do_not_undo_earlier_ones() -> None:
    bench = Bench()
    bench.patch("/PrimaryCoolantConnectors/1", {"ValvePositionControlPercent": 90})
    bench.clock.advance(1.0)
    bench.patch("/Pumps/1", {"SpeedControlPercent": {"SetPoint": 50}})
    assert bench.requests.valve_ratio == pytest.approx(0.9)
    assert bench.requests.last_write_monotonic_s == 1.0


def test_taking_over_blind_keeps_the_registers() -> None:
    bench = Bench()
    bench.hall.change_cdu(valve_ratio=float("nan"), pump_speed_ratio=(float("nan"), 0.7))
    bench.patch("", {"Oem": {"Isotherm": {"ControlMode": "Remote"}}})
    assert bench.requests.valve_ratio == 0.5
    assert bench.requests.pump_ratio == (0.8, 0.7)


def test_the_mode_can_be_handed_back() -> None:
    bench = Bench()
    for name, mode in (("Remote", ControlMode.REMOTE), ("Local", ControlMode.LOCAL)):
        shown = bench.patch("", {"Oem": {"Isotherm": {"ControlMode": name}}})
        assert shown["Oem"]["Isotherm"]["ControlMode"] == name
        assert bench.requests.control_mode is mode


def test_the_set_point_changes_in_local_mode_and_stays_there() -> None:
    bench = Bench()
    shown = bench.patch(
        "/SecondaryCoolantConnectors/1", {"SupplyTemperatureControlCelsius": {"SetPoint": 38.5}}
    )
    control = shown["SupplyTemperatureControlCelsius"]
    assert (control["SetPoint"], control["AllowableMin"], control["AllowableMax"]) == (38.5, 15, 45)
    assert bench.requests.supply_setpoint_c == 38.5
    assert bench.requests.control_mode is ControlMode.LOCAL


def test_the_unit_links_its_filter() -> None:
    bench = Bench()
    filters = bench.get("")["Filters"]["@odata.id"].removeprefix(UNIT)
    [member] = bench.get(f"{filters}{EXPAND}")["Members"]
    assert (member["@odata.type"], member["Replaceable"]) == ("#Filter.v1_0_2.Filter", True)


def test_the_expansion_vessel_is_watched_by_a_float_switch() -> None:
    bench = Bench()
    bench.hall.change_cdu(leak=(LeakState.OK, LeakState.OK, LeakState.WARNING))
    bench.device = CduRedfish(bench.hall, 0, bench.clock)
    detectors = bench.get(f"/LeakDetection/LeakDetectors{EXPAND}")["Members"]
    assert [(found["LeakDetectorType"], found["DetectorState"]) for found in detectors] == [
        ("Moisture", "OK"),
        ("Moisture", "OK"),
        ("FloatSwitch", "Warning"),
    ]


def test_the_building_is_asked_for_water_and_the_valve_stays_where_it_is() -> None:
    bench = Bench()
    primary = "/PrimaryCoolantConnectors/1"
    assert bench.get(primary)["SupplyTemperatureControlCelsius"]["SetPoint"] is None
    bench.clock.advance(5.0)
    bench.patch(primary, {"SupplyTemperatureControlCelsius": {"SetPoint": 27.5}})
    assert bench.requests.facility_setpoint_c == 27.5
    assert bench.requests.facility_asked_monotonic_s == bench.clock.monotonic_s()
    assert bench.requests.control_mode is ControlMode.LOCAL
    assert bench.get(primary)["SupplyTemperatureControlCelsius"] == {
        "SetPoint": 27.5,
        "AllowableMin": 8.0,
        "AllowableMax": 40.0,
    }


@pytest.mark.parametrize("asked_c", [7.0, 41.0, "warm", None])
def test_water_that_no_building_gives_is_refused(asked_c: object) -> None:
    bench = Bench()
    body = json.dumps({"SupplyTemperatureControlCelsius": {"SetPoint": asked_c}}).encode()
    path = f"{UNIT}/PrimaryCoolantConnectors/1"
    status, _ = bench.device.request("PATCH", path, body)
    assert status == 400
    assert bench.requests.facility_setpoint_c is None


def test_a_cdu_tells_the_wet_bulb_that_its_building_tells_it() -> None:
    bench = Bench()
    bench.hall.change_cdu(outdoor_wet_bulb_c=17.3)
    outdoor = bench.get("/EnvironmentMetrics")["Oem"]["Isotherm"]["OutdoorWetBulbCelsius"]
    assert outdoor == {"Reading": 17.3}
