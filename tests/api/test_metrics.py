import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from controller.incidents.incident import IncidentState
from controller.placement.job import JobState
from fleet.metrics import METRICS, Scope
from fleet.spelling import spelling
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
    assert found[key("isotherm_controller_frames_total", loop=LOOP)] == 72
    assert found[key("isotherm_jobs", state="running")] == 1
    assert found[key("isotherm_incidents", severity="critical")] == 1
    assert not [name for name, labels in found if "chip" in dict(labels)]


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
    api.hear(make_view(api.fleet_map, chips={spec.name: 1.0 for spec in METRICS}))
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=api.client.metrics(),
        text=True,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
