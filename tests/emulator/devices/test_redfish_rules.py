import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.devices.cdu_redfish import CduRedfish
from emulator.devices.sled_bmc import SledBmc
from fleet.clock import ManualClock
from tests.emulator.devices.builders import HandHall

CDU = "/redfish/v1/ThermalEquipment/CDUs/1"
LIMIT = "/redfish/v1/Chassis/Sled/Controls/TRN2_Power_Limit"
VALVE = f"{CDU}/PrimaryCoolantConnectors/1"
SUPPLY = f"{CDU}/SecondaryCoolantConnectors/1"
PUMP = f"{CDU}/Pumps/2"

HALL = HandHall()
SLED = SledBmc(HALL, 0)
UNIT = CduRedfish(HALL, 0, ManualClock())

NAMES = (
    "SetPoint",
    "SpeedControlPercent",
    "ValvePositionControlPercent",
    "SupplyTemperatureControlCelsius",
    "Oem",
    "Isotherm",
    "ControlMode",
    "Name",
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["Local", "Remote", "100", 1e999, 10**400, -0.0]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
bodies = st.binary(max_size=64) | values.map(lambda value: json.dumps(value).encode())


def patch(path: str, body: bytes) -> tuple[int, Any]:
    device = SLED if path == LIMIT else UNIT
    status, answer = device.request("PATCH", path, body)
    return status, json.loads(answer)


@settings(max_examples=300)
@given(path=st.sampled_from((LIMIT, CDU, VALVE, SUPPLY, PUMP)), body=bodies)
def test_any_body_is_taken_or_refused_in_redfish_form(path: str, body: bytes) -> None:
    status, answer = patch(path, body)
    assert status in {200, 400}
    assert ("error" in answer) == (status == 400)


@pytest.mark.parametrize(
    ("path", "body", "message", "words"),
    [
        (LIMIT, {"SetPoint": 5000}, "PropertyValueOutOfRange", ("SetPoint", "100 to 1000 W")),
        (LIMIT, {"SetPoint": 10}, "PropertyValueOutOfRange", ("SetPoint", "100 to 1000 W")),
        (LIMIT, {"SetPoint": "500"}, "PropertyValueTypeError", ("SetPoint", "100 to 1000 W")),
        (LIMIT, {"SetPoint": True}, "PropertyValueTypeError", ("SetPoint",)),
        (LIMIT, {"Setpoint": 500}, "PropertyUnknown", ("Setpoint", "SetPoint")),
        (LIMIT, {"AllowableMax": 500}, "PropertyNotWritable", ("AllowableMax", "SetPoint")),
        (LIMIT, {}, "EmptyJSON", ()),
        (LIMIT, [], "MalformedJSON", ()),
        (
            PUMP,
            {"SpeedControlPercent": {"SetPoint": 101}},
            "PropertyValueOutOfRange",
            ("SpeedControlPercent/SetPoint", "0 to 100 %"),
        ),
        (PUMP, {"SpeedControlPercent": {}}, "PropertyValueTypeError", ("SpeedControlPercent",)),
        (
            PUMP,
            {"SpeedControlPercent": {"SetPoint": 50, "Setting": 1}},
            "PropertyUnknown",
            ("SpeedControlPercent/Setting",),
        ),
        (
            VALVE,
            {"ValvePositionControlPercent": -1},
            "PropertyValueOutOfRange",
            ("ValvePositionControlPercent", "0 to 100 %"),
        ),
        (
            SUPPLY,
            {"SupplyTemperatureControlCelsius": {"SetPoint": 60}},
            "PropertyValueOutOfRange",
            ("SupplyTemperatureControlCelsius/SetPoint", "15 to 45 Cel"),
        ),
        (
            CDU,
            {"Oem": {"Isotherm": {"ControlMode": "remote"}}},
            "PropertyValueNotInList",
            ("Oem/Isotherm/ControlMode", "Local, Remote"),
        ),
        (CDU, {"Oem": 1}, "PropertyValueTypeError", ("Oem",)),
        (CDU, {"FirmwareVersion": "2"}, "PropertyNotWritable", ("FirmwareVersion",)),
    ],
)
def test_a_refusal_names_the_property_and_what_is_allowed(
    path: str, body: object, message: str, words: tuple[str, ...]
) -> None:
    status, answer = patch(path, json.dumps(body).encode())
    assert status == 400
    [extended] = answer["error"]["@Message.ExtendedInfo"]
    assert extended["MessageId"] == f"Base.1.18.{message}"
    assert [word for word in words if word not in extended["Message"]] == []


def test_a_patch_is_all_or_nothing() -> None:
    hall = HandHall()
    body = json.dumps({"SetPoint": 400, "Nonsense": 1}).encode()
    assert SledBmc(hall, 0).request("PATCH", LIMIT, body)[0] == 400
    assert hall.sled_requests(0).power_cap_ratio == (1.0,) * 4
