import json
import shutil
import subprocess
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from emulator.devices.catalogue import Devices
from emulator.devices.sled_host import SledHost
from emulator.hbm.status import NrtStatus
from emulator.power_minutes import PowerMinute
from fleet.clock import ManualClock
from fleet.topology import FleetMap, Generation, LoopKind, LoopPlan, mixed_datacenter
from tests.emulator.devices.builders import HandHall, running_job
from tests.support.components import require

SLED = "h1/us01/r2/s07"
HARDWARE = "neuron1/stats/hardware"


class Bench:
    def __init__(self) -> None:
        self.hall = HandHall()
        self.host: SledHost = Devices(self.hall, ManualClock()).sled_host(SLED)

    def get(self, target: str) -> bytes:
        answer = self.host.handle("GET", target)
        assert answer.status == 200, answer.body
        return answer.body

    def file(self, path: str, layout: str = "old") -> str:
        return self.get(f"/sysfs/{path}?layout={layout}").decode()

    def samples(self) -> dict[tuple[str, frozenset[str]], float]:
        """By name and the labels that are not the host's."""
        text = self.get("/metrics").decode()
        own = ("instance_name", "instance_id", "instance_type", "availability_zone", "region")
        return {
            (
                sample.name,
                frozenset(v for k, v in sample.labels.items() if k not in {*own, "subnet_id"}),
            ): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


def test_neuron_ls_has_the_documented_fields() -> None:
    devices = json.loads(Bench().get("/neuron-ls"))
    assert [device["neuron_device"] for device in devices] == [0, 1, 2, 3]
    first = devices[0]
    assert first["numa_node"] == "0"
    assert first["connected_to"] is None
    assert (first["nc_count"], first["logical_neuroncore_config"]) == (4, 2)
    assert first["memory_size"] == 144 * 2**30
    assert devices[1]["neuroncore_ids"] == [4, 5, 6, 7]
    [process] = first["neuron_processes"]
    assert process["pid"] > 0
    assert process["command"].startswith("python serve.py")


def test_a_device_without_work_lists_no_process() -> None:
    bench = Bench()
    bench.hall.change_sled(jobs=(running_job(chips=(2,)),))
    devices = json.loads(bench.get("/neuron-ls"))
    assert [len(device["neuron_processes"]) for device in devices] == [0, 0, 1, 0]


def test_a_torus_names_its_neighbours() -> None:
    plan = LoopPlan(kind=LoopKind.AIR, ultraservers={Generation.TRN2: 1})
    hall = HandHall()
    hall.fleet_map = FleetMap(mixed_datacenter([plan]))
    hall.change_sled(jobs=())
    devices = json.loads(
        Devices(hall, ManualClock())
        .sled_host(hall.fleet_map.sled_ids[0])
        .handle("GET", "/neuron-ls")
        .body
    )
    for device in devices:
        for other in device["connected_to"]:
            assert device["neuron_device"] in devices[other]["connected_to"]
    assert {len(device["connected_to"]) for device in devices} == {4}


def test_metrics_have_the_names_and_labels_of_the_exporter() -> None:
    samples = Bench().samples()
    tag = "job-7f3a"
    expected: dict[tuple[str, frozenset[str]], float] = {
        ("neuroncore_utilization_ratio", frozenset({tag, "0"})): 0.814,
        ("neuron_runtime_memory_used_bytes", frozenset({tag, "host"})): 2_147_483_648,
        ("execution_errors_total", frozenset({tag, "runtime"})): 2,
        ("execution_status_total", frozenset({tag, "completed"})): 1_000,
        ("execution_latency_seconds", frozenset({tag, "p50"})): 0.0045,
        ("hardware_ecc_events_total", frozenset({"mem_ecc_corrected", "0"})): 3,
        ("hardware_ecc_events_total", frozenset({"sram_ecc_uncorrected", "3"})): 4,
        ("system_memory_used_bytes", frozenset()): 61_203_283_968,
        ("system_swap_used_bytes", frozenset()): 0,
    }
    assert {key: samples[key] for key in expected} == pytest.approx(expected)
    names = {name for name, _ in samples}
    assert {
        "neuron_runtime_vcpu_usage_ratio",
        "neuroncore_memory_usage_constants",
        "neuroncore_memory_usage_tensors",
        "system_vcpu_count",
        "system_vcpu_usage_ratio",
        "instance_info",
        "neuron_hardware_info",
    } <= names


def test_an_idle_sled_has_metrics_of_its_host() -> None:
    bench = Bench()
    bench.hall.change_sled(jobs=())
    names = {name for name, _ in bench.samples()}
    assert "hardware_ecc_events_total" in names
    assert "neuroncore_utilization_ratio" not in names


def test_promtool_finds_no_error_in_the_metrics() -> None:
    if shutil.which("promtool") is None:
        require("promtool", "not on PATH; it comes with Prometheus")
    text = Bench().get("/metrics")
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert b"error" not in done.stderr


def test_sysfs_shows_uncorrected_errors_and_never_corrected_ones() -> None:
    bench = Bench()
    ecc = bench.hall.sled_readings(0).ecc
    counts = replace(
        ecc,
        hbm_uncorrected=(0, 65_535, 0, 0),
        hbm_repairable_uncorrected=(0, 7, 0, 0),
        failed_total={NrtStatus.HBM_REPAIRABLE: (0, 3, 0, 0)},
    )
    bench.hall.change_sled(ecc=counts)
    assert bench.file(f"{HARDWARE}/mem_ecc_uncorrected") == "65535\n"
    assert bench.file(f"{HARDWARE}/mem_ecc_repairable_uncorrected") == "7\n"
    status = "neuron1/neuron_core5/stats/status/hw_repairable_hbm_ue_error/total"
    assert bench.file(status) == "3\n"
    assert not [path for path in json.loads(bench.get("/sysfs")) if "_corrected" in path]


def test_sysfs_power_is_a_minute_in_percent() -> None:
    bench = Bench()
    assert bench.file("neuron0/stats/power/utilization") == (
        "POWER_STATUS_NO_DATA,0,0.00,0.00,0.00\n"
    )
    minute = PowerMinute(
        at_unix_s=1_760_000_040, low_percent=1.5, high_percent=99.0, mean_percent=50.25
    )
    bench.hall.change_sled(power_minutes=(minute,) * 4)
    assert bench.file("neuron0/stats/power/utilization") == (
        "POWER_STATUS_VALID,1760000040,1.50,99.00,50.25\n"
    )


def test_sysfs_has_every_counter_that_the_guide_names() -> None:
    files = json.loads(Bench().get("/sysfs"))
    core = "neuron1/neuron_core3/stats"
    status = {path.split("/")[-2] for path in files if path.startswith(f"{core}/status/")}
    assert len(status) == 24
    for name in ("flop_count", "nc_time_in_use", "inference_count", "model_load_count"):
        assert f"{core}/other_info/{name}/total" in files
        assert f"{core}/other_info/{name}/present" in files
    held = [path for path in files if path.startswith(f"{core}/memory_usage/device_mem/")]
    assert len(held) == 3 * (1 + 11)
    host = [path for path in files if path.startswith("neuron1/stats/memory_usage/host_mem/")]
    assert len(host) == 3 * 8


def test_sysfs_counts_work_exactly_and_spreads_it_over_the_cores() -> None:
    bench = Bench()
    core = "neuron0/neuron_core7/stats"
    assert bench.file(f"{core}/other_info/flop_count/total") == "1000000000000000000\n"
    assert bench.file(f"{core}/other_info/nc_time_in_use/total") == "61000000\n"
    assert bench.file(f"{core}/other_info/model_load_count/total") == "2\n"
    assert bench.file(f"{core}/status/success/total") == "1500\n"
    assert bench.file(f"{core}/status/success/present") == "1000\n"
    assert bench.file(f"{core}/other_info/inference_count/total") == "1503\n"


def test_sysfs_memory_categories_sum_up_to_the_whole() -> None:
    files = json.loads(Bench().get("/sysfs"))
    top = "neuron0/neuron_core0/stats/memory_usage/device_mem"
    for kind in ("total", "peak"):
        parts = [
            int(text)
            for path, text in files.items()
            if path.startswith(f"{top}/") and path.endswith(f"/{kind}") and path != f"{top}/{kind}"
        ]
        assert sum(parts) == int(files[f"{top}/{kind}"])
    assert int(files[f"{top}/peak"]) == 15_000_000_000
    host = "neuron0/stats/memory_usage/host_mem"
    held = [int(t) for p, t in files.items() if p.startswith(host) and p.endswith("/total")]
    assert sum(held) == 2_147_483_648


def test_serial_numbers_are_16_hex_digits_and_a_chips_own() -> None:
    bench = Bench()
    serials = [bench.file(f"neuron{chip}/info/serial_number").strip() for chip in range(4)]
    assert len(set(serials)) == 4
    assert all(len(serial) == 16 and int(serial, 16) >= 0 for serial in serials)
    again = Devices(HandHall(), ManualClock()).sled_host(SLED)
    path = "/sysfs/neuron2/info/serial_number"
    assert again.handle("GET", path).body.decode().strip() == serials[2]


def test_the_new_layout_holds_the_same_under_other_paths() -> None:
    bench = Bench()
    old = json.loads(bench.get("/sysfs"))
    new = json.loads(bench.get("/sysfs?layout=new"))
    assert sorted(old.values()) == sorted(new.values())
    assert f"{HARDWARE}/mem_ecc_uncorrected" not in new
    assert old["neuron1/core_count"] == new["neuron1/core_count"] == "8\n"


@pytest.mark.parametrize(
    ("method", "target", "changes", "status"),
    [
        ("POST", "/neuron-ls", {}, 405),
        ("GET", "/nothing", {}, 404),
        ("GET", "/sysfs/neuron9/core_count", {}, 404),
        ("GET", "/sysfs?layout=newest", {}, 422),
        ("GET", "/metrics", {"powered": False}, 503),
        ("GET", "/neuron-ls", {"powered": False}, 503),
    ],
)
def test_what_can_not_be_shown_is_one_clear_answer(
    method: str, target: str, changes: dict[str, Any], status: int
) -> None:
    bench = Bench()
    bench.hall.change_sled(**changes)
    answer = bench.host.handle(method, target)
    assert answer.status == status
    assert json.loads(answer.body)["detail"]
