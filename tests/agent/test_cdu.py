import math
from itertools import pairwise
from pathlib import Path

import pytest

from agent.cdu import CduAgent
from fleet.commands import Ack, CapPower, Outcome, SetCooling
from fleet.errors import DeviceError
from fleet.events import Event, EventKind
from fleet.frame import Frame
from tests.agent.builders import CDU_ID, CduPlace, command, value
from tests.agent.devices import CDU

WANTED = SetCooling(valve_ratio=0.55, pump_ratio=0.8, supply_c=38.0)


def tick(place: CduPlace, agent: CduAgent, times: int = 1) -> Frame:
    for _ in range(times):
        place.clock.advance(1.0)
        frame = agent.tick()
    return frame


def test_a_cdu_is_read_into_house_units(tmp_path: Path) -> None:
    place = CduPlace(tmp_path)
    agent = place.agent()
    frame = tick(place, agent)
    expected = {
        "supply_c": 40.0,
        "secondary_dp_kpa": 180.5,
        "supply_pressure_kpa": 320.0,
        "valve_ratio": 0.35,
        "heat_removed_w": 310_500.0,
        "reservoir_level_ratio": 0.96,
        "dew_point_c": 14.0,
        "outdoor_wet_bulb_c": 17.5,
        "cdu_leak_state": 0.0,
        "control_mode": 0.0,
    }
    found = {metric: value(agent.schema, frame, metric) for metric in expected}
    assert found == pytest.approx(expected)
    assert math.isnan(value(agent.schema, frame, "primary_return_c"))
    speeds = [value(agent.schema, frame, "pump_speed_ratio", pump) for pump in range(2)]
    assert speeds == pytest.approx([0.70, 0.71])


def test_a_setpoint_goes_to_valve_and_every_pump(tmp_path: Path) -> None:
    place = CduPlace(tmp_path)
    agent = place.agent()
    ack = agent.execute(command(WANTED, place.clock, target=CDU_ID))
    assert ack.outcome is Outcome.APPLIED
    assert [(path.removeprefix(CDU + "/"), body) for _, path, body in place.bmc.written] == [
        ("SecondaryCoolantConnectors/1", {"SupplyTemperatureControlCelsius": {"SetPoint": 38.0}}),
        ("PrimaryCoolantConnectors/1", {"ValvePositionControlPercent": {"SetPoint": 55.0}}),
        ("Pumps/1", {"SpeedControlPercent": {"SetPoint": 80.0}}),
        ("Pumps/2", {"SpeedControlPercent": {"SetPoint": 80.0}}),
    ]


def test_what_a_cdu_asks_of_its_actuators_is_read_back(tmp_path: Path) -> None:
    place = CduPlace(tmp_path)
    agent = place.agent()
    silent = tick(place, agent)
    place.bmc.valve_set_point, place.bmc.pump_set_point = 36.5, 72.25
    frame = tick(place, agent)
    assert value(agent.schema, frame, "valve_command_ratio") == pytest.approx(0.365)
    pumps = [value(agent.schema, frame, "pump_command_ratio", pump) for pump in range(2)]
    assert pumps == pytest.approx([0.7225, 0.7225])
    assert math.isnan(value(agent.schema, silent, "valve_command_ratio"))
    assert math.isnan(value(agent.schema, silent, "pump_command_ratio", 0))


def test_the_first_command_starts_where_the_cdu_is_and_the_next_goes_on(tmp_path: Path) -> None:
    place = CduPlace(tmp_path)
    agent = place.agent()
    tick(place, agent)
    # The own loop has moved on since its readings were taken.
    place.bmc.valve_set_point, place.bmc.pump_set_point = 38.0, 73.0

    def written(wanted: SetCooling) -> list[object]:
        place.bmc.written.clear()
        assert agent.execute(command(wanted, place.clock, target=CDU_ID)).outcome is Outcome.APPLIED
        names = ("ValvePositionControlPercent", "SpeedControlPercent")
        bodies = [body for _, _, body in place.bmc.written if isinstance(body, dict)]
        return [body[name]["SetPoint"] for body in bodies for name in names if name in body]

    wanted = SetCooling(valve_ratio=0.45, pump_ratio=0.7, supply_c=40.0)
    assert written(wanted) == [38.8, 72.2, 72.2]
    place.clock.advance(1.0)
    assert written(wanted) == [45.0, 70.0, 70.0]


