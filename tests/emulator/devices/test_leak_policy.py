import json
from collections.abc import Mapping
from typing import Any

import pytest

from emulator.devices.sled_bmc import LEAK_DETECTION, SledBmc
from emulator.readings import LeakPolicy, LeakReaction
from fleet.metrics import LeakState
from tests.emulator.devices.builders import HandHall

SECOND = f"{LEAK_DETECTION}/LeakDetectors/2"


class Bench:
    def __init__(self) -> None:
        self.hall = HandHall()
        self.bmc = SledBmc(self.hall, 3)

    def patch(self, body: Mapping[str, object]) -> tuple[int, Any]:
        status, answer = self.bmc.request("PATCH", SECOND, json.dumps(body).encode())
        return status, json.loads(answer)

    @property
    def policies(self) -> tuple[LeakPolicy, ...]:
        return self.hall.sled_requests(3).leak_policies


def test_what_is_written_to_one_detector_is_kept_and_shown() -> None:
    bench = Bench()
    status, shown = bench.patch({"CriticalReactionType": "ForceOff", "ReactionDelaySeconds": 5})
    assert status == 200
    assert (shown["CriticalReactionType"], shown["ReactionDelaySeconds"]) == ("ForceOff", 5)
    assert (shown["WarningReactionType"], shown["Enabled"]) == ("None", True)
    assert bench.policies == (
        LeakPolicy(),
        LeakPolicy(on_critical=LeakReaction.FORCE_OFF, delay_s=5.0),
    )
    bench.patch({"WarningReactionType": "GracefulShutdown"})
    assert bench.policies[1].on_critical is LeakReaction.FORCE_OFF
    assert bench.hall.sled_requests(4).leak_policies == (LeakPolicy(),) * 2


def test_a_disabled_detector_says_that_it_is_not_to_be_trusted() -> None:
    bench = Bench()
    bench.hall.change_sled(leak=(LeakState.OK, LeakState.OK))
    _, shown = bench.patch({"Enabled": False})
    assert (shown["Enabled"], shown["DetectorState"]) == (False, "Unavailable")
    assert shown["Status"]["State"] == "Disabled"
    _, shown = bench.patch({"Enabled": True})
    assert (shown["DetectorState"], shown["Status"]["State"]) == ("OK", "Enabled")


@pytest.mark.parametrize(
    "body",
    [
        {"Enabled": "yes"},
        {"Enabled": 1},
        {"CriticalReactionType": "Explode"},
        {"WarningReactionType": None},
        {"ReactionDelaySeconds": -1},
        {"ReactionDelaySeconds": "5"},
        {"ReactionDelaySeconds": 5, "DetectorState": "OK"},
        {"ReactionDelaySeconds": 5, "Colour": "red"},
    ],
)
def test_what_can_not_be_written_changes_nothing(body: dict[str, object]) -> None:
    bench = Bench()
    status, answer = bench.patch(body)
    assert status == 400
    assert answer["error"]["message"]
    assert bench.policies == (LeakPolicy(),) * 2


def test_thresholds_are_written_and_health_follows() -> None:
    bench = Bench()
    path = "/redfish/v1/Chassis/Sled/Sensors/TRN1_Die_Temp"
    wish = {"Thresholds": {"UpperCaution": {"Reading": 60}, "UpperCritical": {"Reading": 71.5}}}
    status, body = bench.bmc.request("PATCH", path, json.dumps(wish).encode())
    assert status == 200
    shown = json.loads(body)
    assert shown["Thresholds"] == wish["Thresholds"]
    assert (shown["Reading"], shown["Status"]["Health"]) == (71.0, "Warning")
    bench.hall.change_sled(junction_c=(70.0, 72.0, 70.0, 70.0))
    assert json.loads(bench.bmc.request("GET", path)[1])["Status"]["Health"] == "Critical"
    other = json.loads(bench.bmc.request("GET", path.replace("TRN1", "TRN2"))[1])
    assert (other["Thresholds"]["UpperCaution"]["Reading"], other["Status"]["Health"]) == (90, "OK")


@pytest.mark.parametrize(
    ("sensor", "body"),
    [
        ("TRN1_Die_Temp", {"Thresholds": {"UpperCaution": {"Reading": 500}}}),
        ("TRN1_Die_Temp", {"Thresholds": {"LowerCaution": {"Reading": 5}}}),
        ("TRN1_Die_Temp", {"Thresholds": {"UpperCaution": 60}}),
        ("TRN1_Die_Temp", {"Reading": 5}),
    ],
)
def test_odd_thresholds_are_refused(sensor: str, body: dict[str, object]) -> None:
    bench = Bench()
    path = f"/redfish/v1/Chassis/Sled/Sensors/{sensor}"
    before = bench.bmc.request("GET", path)
    assert bench.bmc.request("PATCH", path, json.dumps(body).encode())[0] == 400
    assert bench.bmc.request("GET", path) == before


def test_a_sensor_without_thresholds_takes_none() -> None:
    path = "/redfish/v1/Chassis/Sled/Sensors/Sled_Power"
    assert Bench().bmc.request("PATCH", path, b'{"Thresholds": {}}')[0] == 405
