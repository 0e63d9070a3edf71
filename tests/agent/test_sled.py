import json
import math
from pathlib import Path

import pytest

from agent.guard import GuardLevel
from agent.sled import SledAgent
from fleet.commands import (
    CapPower,
    Outcome,
    ResetGuard,
    SetCooling,
    SetSledPower,
    StartJob,
    StopJob,
)
from fleet.errors import ConfigurationError
from fleet.events import Event, EventKind
from fleet.frame import MISSING_COUNT, Frame
from tests.agent.builders import SLED, Sled, command, count, value


def tick(sled: Sled, agent: SledAgent, times: int = 1) -> Frame:
    for _ in range(times):
        sled.clock.advance(1.0)
        frame = agent.tick()
    return frame


def job(**changes: object) -> StartJob:
    given = {
        "job_id": "job 1",
        "attempt": 2,
        "model": "llama-3-8b",
        "chips": (0, 1),
        "tensor_parallel": 2,
        "gang": (SLED,),
    }
    return StartJob(**(given | changes))  # type: ignore[arg-type] # wrong values are the point


def test_a_frame_has_what_was_read_and_nan_for_the_rest(tmp_path: Path) -> None:
    sled = Sled(tmp_path)
    sled.bmc.junction_c = [60.0, "61.5", None, 4000.0]
    agent = sled.agent()
    frame = tick(sled, agent)
    junctions = [value(agent.schema, frame, "junction_c", chip) for chip in range(4)]
    assert junctions[:2] == [60.0, 61.5]
    assert math.isnan(junctions[2])
    assert math.isnan(junctions[3])
    assert agent.counts["implausible"] == 1
    assert math.isnan(value(agent.schema, frame, "vcpu_usage_ratio"))
    assert count(agent.schema, frame, "hbm_ecc_corrected_total", 0) == MISSING_COUNT
    assert (frame.agent, frame.epoch, frame.seq) == (SLED, 1, 1)


def test_a_dead_bmc_keeps_what_neuron_monitor_gives(tmp_path: Path) -> None:
    sled = Sled(tmp_path)
    sled.bmc.away = True
    report = {"neuron_runtime_data": [], "system_data": {"memory_info": {"memory_used_bytes": 7e9}}}
    sled.lines.make = lambda: json.dumps(report).encode()
    agent = sled.agent()
    frame = tick(sled, agent)
    assert value(agent.schema, frame, "memory_used_bytes") == pytest.approx(7e9)
    assert value(agent.schema, frame, "neuroncore_utilization_ratio", 3) == 0.0
    assert math.isnan(value(agent.schema, frame, "junction_c", 0))
    assert agent.counts["device_errors"] == 1


def test_the_guard_sheds_and_its_level_is_in_the_same_frame(tmp_path: Path) -> None:
    sled = Sled(tmp_path)
    agent = sled.agent()
    sled.bmc.flow_lpm = 0.2
    assert value(agent.schema, tick(sled, agent), "guard_level") == 0
    frame = tick(sled, agent)
    assert value(agent.schema, frame, "guard_level") == 1
    assert set(sled.bmc.caps_w.values()) == {200.0}
    told = [event for event in agent.notices.take() if isinstance(event, Event)][-1]
    assert (told.kind, told.cause) == (EventKind.GUARD_TRIPPED, frame.id)
    assert told.detail == {"level": "shed", "reason": "loss of flow"}


def test_a_shed_that_the_bmc_refuses_is_tried_again_at_each_tick(tmp_path: Path) -> None:
    sled = Sled(tmp_path)
    agent = sled.agent()
    path = "/redfish/v1/Chassis/Sled/Controls/TRN1_Power_Limit"
    sled.bmc.refused.add(path)
    sled.bmc.flow_lpm = 0.2
    tick(sled, agent, 2)
    assert sled.bmc.caps_w["TRN3_Power_Limit"] == 200.0
    assert agent.counts["guard_failures"] == 1
    sled.bmc.refused.clear()
    tick(sled, agent)
    assert set(sled.bmc.caps_w.values()) == {200.0}