def test_a_lease_that_runs_out_gives_the_cdu_back_and_says_so(tmp_path: Path) -> None:
    place = CduPlace(tmp_path)
    agent = place.agent()
    tick(place, agent)
    sent = command(WANTED, place.clock, target=CDU_ID, lease_s=5.0)
    agent.execute(sent)
    agent.notices.take()
    tick(place, agent, 4)
    assert place.bmc.mode == "Remote"
    tick(place, agent)
    assert place.bmc.mode == "Local"
    notices = agent.notices.take()
    assert [n.kind for n in notices if isinstance(n, Event)] == [EventKind.LEASE_LAPSED]
    assert [(n.command_id, n.outcome) for n in notices if isinstance(n, Ack)] == [
        (sent.id, Outcome.LAPSED)
    ]
    tick(place, agent, 20)
    assert not agent.notices.take()


def test_a_wall_clock_set_back_does_not_stretch_a_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = CduPlace(tmp_path)
    agent = place.agent()
    agent.execute(command(WANTED, place.clock, target=CDU_ID, lease_s=5.0))
    monkeypatch.setattr(place.clock, "unix_ns", lambda: 0)
    tick(place, agent, 5)
    assert not agent.leased


def test_an_endless_lease_is_cut(tmp_path: Path) -> None:
    place = CduPlace(tmp_path)
    agent = place.agent()
    agent.execute(command(WANTED, place.clock, target=CDU_ID, lease_s=1e6))
    tick(place, agent, 59)
    assert agent.leased
    tick(place, agent)
    assert not agent.leased


def test_a_live_lease_is_written_again_before_the_cdu_gives_up(tmp_path: Path) -> None:
    place = CduPlace(tmp_path)
    agent = place.agent()
    agent.execute(command(WANTED, place.clock, target=CDU_ID, lease_s=30.0))
    place.bmc.written.clear()
    tick(place, agent, 9)
    valves = [path for _, path, _ in place.bmc.written if "Primary" in path]
    assert len(valves) == 2


def test_handing_back_is_tried_until_it_works(tmp_path: Path) -> None:
    place = CduPlace(tmp_path)
    agent = place.agent()
    agent.execute(command(WANTED, place.clock, target=CDU_ID, lease_s=2.0))
    place.bmc.away = True
    tick(place, agent, 4)
    assert agent.counts["hand_back_failures"] == 3
    place.bmc.away = False
    tick(place, agent)
    assert place.bmc.mode == "Local"


def test_an_agent_that_starts_ends_what_an_earlier_one_left(tmp_path: Path) -> None:
    place = CduPlace(tmp_path)
    place.bmc.mode = "Remote"
    tick(place, place.agent())
    assert place.bmc.mode == "Local"


@pytest.mark.parametrize(
    "wrong",
    [
        SetCooling(valve_ratio=0.5, pump_ratio=0.8, supply_c=8.0),
        SetCooling(valve_ratio=0.5, pump_ratio=0.8, supply_c=59.0),
        SetCooling(valve_ratio=0.5, pump_ratio=0.05, supply_c=38.0),
        CapPower(cap_ratio=0.5),
    ],
)
def test_what_is_outside_local_limits_is_not_written(
    tmp_path: Path, wrong: SetCooling | CapPower
) -> None:
    place = CduPlace(tmp_path)
    ack = place.agent().execute(command(wrong, place.clock, target=CDU_ID))
    assert (ack.outcome, place.bmc.written) == (Outcome.REFUSED_LIMITS, [])


def test_one_pump_that_refuses_does_not_stop_the_others(tmp_path: Path) -> None:
    place = CduPlace(tmp_path)
    place.bmc.refused.add(f"{CDU}/Pumps/1")
    ack = place.agent().execute(command(WANTED, place.clock, target=CDU_ID))
    assert ack.outcome is Outcome.APPLIED
    assert ack.detail.startswith("pump 1: ")
    assert place.bmc.written[-1][1] == f"{CDU}/Pumps/2"


