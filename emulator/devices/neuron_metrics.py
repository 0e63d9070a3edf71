"""What `neuron-monitor-prometheus.py` exposes for a sled, under its metric and label names.

AWS' exporter adds each report to its counters, which counts cumulative ECC values again and again;
here they are the totals themselves.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from emulator.devices.monitor_config import AGENTS_PLAN
from emulator.devices.neuron_monitor import NeuronMonitor, NeuronMonitorSettings, spoiled
from emulator.devices.view import WorldView
from emulator.readings import SledReadings

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_INSTANCE: Final = {
    "instance_name": "instance_name",
    "instance_id": "instance_id",
    "instance_type": "instance_type",
    "availability_zone": "instance_availability_zone",
    "region": "instance_region",
    "subnet_id": "subnet_id",
}
_ECC: Final = (
    "mem_ecc_corrected",
    "mem_ecc_uncorrected",
    "sram_ecc_corrected",
    "sram_ecc_uncorrected",
)
_MEMORY: Final = {
    "constants": "Constants (weights) of a core.",
    "model_code": "Code of the models on a core.",
    "model_shared_scratchpad": "Scratchpad that the models of a core share.",
    "runtime_memory": "What the runtime itself holds of a core's memory.",
    "tensors": "Tensors of a core.",
}
Json = Mapping[str, Any]


class NeuronMetrics:
    """The exporter of one sled."""

    def __init__(
        self, world: WorldView, row: int, settings: NeuronMonitorSettings | None = None
    ) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_SledMetrics(world, row, settings))

    def render(self) -> bytes:
        """Text exposition; empty when the sled is off: there is no host to expose anything."""
        return generate_latest(self._registry)


class _SledMetrics(Collector):
    def __init__(self, world: WorldView, row: int, settings: NeuronMonitorSettings | None) -> None:
        self._world = world
        self._row = row
        # The exporter brings its own configuration, with every group.
        self._monitor = replace(settings or NeuronMonitorSettings(), plan=AGENTS_PLAN)

    def describe(self) -> Sequence[Metric]:
        """Nothing: the registry need not scrape to learn the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        seen = self._world.sled_readings(self._row)
        lines = NeuronMonitor(self._world, self._row, self._monitor).read_lines()
        if not lines:
            return
        report = msgspec.json.decode(lines[0])
        place = {label: report["instance_info"][name] for label, name in _INSTANCE.items()}
        runtimes = report["neuron_runtime_data"]
        yield from _cores(runtimes, place)
        yield from _memory(runtimes, place)
        yield from _executions(seen, runtimes, place)
        yield from _system(report["system_data"], place)
        yield _info("instance", "The host.", report["instance_info"], place)
        yield _info("neuron_hardware", "Its devices.", report["neuron_hardware_info"], place)


def _gauge(name: str, text: str, place: Json, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=(*place, *labels))


def _add(family: GaugeMetricFamily | CounterMetricFamily, place: Json, *rest: object) -> None:
    """`rest` is the further labels, and the value last."""
    *labels, value = rest
    family.add_metric([*place.values(), *map(str, labels)], float(value))  # type: ignore[arg-type]


def _info(name: str, text: str, section: Json, place: Json) -> Metric:
    family = InfoMetricFamily(name, text, labels=tuple(place))
    own = {key: str(value) for key, value in section.items() if key not in {"error", *place}}
    family.add_metric(list(place.values()), own)
    return family


def _cores(runtimes: Sequence[Json], place: Json) -> Iterator[Metric]:
    name = "neuroncore_utilization_ratio"
    cores = _gauge(name, "How busy a NeuronCore is.", place, "runtime_tag", "neuroncore")
    for runtime in runtimes:
        used = runtime["report"]["neuroncore_counters"]["neuroncores_in_use"]
        for core, counters in used.items():
            share = counters["neuroncore_utilization"] / 100.0
            _add(cores, place, runtime["neuron_runtime_tag"], core, share)
    yield cores


