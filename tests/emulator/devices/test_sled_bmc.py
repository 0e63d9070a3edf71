import json
from typing import Any

import pytest

from emulator.devices.sled_bmc import SledBmc
from fleet.metrics import LeakState
from tests.emulator.devices.builders import HandHall

CHASSIS = "/redfish/v1/Chassis/Sled"
EXPAND = "?$expand=*($levels=1)"
RESET = "/redfish/v1/Systems/Sled/Actions/ComputerSystem.Reset"
# Id, ReadingType, ReadingUnits, Reading of the builders' sled.
SENSORS: list[tuple[str, str, str, float]] = [
    ("TRN0_Die_Temp", "Temperature", "Cel", 70.0),
    ("TRN3_Die_Temp", "Temperature", "Cel", 73.0),
    ("TRN1_HBM_Temp", "Temperature", "Cel", 75.0),
    ("TRN2_Power", "Power", "W", 803.0),
    ("TRN3_HBM_Bandwidth", "Percent", "%", 53.0),
    ("Coolant_Inlet_Temp", "Temperature", "Cel", 40.1),
    ("Coolant_Outlet_Temp", "Temperature", "Cel", 48.3),
    ("Coolant_Flow", "LiquidFlowLPM", "L/min", 7.52),
    ("Sled_Power", "Power", "W", 3900.0),
]


def members(bmc: SledBmc, path: str) -> dict[str, Any]:
    status, body = bmc.request("GET", path + EXPAND)
    assert status == 200
    return {member["Id"]: member for member in json.loads(body)["Members"]}


@pytest.mark.parametrize(("sensor", "kind", "units", "reading"), SENSORS)
def test_sensors_show_the_readings(sensor: str, kind: str, units: str, reading: float) -> None:
    found = members(SledBmc(HandHall(), 0), f"{CHASSIS}/Sensors")
    assert len(found) == 4 * 4 + 4
    shown = found[sensor]
    assert (shown["ReadingType"], shown["ReadingUnits"]) == (kind, units)
    assert shown["Reading"] == pytest.approx(reading)
    assert shown["ReadingRangeMin"] <= reading <= shown["ReadingRangeMax"]
    assert shown["Status"] == {"State": "Enabled", "Health": "OK"}


def test_sensors_follow_the_world() -> None:
    hall = HandHall()
    bmc = SledBmc(hall, 0)
    hall.change_sled(inlet_c=33.3)
    found = members(bmc, f"{CHASSIS}/Sensors")
    assert found["Coolant_Inlet_Temp"]["Reading"] == 33.3


def test_a_sensor_that_shows_nothing_reads_null_and_says_so() -> None:
    hall = HandHall()
    hall.change_sled(junction_c=(float("nan"), 91.0, 96.0, 20.0))
    found = members(SledBmc(hall, 0), f"{CHASSIS}/Sensors")
    assert found["TRN0_Die_Temp"]["Reading"] is None
    assert found["TRN0_Die_Temp"]["Status"]["State"] == "UnavailableOffline"
    healths = [found[f"TRN{chip}_Die_Temp"]["Status"]["Health"] for chip in (1, 2, 3)]
    assert healths == ["Warning", "Critical", "OK"]
    thresholds = found["TRN0_Die_Temp"]["Thresholds"]
    assert thresholds["UpperCaution"]["Reading"] < thresholds["UpperCritical"]["Reading"]


def test_a_power_limit_reaches_its_chip_alone() -> None:
    hall = HandHall()
    bmc = SledBmc(hall, 5)
    control = f"{CHASSIS}/Controls/TRN2_Power_Limit"
    status, body = bmc.request("PATCH", control, b'{"SetPoint":200}')
    assert status == 200
    assert json.loads(body)["SetPoint"] == 200
    assert hall.sled_requests(5).power_cap_ratio == pytest.approx((1.0, 1.0, 0.2, 1.0))
    assert hall.sled_requests(4).power_cap_ratio == (1.0,) * 4
    shown = members(bmc, f"{CHASSIS}/Controls")
    assert [shown[f"TRN{chip}_Power_Limit"]["SetPoint"] for chip in range(4)] == [
        1e3,
        1e3,
        200,
        1e3,
    ]
    limit = shown["TRN0_Power_Limit"]
    assert (limit["ControlType"], limit["AllowableMin"], limit["AllowableMax"]) == (
        "Power",
        100,
        1000,
    )


@pytest.mark.parametrize("state", list(LeakState))
def test_leak_detectors_show_their_state(state: LeakState) -> None:
    hall = HandHall()
    hall.change_sled(leak=(LeakState.OK, state))
    path = f"{CHASSIS}/ThermalSubsystem/LeakDetection/LeakDetectors"
    found = members(SledBmc(hall, 0), path)
    assert [found[number]["DetectorState"] for number in ("1", "2")] == ["OK", state.value]
    assert found["1"]["LeakDetectorType"] == "Moisture"


def test_reset_switches_the_sled_and_the_state_is_what_it_does() -> None:
    hall = HandHall()
    bmc = SledBmc(hall, 0)
    for reset, powered in (("ForceOff", False), ("On", True), ("GracefulShutdown", False)):
        assert bmc.request("POST", RESET, json.dumps({"ResetType": reset}).encode()) == (204, b"")
        assert hall.sled_requests(0).powered is powered
    # Told, but not done yet.
    assert json.loads(bmc.request("GET", "/redfish/v1/Systems/Sled")[1])["PowerState"] == "On"
    hall.change_sled(powered=False)
    assert json.loads(bmc.request("GET", "/redfish/v1/Systems/Sled")[1])["PowerState"] == "Off"


@pytest.mark.parametrize(
    "body", [b'{"ResetType":"Nmi"}', b'{"ResetType":1}', b'{"Other":1}', b"{}", b"", b"[]"]
)
def test_a_reset_that_is_not_understood_changes_nothing(body: bytes) -> None:
    hall = HandHall()
    assert SledBmc(hall, 0).request("POST", RESET, body)[0] == 400
    assert hall.sled_requests(0).powered
