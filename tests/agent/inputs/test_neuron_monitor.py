import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.inputs.base import Samples
from agent.inputs.neuron_monitor import NeuronMonitorInput
from fleet.errors import DeviceError
from tests.agent.devices import Lines

# Structure as AWS documents it; one Trn3 Gen2 sled, values invented.
REPORT: dict[str, Any] = {
    "neuron_runtime_data": [
        {
            "pid": 41207,
            "address": "",
            "neuron_runtime_tag": "job-7f3a",
            "error": "",
            "report": {
                "neuroncore_counters": {
                    "period": 1.0003,
                    "error": "",
                    "neuroncores_in_use": {
                        "0": {
                            "neuroncore_utilization": 80.0,
                            "flops": 402113400000000,
                            "v4d": {"nc_v4.0": {"neuroncore_utilization": 80.9}},
                        },
                        "1": {"neuroncore_utilization": 60.0, "flops": 398870100000000},
                        "5": {"neuroncore_utilization": 100.0, "flops": 1000},
                    },
                },
                "execution_stats": {
                    "period": 1.0003,
                    "error": "",
                    "error_summary": {"generic": 0, "numerical": 2, "transient": 1},
                    "execution_summary": {"completed": 214, "completed_with_num_err": 2},
                    "latency_stats": {
                        "total_latency": {"p0": 0.0041, "p50": 0.0045, "p99": 0.0061},
                        "device_latency": None,
                    },
                },
                "memory_used": {
                    "period": 1.0003,
                    "error": "",
                    "neuron_runtime_used_bytes": {
                        "host": 2147483648,
                        "neuron_device": 118111600640,
                        "usage_breakdown": {
                            "neuroncore_memory_usage": {
                                "0": {"constants": 1000, "tensors": 500, "model_code": 50},
                                "5": {"constants": 7},
                            }
                        },
                    },
                },
            },
        }
    ],
    "system_data": {
        "neuron_hw_counters": {
            "period": 2.0007,
            "error": "",
            "neuron_devices": [
                {
                    "neuron_device_index": 0,
                    "mem_ecc_corrected": 3,
                    "mem_ecc_uncorrected": 0,
                    "sram_ecc_uncorrected": 1,
                },
                {"neuron_device_index": 1, "mem_ecc_corrected": 0, "sram_ecc_corrected": 9},
            ],
        },
        "vcpu_usage": {
            "period": 1.0,
            "average_usage": {"user": 11.0, "system": 3.0, "idle": 85.0, "io_wait": 1.0},
        },
        "memory_info": {"period": 5.001, "error": "", "memory_used_bytes": 61203283968},
    },
    "neuron_hardware_info": {"neuroncore_per_device_count": 4, "logical_neuroncore_config": 2},
}


def changed(change: Callable[[Any], object]) -> dict[str, Any]:
    report = deepcopy(REPORT)
    change(report)
    return report


def fed(*reports: object) -> tuple[NeuronMonitorInput, list[Samples]]:
    """What is known after each report, a second apart from second 1."""
    lines = Lines()
    monitor = NeuronMonitorInput(lines, chips=4)
    found = []
    for second, report in enumerate(reports, start=1):
        lines.waiting = [report if isinstance(report, bytes) else json.dumps(report).encode()]
        found.append(monitor.read(float(second)))
    return monitor, found


def test_the_documented_sample_is_understood() -> None:
    _, [samples] = fed(REPORT)
    assert samples.errors == ()
    assert {key: samples.values[key] for key in samples.values} == pytest.approx(
        {
            ("neuroncore_utilization_ratio", 0): 0.35,
            ("neuroncore_utilization_ratio", 1): 0.25,
            ("neuroncore_utilization_ratio", 2): 0.0,
            ("neuroncore_utilization_ratio", 3): 0.0,
            ("tensor_flop_per_s", 0): 800983500000000,
            ("tensor_flop_per_s", 1): 1000,
            ("tensor_flop_per_s", 2): 0.0,
            ("tensor_flop_per_s", 3): 0.0,
            ("device_memory_used_bytes", 0): 1550,
            ("device_memory_used_bytes", 1): 7,
            ("device_memory_used_bytes", 2): 0.0,
            ("device_memory_used_bytes", 3): 0.0,
            ("execution_latency_p50_s", 0): 0.0045,
            ("execution_latency_p99_s", 0): 0.0061,
            ("vcpu_usage_ratio", 0): 0.14,
            ("memory_used_bytes", 0): 61203283968,
            ("neuron_runtimes_count", 0): 1.0,
        }
    )
    assert samples.counters == {
        ("hbm_ecc_corrected_total", 0): 3,
        ("hbm_ecc_uncorrected_total", 0): 0,
        ("sram_ecc_uncorrected_total", 0): 1,
        ("hbm_ecc_corrected_total", 1): 0,
        ("sram_ecc_corrected_total", 1): 9,
        ("executions_completed_total", 0): 214,
        ("execution_errors_total", 0): 3,
    }


