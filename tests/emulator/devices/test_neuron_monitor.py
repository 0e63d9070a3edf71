import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from emulator.devices.monitor_config import read_plan
from emulator.devices.neuron_monitor import NeuronMonitor, NeuronMonitorSettings
from emulator.hbm.status import NrtStatus
from emulator.readings import EccCounts
from fleet.topology import FleetMap, Generation, LoopKind, LoopPlan, mixed_datacenter
from tests.emulator.devices.builders import HandHall, running_job

GROUPS_S = {
    "neuroncore_counters": 1.0,
    "execution_stats": 1.0,
    "memory_used": 1.0,
    "neuron_runtime_vcpu_usage": 5.0,
    "neuron_hw_counters": 2.0,
    "vcpu_usage": 5.0,
    "memory_info": 5.0,
}
RUNTIME = "neuron_runtime_data.*"
USED = f"{RUNTIME}.report.memory_used.neuron_runtime_used_bytes"
LATENCY = f"{RUNTIME}.report.execution_stats.latency_stats"
PERCENTILES = ("p0", "p1", "p25", "p50", "p75", "p99", "p100")


def percent(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 100


def count(value: Any) -> bool:
    return isinstance(value, int) and value >= 0


def seconds(value: Any) -> bool:
    return isinstance(value, float) and 0 < value < 3600


def text(value: Any) -> bool:
    return isinstance(value, str)


def truth(value: Any) -> bool:
    return isinstance(value, bool)


Check = Callable[[Any], bool]


def fields(prefix: str, names: str, check: Check) -> list[tuple[str, Check]]:
    return [(f"{prefix}.{name}", check) for name in names.split()]


# The table of the neuron-monitor user guide: path, `*` for any index, and what stands there.
DOCUMENTED: list[tuple[str, Check]] = [
    *fields(RUNTIME, "pid", count),
    *fields(RUNTIME, "address neuron_runtime_tag error", text),
    *fields(
        f"{RUNTIME}.report.neuroncore_counters.neuroncores_in_use.*",
        "neuroncore_utilization v4d.*.neuroncore_utilization",
        percent,
    ),
    *fields(f"{RUNTIME}.report.neuroncore_counters.neuroncores_in_use.*", "flops", count),
    *fields(
        f"{RUNTIME}.report.execution_stats.error_summary",
        "generic numerical transient model runtime hardware",
        count,
    ),
    *fields(
        f"{RUNTIME}.report.execution_stats.execution_summary",
        "completed completed_with_err completed_with_num_err timed_out incorrect_input"
        " failed_to_queue",
        count,
    ),
    *fields(f"{LATENCY}.total_latency", " ".join(PERCENTILES), seconds),
    *fields(f"{LATENCY}.device_latency", " ".join(PERCENTILES), seconds),
    *fields(USED, "host neuron_device", count),
    *fields(
        f"{USED}.usage_breakdown.host", "application_memory constants dma_buffers tensors", count
    ),
    *fields(
        f"{USED}.usage_breakdown.neuroncore_memory_usage.*",
        "constants model_code model_shared_scratchpad runtime_memory tensors",
        count,
    ),
    *fields(f"{RUNTIME}.report.memory_used.loaded_models.*", "name uuid", text),
    *fields(f"{RUNTIME}.report.memory_used.loaded_models.*", "model_id", count),
    *fields(f"{RUNTIME}.report.memory_used.loaded_models.*", "is_running", truth),
    *fields(f"{RUNTIME}.report.neuron_runtime_vcpu_usage.vcpu_usage", "user system", percent),
    *fields(
        "system_data.neuron_hw_counters.neuron_devices.*",
        "neuron_device_index mem_ecc_corrected mem_ecc_uncorrected sram_ecc_corrected"
        " sram_ecc_uncorrected",
        count,
    ),
    *fields(
        "system_data.vcpu_usage.average_usage",
        "user nice system idle io_wait irq soft_irq",
        percent,
    ),
    *fields(
        "system_data.vcpu_usage.usage_data.*",
        "user nice system idle io_wait irq soft_irq",
        percent,
    ),
    *fields("system_data.vcpu_usage", "context_switch_count", count),
    *fields(
        "system_data.memory_info",
        "memory_total_bytes memory_used_bytes swap_total_bytes swap_used_bytes",
        count,
    ),
    *fields(
        "instance_info",
        "instance_name instance_id instance_type instance_availability_zone"
        " instance_availability_zone_id instance_region ami_id subnet_id error",
        text,
    ),
    *fields(
        "neuron_hardware_info",
        "neuron_device_type neuron_device_version neuroncore_version error",
        text,
    ),
    *fields(
        "neuron_hardware_info",
        "neuron_device_count neuron_device_memory_size neuroncore_per_device_count"
        " logical_neuroncore_config",
        count,
    ),
]
UNDOCUMENTED = re.compile(r"loaded_models\.\*\.subgraphs|\.(period|error)$")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            step = "*" if re.fullmatch(r"\d+|nc_v\d\.\d+", key) else key
            yield from leaves(inner, f"{path}.{step}")
    elif isinstance(value, list) and value:
        for inner in value:
            yield from leaves(inner, f"{path}.*")
    else:
        yield path.removeprefix("."), value


def report_of(monitor: NeuronMonitor) -> Any:
    [line] = monitor.read_lines()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    return json.loads(line)


def runtime_report(report: Any) -> Any:
    [runtime] = report["neuron_runtime_data"]
    return runtime["report"]


def test_first_report_holds_every_documented_field_and_no_other() -> None:
    checks = dict(DOCUMENTED)
    seen = dict.fromkeys(checks, 0)
    for path, value in leaves(report_of(NeuronMonitor(HandHall(), 0))):
        if UNDOCUMENTED.search(path) and path not in checks:
            continue
        assert path in checks, path
        assert checks[path](value), (path, value)
        seen[path] += 1
    assert [path for path, times in seen.items() if times == 0] == []


def test_groups_come_at_their_own_period_and_are_absent_between() -> None:
    hall = HandHall()
    monitor = NeuronMonitor(hall, 0)
    came: dict[str, list[int]] = {name: [] for name in GROUPS_S}
    for second in range(11):
        report = report_of(monitor)
        groups = {**runtime_report(report), **report["system_data"]}
        for name, group in groups.items():
            came[name].append(second)
            assert group["period"] == pytest.approx(GROUPS_S[name])
            assert group["error"] == ""
        hall.pass_time(1.0)
    assert came == {name: list(range(0, 11, int(period))) for name, period in GROUPS_S.items()}


def test_nothing_is_reported_before_the_readings_are_new() -> None:
    hall = HandHall()
    monitor = NeuronMonitor(hall, 0)
    assert len(monitor.read_lines()) == 1
    assert monitor.read_lines() == []
    hall.pass_time(0.5)
    assert monitor.read_lines() == []
    hall.pass_time(0.5)
    assert len(monitor.read_lines()) == 1


def test_an_idle_sled_lists_no_runtime_but_says_what_it_is() -> None:
    hall = HandHall()
    hall.change_sled(jobs=())
    report = report_of(NeuronMonitor(hall, 0))
    assert report["neuron_runtime_data"] == []
    assert report["neuron_hardware_info"]["neuron_device_count"] == 4
    assert report["instance_info"]["instance_type"] == "trn3.emulated"


def test_each_job_has_an_entry_with_its_tag_and_only_its_cores() -> None:
    hall = HandHall()
    hall.change_sled(
        jobs=(
            running_job(job_id='a"b', chips=(0,)),
            running_job(job_id="job-2", chips=(2, 3)),
        )
    )
    first, second = report_of(NeuronMonitor(hall, 0))["neuron_runtime_data"]
    assert (first["neuron_runtime_tag"], second["neuron_runtime_tag"]) == ('a"b', "job-2")
    assert first["pid"] != second["pid"]
    cores = second["report"]["neuroncore_counters"]["neuroncores_in_use"]
    assert list(cores) == [str(core) for core in range(8, 16)]
    assert list(cores["9"]["v4d"]) == ["nc_v4.18", "nc_v4.19"]


def test_cores_add_up_to_their_chip() -> None:
    report = runtime_report(report_of(NeuronMonitor(HandHall(), 0)))
    cores = report["neuroncore_counters"]["neuroncores_in_use"]
    used = report["memory_used"]["neuron_runtime_used_bytes"]
    breakdown = used["usage_breakdown"]["neuroncore_memory_usage"]
    for chip, (flop, ratio) in enumerate(
        zip((4e14, 3e14, 2e14, 1e14), (0.814, 0.7, 0.6, 0.5), strict=True)
    ):
        own = [cores[str(core)] for core in range(chip * 4, chip * 4 + 4)]
        assert sum(core["flops"] for core in own) == flop
        shown = [core["neuroncore_utilization"] for core in own]
        assert shown == pytest.approx([100 * ratio] * 4)
        held = [sum(breakdown[str(core)].values()) for core in range(chip * 4, chip * 4 + 4)]
        assert sum(held) == 118_111_600_640
    assert used["neuron_device"] == 4 * 118_111_600_640
    assert sum(used["usage_breakdown"]["host"].values()) == used["host"]


def test_executions_are_counted_by_period_from_the_start_of_the_tool() -> None:
    hall = HandHall()
    monitor = NeuronMonitor(hall, 0)
    assert executions(monitor) == (0, 0)
    hall.pass_time(1.0)
    hall.change_sled(jobs=(running_job(completed_total=1_214, errors_total=5),))
    assert executions(monitor) == (214, 3)
    hall.pass_time(1.0)
    assert executions(monitor) == (0, 0)
    hall.pass_time(1.0)
    hall.change_sled(jobs=(running_job(attempt=2, completed_total=7, errors_total=1),))
    assert executions(monitor) == (7, 1)


def executions(monitor: NeuronMonitor) -> tuple[int, int]:
    stats = runtime_report(report_of(monitor))["execution_stats"]
    summary = stats["execution_summary"]
    assert stats["error_summary"]["runtime"] == summary["completed_with_err"]
    return summary["completed"], summary["completed_with_err"]


def test_latency_is_null_when_nothing_ran() -> None:
    hall = HandHall()
    hall.change_sled(jobs=(running_job(latency_s=None),))
    stats = runtime_report(report_of(NeuronMonitor(hall, 0)))["execution_stats"]
    assert stats["latency_stats"] == {"total_latency": None, "device_latency": None}


def test_ecc_counts_are_those_of_each_device() -> None:
    hall = HandHall()
    hall.change_sled(
        ecc=EccCounts(
            hbm_corrected=(1, 2, 3, 4),
            hbm_uncorrected=(5, 6, 7, 8),
            hbm_repairable_uncorrected=(17, 18, 19, 20),
            sram_corrected=(9, 10, 11, 12),
            sram_uncorrected=(13, 14, 15, 2**40),
            repair_state=(0, 0, 0, 0),
            failed_total={},
        )
    )
    report = report_of(NeuronMonitor(hall, 0))
    assert report["system_data"]["neuron_hw_counters"]["neuron_devices"][3] == {
        "neuron_device_index": 3,
        "mem_ecc_corrected": 4,
        "mem_ecc_uncorrected": 8,
        "sram_ecc_corrected": 12,
        "sram_ecc_uncorrected": 2**40,
    }


def test_a_sled_that_is_off_has_no_host_to_report() -> None:
    hall = HandHall()
    monitor = NeuronMonitor(hall, 0)
    monitor.read_lines()
    hall.pass_time(1.0)
    hall.change_sled(powered=False)
    assert monitor.read_lines() == []
    hall.change_sled(powered=True)
    assert "memory_info" in report_of(monitor)["system_data"]


def test_a_sensor_without_a_value_never_makes_invalid_json() -> None:
    hall = HandHall()
    lost = (float("nan"), float("inf"), 0.5, 0.5)
    hall.change_sled(core_utilization_ratio=lost, flop_per_s=lost, vcpu_ratio=float("nan"))
    hall.change_sled(jobs=(running_job(latency_s=(float("nan"),) * 7),))
    [line] = NeuronMonitor(hall, 0).read_lines()
    report = json.loads(line, parse_constant=pytest.fail)
    cores = runtime_report(report)["neuroncore_counters"]["neuroncores_in_use"]
    assert cores["0"]["neuroncore_utilization"] == 0


def configured(hall: HandHall, config: dict[str, Any]) -> NeuronMonitor:
    plan = read_plan(json.dumps(config).encode())
    return NeuronMonitor(hall, 0, NeuronMonitorSettings(plan=plan))


def test_only_groups_that_the_configuration_names_are_reported_at_its_periods() -> None:
    hall = HandHall()
    monitor = configured(
        hall,
        {
            "period": "2s",
            "neuron_runtimes": [{"tag_filter": ".*", "metrics": [{"type": "memory_used"}]}],
            "system_metrics": [{"type": "vcpu_usage", "period": "4s"}],
        },
    )
    came = []
    for _ in range(9):
        came += [
            (*runtime_report(report), *report["system_data"])
            for report in map(json.loads, monitor.read_lines())
        ]
        hall.pass_time(1.0)
    both, alone = ("memory_used", "vcpu_usage"), ("memory_used",)
    assert came == [both, alone, both, alone, both]


def test_runtimes_whose_tag_matches_no_filter_are_left_out() -> None:
    hall = HandHall()
    hall.change_sled(jobs=tuple(running_job(job_id=tag) for tag in ("web-1", "batch", "web-2")))
    monitor = configured(
        hall, {"neuron_runtimes": [{"tag_filter": "^web", "metrics": [{"type": "memory_used"}]}]}
    )
    tags = [r["neuron_runtime_tag"] for r in report_of(monitor)["neuron_runtime_data"]]
    assert tags == ["web-1", "web-2"]


def test_memory_errors_and_spoiled_products_are_told_apart_from_other_failures() -> None:
    hall = HandHall()
    monitor = NeuronMonitor(hall, 0)
    report_of(monitor)
    hall.pass_time(1.0)
    ecc = replace(
        hall.sled_readings(0).ecc,
        failed_total={
            NrtStatus.HBM_REPAIRABLE: (0, 2, 0, 0),
            NrtStatus.SRAM_UNCORRECTED: (0, 0, 0, 1),
        },
    )
    hall.change_sled(
        ecc=ecc, numerical_errors_total=(4, 0, 0, 0), jobs=(running_job(errors_total=7),)
    )
    stats = runtime_report(report_of(monitor))["execution_stats"]
    errors, ended = stats["error_summary"], stats["execution_summary"]
    assert (errors["hardware"], errors["runtime"], errors["numerical"]) == (3, 2, 4)
    assert (ended["completed_with_err"], ended["completed_with_num_err"]) == (5, 4)


@pytest.mark.parametrize(
    ("generation", "versions", "breakdown"),
    [
        (Generation.TRN1, ("trainium", "v2", "v2", 1), None),
        (Generation.TRN2, ("trainium2", "v4", "v3d", 2), ("v3d", "nc_v3.2")),
        (Generation.TRN3_GEN1, ("trainium3", "v4", "v4d", 2), ("v4d", "nc_v4.2")),
    ],
)
def test_each_generation_has_its_own_version_names(
    generation: Generation, versions: tuple[object, ...], breakdown: tuple[str, str] | None
) -> None:
    hall = HandHall()
    hall.fleet_map = FleetMap(
        mixed_datacenter([LoopPlan(kind=LoopKind.AIR, ultraservers={generation: 1})])
    )
    report = report_of(NeuronMonitor(hall, 0))
    hardware = report["neuron_hardware_info"]
    assert versions == (
        hardware["neuron_device_type"],
        hardware["neuron_device_version"],
        hardware["neuroncore_version"],
        hardware["logical_neuroncore_config"],
    )
    core = runtime_report(report)["neuroncore_counters"]["neuroncores_in_use"]["1"]
    if breakdown is None:
        assert set(core) == {"neuroncore_utilization", "flops"}
    else:
        assert breakdown[1] in core[breakdown[0]]
