import shutil
import subprocess
from dataclasses import fields

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.margin_metrics import SPELLED
from controller.cooling.margins import Margins
from controller.incidents.incident import IncidentState
from controller.placement.job import JobState
from controller.store.gaps import Gap, GapState
from controller.store.marks import Mark
from controller.store.starts import AgentStart
from controller.views import IngestView, LoopView
from fleet.metrics import METRICS, Scope
from fleet.spelling import spelling
from fleet.topics import TELEMETRY
from tests.api.builders import LOOP, Running, make_incident, make_job, make_view
from tests.support.components import require

RACK = {"loop": LOOP, "ultraserver": "h1/us02", "rack": "r1"}
CDU = {"loop": LOOP, "cdu": "h1/cdu01"}


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


@pytest.mark.parametrize(
    ("scope", "name", "spelled"),
    [
        (Scope.CHIP, "junction_c", "isotherm_chip_junction_celsius"),
        (Scope.CHIP, "tensor_flop_per_s", "isotherm_chip_tensor_flop_per_second"),
        (Scope.SLED, "sled_power_w", "isotherm_sled_power_watts"),
        (Scope.SLED, "execution_latency_p99_s", "isotherm_sled_execution_latency_p99_seconds"),
        (Scope.CDU, "secondary_dp_kpa", "isotherm_cdu_secondary_dp_pascals"),
        (Scope.CDU, "secondary_flow_lpm", "isotherm_cdu_secondary_flow_liters_per_minute"),
        (Scope.PUMP, "pump_speed_ratio", "isotherm_pump_speed_ratio"),
    ],
)
def test_names_are_respelled(scope: Scope, name: str, spelled: str) -> None:
    assert spelling(scope, name).name() == spelled


def test_every_margin_has_a_series() -> None:
    assert set(SPELLED) == {one.name for one in fields(Margins)}


def test_no_two_metrics_share_a_name() -> None:
    names = [spelling(spec.scope, spec.name).name() for spec in METRICS]
    assert len(set(names)) == len(names)


def test_exposition_has_racks_cdus_and_counters(api: Running) -> None:
    cdu = {"supply_c": 40.25, "secondary_dp_kpa": 120.0, "control_mode": 1.0, "return_c": None}
    api.hear(make_view(api.fleet_map, cdu=cdu))
    with api.store.begin() as transaction:
        transaction.jobs.add(make_job(state=JobState.RUNNING))
        transaction.incidents.save(make_incident())
        transaction.incidents.save(make_incident("inc-2", state=IncidentState.RESOLVED))
    found = samples(api.client.metrics())
    assert found[key("isotherm_chip_junction_max_celsius", **RACK)] == 60.0
    assert found[key("isotherm_chip_power_sum_watts", **RACK)] == 72 * 800.0
    assert found[key("isotherm_sled_leak_state", **RACK, state="OK")] == 18
    assert found[key("isotherm_cdu_secondary_dp_pascals", **CDU)] == 120_000.0
    assert found[key("isotherm_cdu_control_mode", **CDU, state="remote")] == 1
    assert key("isotherm_cdu_return_celsius", **CDU) not in found
    assert found[key("isotherm_pump_speed_ratio", **CDU, pump="1")] == 0.6
    assert found[key("isotherm_loop_setpoint_supply_celsius", loop=LOOP)] == 40.0
    assert found[key("isotherm_loop_margin_time_to_throttle_seconds", loop=LOOP)] == 8.5
    assert key("isotherm_loop_margin_ua_ratio", loop=LOOP) not in found
    assert found[key("isotherm_controller_frames_total", loop=LOOP)] == 72
    assert found[key("isotherm_jobs", state="running")] == 1
    assert found[key("isotherm_incidents", severity="critical")] == 1
    assert not [name for name, labels in found if "chip" in dict(labels)]