def test_numeric_is_numerical() -> None:
    errors = "execution_stats"
    numeric = changed(
        lambda r: r["neuron_runtime_data"][0]["report"][errors].update(
            {"error_summary": {"numeric": 5}}
        )
    )
    _, [samples] = fed(numeric)
    assert samples.counters["execution_errors_total", 0] == 5


def test_counts_of_periods_add_up() -> None:
    _, found = fed(REPORT, REPORT, REPORT)
    assert found[-1].counters["executions_completed_total", 0] == 3 * 214


def test_groups_that_are_not_due_hold_until_they_are_stale() -> None:
    lines = Lines()
    monitor = NeuronMonitorInput(lines, chips=4)
    lines.waiting = [json.dumps(REPORT).encode()]
    monitor.read(0.0)
    bare = changed(lambda r: (r["neuron_runtime_data"][0].update(report={}), r.pop("system_data")))
    lines.make = lambda: json.dumps(bare).encode()
    held = monitor.read(4.0)
    assert held.values["neuroncore_utilization_ratio", 0] == pytest.approx(0.35)
    stale = monitor.read(6.0)
    assert ("neuroncore_utilization_ratio", 0) not in stale.values
    # Five seconds is this group's own period: one report late is not stale.
    assert stale.values["memory_used_bytes", 0] == 61203283968
    assert ("memory_used_bytes", 0) not in monitor.read(13.0).values
    assert ("hbm_ecc_corrected_total", 0) not in monitor.read(13.0).counters


def test_a_host_without_processes_is_idle_not_unknown() -> None:
    _, found = fed(REPORT, changed(lambda r: r.update(neuron_runtime_data=[])))
    assert [found[-1].values["neuroncore_utilization_ratio", chip] for chip in range(4)] == [
        0.0
    ] * 4


def test_processes_share_a_chip() -> None:
    second = changed(
        lambda r: r["neuron_runtime_data"].append(
            deepcopy(r["neuron_runtime_data"][0]) | {"pid": 2}
        )
    )
    _, [samples] = fed(second)
    assert samples.values["neuroncore_utilization_ratio", 0] == pytest.approx(0.70)
    assert samples.values["execution_latency_p99_s", 0] == 0.0061


def test_a_group_with_an_error_is_reported_and_the_rest_is_kept() -> None:
    broken = changed(
        lambda r: r["system_data"].update(memory_info={"period": 5.0, "error": "no /proc"})
    )
    _, [samples] = fed(broken)
    assert [str(error) for error in samples.errors] == ["neuron-monitor: memory_info: no /proc"]
    assert ("memory_used_bytes", 0) not in samples.values
    assert samples.values["vcpu_usage_ratio", 0] == pytest.approx(0.14)


def test_a_torn_line_costs_itself_only() -> None:
    whole = json.dumps(REPORT).encode()
    lines = Lines([whole[:300], whole])
    samples = NeuronMonitorInput(lines, chips=4).read(1.0)
    assert len(samples.errors) == 1
    assert isinstance(samples.errors[0], DeviceError)
    assert samples.values["memory_used_bytes", 0] == 61203283968


def test_a_broken_field_costs_itself_only() -> None:
    cores = "neuroncores_in_use"

    def spoil(report: Any) -> None:
        counters = report["neuron_runtime_data"][0]["report"]["neuroncore_counters"]
        counters[cores]["0"]["flops"] = "lots"
        counters[cores]["x"] = None

    _, [samples] = fed(changed(spoil))
    assert samples.values["tensor_flop_per_s", 1] == 1000
    assert samples.values["neuroncore_utilization_ratio", 0] == pytest.approx(0.35)


def test_rounding_over_100_percent_is_full() -> None:
    def overshoot(report: Any) -> None:
        counters = report["neuron_runtime_data"][0]["report"]["neuroncore_counters"]
        counters["neuroncores_in_use"] = {
            str(core): {"neuroncore_utilization": 100.2} for core in range(4)
        }

    _, [samples] = fed(changed(overshoot))
    assert samples.values["neuroncore_utilization_ratio", 0] == 1.0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


def paths(node: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path] if path else []
    items = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for key, inner in items:
        found += paths(inner, (*path, key))
    return found


@given(place=st.sampled_from(paths(REPORT)), value=json_values)
def test_any_value_anywhere_crashes_nothing(place: tuple[str | int, ...], value: object) -> None:
    report = deepcopy(REPORT)
    node: Any = report
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    _, found = fed(json.dumps(report).encode(), REPORT)
    assert found[-1].values["memory_used_bytes", 0] == 61203283968


@given(st.binary(max_size=200))
def test_any_bytes_crash_nothing(line: bytes) -> None:
    _, [samples] = fed(line)
    assert all(isinstance(error, DeviceError) for error in samples.errors)