def test_without_a_controller_the_set_point_holds_and_then_goes_to_a_safe_one(
    tmp_path: Path,
) -> None:
    place = CduPlace(tmp_path)
    agent = place.agent()
    warm = SetCooling(valve_ratio=0.5, pump_ratio=0.8, supply_c=42.0)
    agent.execute(command(warm, place.clock, target=CDU_ID))
    tick(place, agent, 6)
    assert (agent.leased, place.bmc.mode) == (False, "Local")

    def set_points() -> list[float]:
        key = "SupplyTemperatureControlCelsius"
        return [
            body[key]["SetPoint"]
            for _, _, body in place.bmc.written
            if isinstance(body, dict) and key in body
        ]

    tick(place, agent, 290)
    assert set_points() == [42.0]
    tick(place, agent, 400)
    moved = set_points()
    assert moved[-1] == 36.0
    assert moved == sorted(moved, reverse=True)
    assert all(0.0 <= before - after <= 0.21 for before, after in pairwise(moved))
    assert place.bmc.mode == "Local"


def test_a_cooler_set_point_stays_and_the_dew_point_is_kept_off(tmp_path: Path) -> None:
    place = CduPlace(tmp_path)
    agent = place.agent()
    cool = SetCooling(valve_ratio=0.5, pump_ratio=0.8, supply_c=30.0)
    agent.execute(command(cool, place.clock, target=CDU_ID))
    tick(place, agent, 700)
    assert not any(
        "SupplyTemperatureControlCelsius" in str(body) and "30.0" not in str(body)
        for _, _, body in place.bmc.written
    )


def asked_water(place: CduPlace) -> list[object]:
    """What the building was asked for, so far."""
    return [
        body
        for _, path, body in place.bmc.written
        if path.endswith("PrimaryCoolantConnectors/1")
        and isinstance(body, dict)
        and "SupplyTemperatureControlCelsius" in body
    ]


def test_facility_water_is_asked_when_it_changes_and_again_before_it_is_forgotten(
    tmp_path: Path,
) -> None:
    place = CduPlace(tmp_path)
    agent = place.agent()
    wanted = SetCooling(valve_ratio=0.5, pump_ratio=0.8, supply_c=38.0, facility_c=27.04)
    for _ in range(25):
        agent.execute(command(wanted, place.clock, target=CDU_ID))
        tick(place, agent)
    assert asked_water(place) == [{"SupplyTemperatureControlCelsius": {"SetPoint": 27.04}}]
    for _ in range(10):
        agent.execute(command(wanted, place.clock, target=CDU_ID))
        tick(place, agent)
    assert len(asked_water(place)) == 2
    agent.execute(command(WANTED, place.clock, target=CDU_ID))
    agent.execute(command(wanted, place.clock, target=CDU_ID))
    assert len(asked_water(place)) == 3


@pytest.mark.parametrize("facility_c", [7.9, 40.5])
def test_facility_water_outside_the_agents_limits_is_refused(
    tmp_path: Path, facility_c: float
) -> None:
    place = CduPlace(tmp_path)
    agent = place.agent()
    wanted = SetCooling(valve_ratio=0.5, pump_ratio=0.8, supply_c=38.0, facility_c=facility_c)
    ack = agent.execute(command(wanted, place.clock, target=CDU_ID))
    assert ack.outcome is Outcome.REFUSED_LIMITS
    assert f"facility water of {facility_c} C is outside 8.0..40.0 C" in ack.detail
    assert place.bmc.written == []


def test_a_building_that_does_not_listen_stops_no_cooling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = CduPlace(tmp_path)
    agent = place.agent()

    def deaf(_facility_c: float) -> None:
        raise DeviceError("no such property")

    monkeypatch.setattr(agent._actuators, "ask_water", deaf)
    wanted = SetCooling(valve_ratio=0.5, pump_ratio=0.8, supply_c=38.0, facility_c=27.0)
    ack = agent.execute(command(wanted, place.clock, target=CDU_ID))
    assert (ack.outcome, ack.detail) == (Outcome.APPLIED, "facility water: no such property")
    assert agent.leased