def ingest(partition: int, **counts: int) -> IngestView:
    return IngestView(
        controller="box:17:ab",
        partition=partition,
        behind_messages=12,
        dead_letters={"wrong_clock": 3},
        counts=counts,
    )


def spoken(api: Running) -> LoopView:
    partition = TELEMETRY.partition_of(LOOP)
    view = make_view(api.fleet_map)
    return msgspec.structs.replace(view, ingest=ingest(partition, store_errors=2))


def ledger(api: Running) -> None:
    """Five frames missing, and some that an agent has declared, of a hundred."""
    agent = "h1/us01/r1/s07"
    with api.store.begin() as tx:
        tx.marks.save([Mark(agent=agent, epoch=1, last_seq=100, missing=((5, 9),))])
        tx.gaps.follow(agent, 1, [(5, 9)], [(5, 9)], at_unix_ns=1)
        for first, last in ((20, 29), (40, 0)):
            gap = Gap(
                agent=agent,
                epoch=1,
                first_seq=first,
                last_seq=last,
                state=GapState.DECLARED,
                reason="torn",
                noted_at_unix_ns=1,
            )
            tx.gaps.declare(gap)
        starts = ((agent, 1.0), ("h1/us01/r1/s08", 5.0), ("h9/stranger", 99.0))
        tx.starts.save(
            AgentStart(agent=name, epoch=1, loss_window_s=window_s, at_unix_ns=1)
            for name, window_s in starts
        )


def test_telemetry_accounts_for_itself(api: Running) -> None:
    ledger(api)
    api.hear(spoken(api))
    found = samples(api.client.metrics())
    partition = str(TELEMETRY.partition_of(LOOP))
    assert found[key("isotherm_telemetry_lag_messages", partition=partition)] == 12
    assert found[key("isotherm_telemetry_lag_seconds", partition=partition)] == 0.5
    controller = {"controller": "box:17:ab"}
    letters = key("isotherm_telemetry_dead_letters_total", **controller, reason="wrong_clock")
    assert found[letters] == 3
    assert found[key("isotherm_controller_process_store_errors_total", **controller)] == 2
    assert found[key("isotherm_telemetry_gaps", state="declared", reason="torn")] == 2
    assert found[key("isotherm_telemetry_gap_frames", state="declared", reason="torn")] == 10
    assert found[key("isotherm_telemetry_gap_frames", state="missing", reason="")] == 5
    assert found[key("isotherm_telemetry_frames_numbered")] == 100
    assert found[key("isotherm_telemetry_completeness_ratio")] == pytest.approx(0.95)
    assert found[key("isotherm_agent_loss_window_seconds", loop=LOOP)] == 5.0


def test_a_controller_that_is_silent_says_nothing_of_its_lag(api: Running) -> None:
    api.hear(spoken(api))
    api.clock.advance(60.0)
    found = samples(api.client.metrics())
    names = {name for name, _ in found}
    assert "isotherm_telemetry_lag_messages" not in names
    partition = str(TELEMETRY.partition_of(LOOP))
    assert found[key("isotherm_telemetry_lag_seconds", partition=partition)] == 60.5


def test_stale_values_have_no_series(api: Running) -> None:
    api.hear(make_view(api.fleet_map))
    api.clock.advance(6.0)
    names = {name for name, _ in samples(api.client.metrics())}
    assert "isotherm_chip_junction_max_celsius" not in names
    assert "isotherm_cdu_supply_celsius" not in names
    assert "isotherm_loop_view_age_seconds" in names


def test_promtool_finds_nothing_to_say(api: Running) -> None:
    if shutil.which("promtool") is None:
        require("promtool", "not on PATH; it comes with Prometheus")
    ledger(api)
    view = make_view(api.fleet_map, chips={spec.name: 1.0 for spec in METRICS})
    api.hear(msgspec.structs.replace(view, ingest=spoken(api).ingest))
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=api.client.metrics(),
        text=True,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