def _memory(runtimes: Sequence[Json], place: Json) -> Iterator[Metric]:
    used = _gauge(
        "neuron_runtime_memory_used_bytes",
        "Memory that a runtime holds.",
        place,
        "runtime_tag",
        "memory_location",
    )
    labels = ("runtime_tag", "neuroncore", "memory_location")
    parts = {
        part: _gauge(f"neuroncore_memory_usage_{part}", text, place, *labels)
        for part, text in _MEMORY.items()
    }
    for runtime in runtimes:
        tag = runtime["neuron_runtime_tag"]
        sizes = runtime["report"]["memory_used"]["neuron_runtime_used_bytes"]
        for location in ("host", "neuron_device"):
            _add(used, place, tag, location, sizes[location])
        for core, usage in sizes["usage_breakdown"]["neuroncore_memory_usage"].items():
            for part, family in parts.items():
                _add(family, place, tag, core, "neuron_device", usage[part])
    yield used
    yield from parts.values()


def _executions(seen: SledReadings, runtimes: Sequence[Json], place: Json) -> Iterator[Metric]:
    labels = (*place, "runtime_tag")
    errors = CounterMetricFamily(
        "execution_errors", "Executions that failed.", labels=(*labels, "error_type")
    )
    status = CounterMetricFamily(
        "execution_status", "How executions ended.", labels=(*labels, "status_type")
    )
    for job in seen.jobs:
        numerical, hardware = spoiled(job, seen)
        for kind, failed in {
            "runtime": max(job.errors_total - hardware, 0),
            "hardware": hardware,
            "numerical": numerical,
        }.items():
            _add(errors, place, job.job_id, kind, failed)
        _add(status, place, job.job_id, "completed", job.completed_total)
        _add(status, place, job.job_id, "completed_with_err", max(job.errors_total, hardware))
        _add(status, place, job.job_id, "completed_with_num_err", numerical)
    yield errors
    yield status
    latency = _gauge(
        "execution_latency_seconds", "Latency of executions.", place, "runtime_tag", "percentile"
    )
    vcpu = _gauge(
        "neuron_runtime_vcpu_usage_ratio",
        "Host CPU that a runtime uses.",
        place,
        "runtime_tag",
        "usage_type",
    )
    for runtime in runtimes:
        tag, report = runtime["neuron_runtime_tag"], runtime["report"]
        total = report["execution_stats"]["latency_stats"]["total_latency"] or {}
        for percentile, value in total.items():
            _add(latency, place, tag, percentile, value)
        for usage_type, percent in report["neuron_runtime_vcpu_usage"]["vcpu_usage"].items():
            _add(vcpu, place, tag, usage_type, percent / 100.0)
    yield latency
    yield vcpu


def _system(system: Json, place: Json) -> Iterator[Metric]:
    ecc = CounterMetricFamily(
        "hardware_ecc_events",
        "Errors that the memories have reported.",
        labels=(*place, "event_type", "neuron_device_index"),
    )
    for device in system["neuron_hw_counters"]["neuron_devices"]:
        for event in _ECC:
            _add(ecc, place, event, device["neuron_device_index"], device[event])
    yield ecc
    usage = system["vcpu_usage"]
    count = _gauge("system_vcpu_count", "vCPUs of the host.", place)
    _add(count, place, len(usage["usage_data"]))
    yield count
    ratio = _gauge("system_vcpu_usage_ratio", "Host CPU in use.", place, "usage_type")
    for usage_type, percent in usage["average_usage"].items():
        _add(ratio, place, usage_type, percent / 100.0)
    yield ratio
    for name, size in system["memory_info"].items():
        if name.endswith("_bytes"):
            memory = _gauge(f"system_{name}", f"Host: {name.removesuffix('_bytes')}.", place)
            _add(memory, place, size)
            yield memory
