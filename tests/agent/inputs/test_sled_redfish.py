import math

import pytest

from agent.inputs.sled_redfish import SledRedfishInput
from fleet.metrics import LEAK_STATES
from tests.agent.devices import CONTROLS, EXPAND, LEAKS, SENSORS, SYSTEM, SledBmc


def test_one_request_a_collection() -> None:
    bmc = SledBmc()
    samples = SledRedfishInput(bmc).read(0.0)
    assert samples.errors == ()
    assert len(samples.values) == 4 * 5 + 4 + 2
    assert samples.values["junction_c", 3] == 63.0
    assert samples.values["hbm_utilization_ratio", 1] == pytest.approx(0.55)
    assert samples.values["power_cap_w", 2] == 1000.0
    assert samples.values["power_state", 0] == 1.0
    assert [path for _, path in bmc.asked] == [
        SENSORS + EXPAND,
        LEAKS + EXPAND,
        SYSTEM,
        CONTROLS + EXPAND,
    ]


def test_limits_are_read_every_third_tick_and_held() -> None:
    bmc = SledBmc()
    source = SledRedfishInput(bmc, limits_every=3)
    for second in range(6):
        assert source.read(float(second)).values["power_cap_w", 0] == 1000.0
    assert bmc.asked.count(("GET", CONTROLS + EXPAND)) == 2


def test_a_service_that_ignores_expand_is_read_one_by_one() -> None:
    samples = SledRedfishInput(SledBmc(expands=False)).read(0.0)
    assert samples.errors == ()
    assert samples.values["junction_c", 0] == 60.0
    assert samples.values["leak_state", 0] == LEAK_STATES.index("OK")


@pytest.mark.parametrize(
    ("reading", "expected"),
    [(61, 61.0), ("61.5", 61.5), (None, math.nan), ("n/a", math.nan), ([1], math.nan)],
)
def test_readings_as_bmcs_send_them(reading: object, expected: float) -> None:
    samples = SledRedfishInput(SledBmc(junction_c=[reading])).read(0.0)
    assert samples.values["junction_c", 0] == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("states", "worst"),
    [
        (["OK", "Critical", "Warning"], "Critical"),
        (["OK", "Unavailable"], "Unavailable"),
        (["Warning", "Unavailable"], "Warning"),
        (["OK", "soaked"], "Unavailable"),
        (["Absent", "OK"], "OK"),
        ([], "Absent"),
    ],
)
def test_the_worst_detector_speaks(states: list[str], worst: str) -> None:
    samples = SledRedfishInput(SledBmc(leaks=states)).read(0.0)
    assert samples.values["leak_state", 0] == LEAK_STATES.index(worst)


@pytest.mark.parametrize(
    "answer", [(200, b"{"), (200, b"[]"), (500, b"oops"), (200, b'{"Members": 7}'), (503, b"")]
)
def test_one_broken_resource_takes_nothing_from_the_others(answer: tuple[int, bytes]) -> None:
    samples = SledRedfishInput(SledBmc(raw={SENSORS: answer})).read(0.0)
    assert ("junction_c", 0) not in samples.values
    assert samples.values["power_cap_w", 0] == 1000.0
    assert samples.values["leak_state", 0] == LEAK_STATES.index("OK")


def test_a_member_that_can_not_be_read_is_one_error() -> None:
    bmc = SledBmc(expands=False, raw={f"{SENSORS}/TRN2_Die_Temp": (404, b"")})
    samples = SledRedfishInput(bmc).read(0.0)
    assert [str(error) for error in samples.errors] == [f"GET {SENSORS}/TRN2_Die_Temp: HTTP 404"]
    assert samples.values["junction_c", 3] == 63.0


def test_a_link_out_of_the_service_is_not_followed() -> None:
    evil = b'{"Members": [{"@odata.id": "http://elsewhere/x"}, {"@odata.id": "/etc"}]}'
    bmc = SledBmc(raw={SENSORS: (200, evil)})
    samples = SledRedfishInput(bmc).read(0.0)
    assert len(samples.errors) == 2
    assert all(path.startswith("/redfish/") for _, path in bmc.asked)


def test_a_dead_bmc_is_asked_once_and_left_alone_for_a_while() -> None:
    bmc = SledBmc(away=True)
    source = SledRedfishInput(bmc)
    assert [len(source.read(second).errors) for second in (0.0, 0.5)] == [1, 1]
    bmc.away = False
    assert source.read(0.9).values == {}
    assert source.read(1.0).values["junction_c", 0] == 60.0


def test_a_sensor_that_is_not_fitted_has_no_reading() -> None:
    absent = b'{"Members": [{"Id": "Coolant_Flow", "Reading": 0, "Status": {"State": "Absent"}}]}'
    samples = SledRedfishInput(SledBmc(raw={SENSORS: (200, absent)})).read(0.0)
    assert ("coolant_flow_lpm", 0) not in samples.values