def test_a_latched_off_survives_a_restart_and_refuses_power_and_work(tmp_path: Path) -> None:
    sled = Sled(tmp_path)
    agent = sled.agent()
    sled.bmc.leaks = ["OK", "Critical"]
    tick(sled, agent, 2)
    assert (agent.level, sled.bmc.power_state) == (GuardLevel.OFF, "Off")
    again = sled.agent()
    assert again.level is GuardLevel.OFF
    for action in (SetSledPower(on=True), job()):
        ack = again.execute(command(action, sled.clock))
        assert (ack.outcome, sled.bmc.power_state) == (Outcome.REFUSED_LIMITS, "Off")
    tick(sled, again)
    word = ResetGuard(actor="ada", reason="hose changed")
    assert again.execute(command(word, sled.clock)).outcome is Outcome.REFUSED_LIMITS
    sled.bmc.leaks = ["OK", "OK"]
    tick(sled, again)
    assert again.execute(command(word, sled.clock)).outcome is Outcome.APPLIED
    assert (again.level, sled.bmc.power_state) == (GuardLevel.NONE, "On")
    assert sled.agent().level is GuardLevel.NONE


def test_a_cap_never_lifts_a_shed(tmp_path: Path) -> None:
    sled = Sled(tmp_path)
    agent = sled.agent()
    sled.bmc.flow_lpm = 0.2
    tick(sled, agent, 2)
    ack = agent.execute(command(CapPower(cap_ratio=0.8), sled.clock))
    assert (ack.outcome, ack.detail) == (Outcome.APPLIED, "the guard holds 0.2")
    assert set(sled.bmc.caps_w.values()) == {200.0}
    sled.bmc.flow_lpm = 6.0
    tick(sled, agent, 65)
    assert set(sled.bmc.caps_w.values()) == {800.0}


def test_a_cap_stays_inside_what_the_bmc_allows(tmp_path: Path) -> None:
    sled = Sled(tmp_path)
    agent = sled.agent()
    agent.execute(command(CapPower(cap_ratio=0.01), sled.clock))
    assert set(sled.bmc.caps_w.values()) == {150.0}


def test_a_job_is_started_and_stopped_at_its_runtime(tmp_path: Path) -> None:
    sled = Sled(tmp_path)
    agent = sled.agent()
    assert agent.execute(command(job(), sled.clock)).outcome is Outcome.APPLIED
    stop = StopJob(job_id="job 1", attempt=2)
    assert agent.execute(command(stop, sled.clock)).outcome is Outcome.APPLIED
    body = {
        "attempt": 2,
        "model": "llama-3-8b",
        "chips": [0, 1],
        "tensor_parallel": 2,
        "gang": [SLED],
    }
    assert sled.jobs.written == [
        ("PUT", "/v1/jobs/job%201", body),
        ("DELETE", "/v1/jobs/job%201?attempt=2", None),
    ]


@pytest.mark.parametrize(
    ("status", "outcome"), [(409, Outcome.FAILED), (422, Outcome.REFUSED_LIMITS)]
)
def test_a_runtime_that_refuses_says_why(tmp_path: Path, status: int, outcome: Outcome) -> None:
    sled = Sled(tmp_path)
    sled.jobs.status = status
    ack = sled.agent().execute(command(job(), sled.clock))
    assert ack.outcome is outcome
    assert "chips busy" in ack.detail


@pytest.mark.parametrize(
    "wrong", [{"chips": ()}, {"chips": (0, 4)}, {"chips": (1, 1)}, {"gang": ("h1/us01/r1/s02",)}]
)
def test_a_share_that_does_not_fit_this_sled_is_refused(
    tmp_path: Path, wrong: dict[str, object]
) -> None:
    sled = Sled(tmp_path)
    ack = sled.agent().execute(command(job(**wrong), sled.clock))
    assert (ack.outcome, sled.jobs.written) == (Outcome.REFUSED_LIMITS, [])


def test_a_sled_does_not_cool(tmp_path: Path) -> None:
    sled = Sled(tmp_path)
    wanted = SetCooling(valve_ratio=0.5, pump_ratio=0.8, supply_c=38.0)
    ack = sled.agent().execute(command(wanted, sled.clock))
    assert ack.outcome is Outcome.REFUSED_LIMITS


def test_a_damaged_state_file_is_one_clear_line(tmp_path: Path) -> None:
    sled = Sled(tmp_path)
    sled.agent()
    next((tmp_path / "agents").glob("*.json")).write_text("{")
    with pytest.raises(ConfigurationError, match="is damaged"):
        sled.agent()
