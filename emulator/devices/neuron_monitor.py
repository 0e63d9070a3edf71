"""The `neuron-monitor` of a sled: one JSON object a line, with the groups that are due.

Field names, nesting and meanings follow the AWS Neuron guide to neuron-monitor. Counts of
executions and errors are those of the period; ECC counts are cumulative. Groups that are not due
are left out of a report, as the real tool does.
"""

import math
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import msgspec

from emulator.devices.host_names import device_names, instance_id
from emulator.devices.monitor_config import AGENTS_PLAN, MonitorPlan, Schedules
from emulator.devices.runtime_memory import RuntimeMemory
from emulator.devices.view import WorldView
from emulator.readings import PERCENTILES, RunningJob, SledReadings
from emulator.skus import settings_of_sled
from fleet.topology import Fanout


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """Where the tool says that the host stands."""

    zone: str = "us-east-2c"
    zone_id: str = "use2-az3"
    region: str = "us-east-2"


@dataclass(frozen=True, slots=True, kw_only=True)
class NeuronMonitorSettings:
    plan: MonitorPlan = AGENTS_PLAN
    instance: Instance = field(default_factory=Instance)
    memory: RuntimeMemory = field(default_factory=RuntimeMemory)
    device_latency_ratio: float = 0.93
    """Estimate: share of an execution's latency that the device takes."""
    user_ratio: float = 0.8
    """Estimate: share of busy vCPU time that is not the kernel's."""
    switches_per_vcpu_s: float = 2_000.0
    """Estimate: context switches a second of a busy vCPU."""


class NeuronMonitor:
    """One run of the tool on one sled. Every reader starts its own, as with the real command.

    A sled that is off has no host to run it, so it gives no lines.
    """

    def __init__(
        self, world: WorldView, row: int, settings: NeuronMonitorSettings | None = None
    ) -> None:
        self._world = world
        self._row = row
        self._settings = settings or NeuronMonitorSettings()
        self._host = settings_of_sled(world.fleet_map, row).sled
        fanout = world.fleet_map.ultraservers[int(world.fleet_map.ultraserver_of_sled[row])].fanout
        self._cores_per_chip = fanout.logical_cores_per_chip
        self._fixed = _fixed_sections(world, row, self._settings.instance, self._cores_per_chip)
        self._chip_texts = [
            _ChipTexts(chip, self._cores_per_chip, fanout) for chip in range(fanout.chips_per_sled)
        ]
        self._vcpu_keys = [f'"{vcpu}":' for vcpu in range(self._host.vcpus)]
        self._schedules = Schedules(self._settings.plan)
        self._counted: dict[tuple[str, int], _Counts] | None = None

    def read_lines(self) -> list[bytes]:
        """Complete lines since the last call, at most one, with its line feed. Never blocks."""
        seen = self._world.sled_readings(self._row)
        if not (seen.powered and seen.answers):
            self._counted = {}
            self._schedules.restart()
            return []
        if not self._schedules.ready(seen.at_unix_ns):
            return []
        return [self._report(seen)]

    def _report(self, seen: SledReadings) -> bytes:
        entries, host = self._schedules.due(seen.at_unix_ns)
        watched = [
            (job, entries[entry])
            for job in seen.jobs
            if (entry := self._settings.plan.entry_of(job.job_id)) is not None
        ]
        runtimes = ",".join([self._runtime(job, seen, due) for job, due in watched])
        self._count(watched, seen)
        text = (
            f'{{"neuron_runtime_data":[{runtimes}],"system_data":{{{self._system(seen, host)}}},'
            f"{self._fixed}}}\n"
        )
        return text.encode()

    def _count(
        self, watched: Sequence[tuple[RunningJob, Mapping[str, float]]], seen: SledReadings
    ) -> None:
        """Remember what has been reported of each process; those that ended are forgotten."""
        before, counted = self._counted, {}
        for job, due in watched:
            key = (job.job_id, job.attempt)
            if before is None or "execution_stats" in due:
                counted[key] = _counts(job, seen)
            elif key in before:
                counted[key] = before[key]
        self._counted = counted

    # --- one Neuron process ----------------------------------------------------------------------

    def _runtime(self, job: RunningJob, seen: SledReadings, due: Mapping[str, float]) -> str:
        groups = []
        if (period := due.get("neuroncore_counters")) is not None:
            groups.append(_group("neuroncore_counters", period, self._core_counters(job, seen)))
        if (period := due.get("execution_stats")) is not None:
            groups.append(_group("execution_stats", period, self._execution_stats(job, seen)))
        if (period := due.get("memory_used")) is not None:
            groups.append(_group("memory_used", period, self._memory_used(job, seen)))
        if (period := due.get("neuron_runtime_vcpu_usage")) is not None:
            share = 100.0 * _finite(seen.vcpu_ratio) / len(seen.jobs)
            user = self._settings.user_ratio * share
            usage = f'"vcpu_usage":{{"user":{user:.2f},"system":{share - user:.2f}}}'
            groups.append(_group("neuron_runtime_vcpu_usage", period, usage))
        return (
            f'{{"pid":{process_id(job)},"address":"","neuron_runtime_tag":{_quoted(job.job_id)},'
            f'"error":"","report":{{{",".join(groups)}}}}}'
        )

    def _core_counters(self, job: RunningJob, seen: SledReadings) -> str:
        in_use = []
        for chip in job.chips:
            percent = f"{100.0 * _finite(seen.core_utilization_ratio[chip]):.3f}"
            flops = str(int(_finite(seen.flop_per_s[chip]) / self._cores_per_chip))
            in_use.append(self._chip_texts[chip].counters(percent, flops))
        return f'"neuroncores_in_use":{{{",".join(in_use)}}}'

    def _execution_stats(self, job: RunningJob, seen: SledReadings) -> str:
        since = self._since_last(job, seen)
        total = device = "null"
        if job.latency_s is not None:
            total = _latencies(job.latency_s, 1.0)
            device = _latencies(job.latency_s, self._settings.device_latency_ratio)
        return (
            f'"error_summary":{{"generic":0,"numerical":{since.numerical},"transient":0,"model":0,'
            f'"runtime":{max(since.errors - since.hardware, 0)},"hardware":{since.hardware}}},'
            f'"execution_summary":{{"completed":{since.completed},'
            f'"completed_with_err":{max(since.errors, since.hardware)},'
            f'"completed_with_num_err":{since.numerical},"timed_out":0,"incorrect_input":0,'
            '"failed_to_queue":0},'
            f'"latency_stats":{{"total_latency":{total},"device_latency":{device}}}'
        )

    def _since_last(self, job: RunningJob, seen: SledReadings) -> "_Counts":
        """What happened in the period.

        The tool counts from its own start: what ran before is not in its first report.
        """
        now = _counts(job, seen)
        if self._counted is None:
            return _Counts(0, 0, 0, 0)
        # Chips count from before the job on.
        new = _Counts(0, 0, now.numerical, now.hardware)
        before = self._counted.get((job.job_id, job.attempt), new)
        return _Counts(*(max(0, b - a) for a, b in zip(before, now, strict=True)))

    def _memory_used(self, job: RunningJob, seen: SledReadings) -> str:
        memory, device_bytes, breakdown = self._settings.memory, 0, []
        for chip in job.chips:
            chip_bytes = seen.device_memory_bytes[chip]
            device_bytes += chip_bytes
            usage = _core_memory(memory, chip_bytes // self._cores_per_chip)
            breakdown.append(self._chip_texts[chip].memory(usage))
        dma = min(memory.host_dma_bytes, job.host_bytes)
        return (
            f'"loaded_models":[{self._loaded_model(job, device_bytes)}],'
            f'"neuron_runtime_used_bytes":{{"host":{job.host_bytes},"neuron_device":{device_bytes},'
            f'"usage_breakdown":{{"host":{{"application_memory":{job.host_bytes - dma},'
            f'"constants":0,"dma_buffers":{dma},"tensors":0}},'
            f'"neuroncore_memory_usage":{{{",".join(breakdown)}}}}}}}'
        )

    def _loaded_model(self, job: RunningJob, device_bytes: int) -> str:
        chip = min(job.chips, default=0)
        return (
            f'{{"name":{_quoted(job.model)},"uuid":"{_model_uuid(job.job_id)}","model_id":10001,'
            f'"is_running":true,"subgraphs":{{"sg_00":{{"memory_used_bytes":'
            f'{{"host":{job.host_bytes},"neuron_device":{device_bytes}}},'
            f'"neuroncore_index":{chip * self._cores_per_chip},"neuron_device_index":{chip}}}}}}}'
        )

    # --- the host --------------------------------------------------------------------------------

    def _system(self, seen: SledReadings, due: Mapping[str, float]) -> str:
        groups = []
        if (period := due.get("neuron_hw_counters")) is not None:
            groups.append(_group("neuron_hw_counters", period, _hardware_counters(seen)))
        if (period := due.get("vcpu_usage")) is not None:
            groups.append(_group("vcpu_usage", period, self._vcpu_usage(seen, period)))
        if (period := due.get("memory_info")) is not None:
            usage = (
                f'"memory_total_bytes":{self._host.memory_bytes},'
                f'"memory_used_bytes":{seen.memory_used_bytes},'
                '"swap_total_bytes":0,"swap_used_bytes":0'
            )
            groups.append(_group("memory_info", period, usage))
        return ",".join(groups)

    def _vcpu_usage(self, seen: SledReadings, period_s: float) -> str:
        busy = 100.0 * min(max(_finite(seen.vcpu_ratio), 0.0), 1.0)
        user = self._settings.user_ratio * busy
        usage = (
            f'{{"user":{user:.2f},"nice":0,"system":{busy - user:.2f},"idle":{100.0 - busy:.2f},'
            '"io_wait":0,"irq":0,"soft_irq":0}'
        )
        vcpus = self._host.vcpus
        rate = self._settings.switches_per_vcpu_s * vcpus * (0.05 + busy / 100.0)
        # Every vCPU is as busy as the average, so the value stands between the keys.
        each = f"{usage},".join(self._vcpu_keys) + usage
        return (
            f'"average_usage":{usage},"usage_data":{{{each}}},'
            f'"context_switch_count":{round(rate * period_s)}'
        )


class _ChipTexts:
    """JSON of one chip's logical cores, made once but for its numbers."""

    def __init__(self, chip: int, cores: int, fanout: Fanout) -> None:
        numbers = range(chip * cores, (chip + 1) * cores)
        self._counters = ",".join(_counters_template(core, fanout) for core in numbers)
        self._memory = ",".join(f'"{core}":%(usage)s' for core in numbers)

    def counters(self, percent: str, flops: str) -> str:
        return self._counters % {"percent": percent, "flops": flops}

    def memory(self, usage: str) -> str:
        return self._memory % {"usage": usage}


def _counters_template(core: int, fanout: Fanout) -> str:
    text = f'"{core}":{{"neuroncore_utilization":%(percent)s,"flops":%(flops)s'
    physical = _physical(fanout)
    if physical == 1:  # a core that stands for itself has no breakdown
        return f"{text}}}"
    version = device_names(fanout).core_version
    cores = ",".join(
        f'"nc_{version.removesuffix("d")}.{number}":{{"neuroncore_utilization":%(percent)s}}'
        for number in range(core * physical, (core + 1) * physical)
    )
    return f'{text},"{version}":{{{cores}}}}}'


def _physical(fanout: Fanout) -> int:
    """Physical cores of a logical one, as the tool shows them; a wafer is one."""
    return 1 if fanout.logical_cores_per_chip == 1 else fanout.cores_per_logical


def _fixed_sections(world: WorldView, row: int, instance: Instance, cores_per_chip: int) -> str:
    """`instance_info` and `neuron_hardware_info`, without the braces around."""
    sled_id = world.fleet_map.sled_ids[row]
    chips = int(world.fleet_map.chips_of_sled[row])
    server = world.fleet_map.ultraservers[int(world.fleet_map.ultraserver_of_sled[row])]
    names = device_names(server.fanout)
    sections = {
        "instance_info": {
            "instance_name": sled_id,
            "instance_id": instance_id(sled_id),
            "instance_type": names.instance_type,
            "instance_availability_zone": instance.zone,
            "instance_availability_zone_id": instance.zone_id,
            "instance_region": instance.region,
            "ami_id": "",
            "subnet_id": "",
            "error": "",
        },
        "neuron_hardware_info": {
            "neuron_device_type": server.fanout.device_type,
            "neuron_device_version": names.device_version,
            "neuroncore_version": names.core_version,
            "neuron_device_count": chips,
            "neuron_device_memory_size": settings_of_sled(world.fleet_map, row).chip.hbm_bytes,
            "neuroncore_per_device_count": cores_per_chip,
            "logical_neuroncore_config": _physical(server.fanout),
            "error": "",
        },
    }
    return msgspec.json.encode(sections).decode()[1:-1]


def _hardware_counters(seen: SledReadings) -> str:
    counts = zip(
        seen.ecc.hbm_corrected,
        seen.ecc.hbm_uncorrected,
        seen.ecc.sram_uncorrected,
        seen.ecc.sram_corrected,
        strict=True,
    )
    devices = [
        f'{{"neuron_device_index":{index},"mem_ecc_corrected":{mem_ce},'
        f'"mem_ecc_uncorrected":{mem_ue},"sram_ecc_uncorrected":{sram_ue},'
        f'"sram_ecc_corrected":{sram_ce}}}'
        for index, (mem_ce, mem_ue, sram_ue, sram_ce) in enumerate(counts)
    ]
    return f'"neuron_devices":[{",".join(devices)}]'


def _core_memory(memory: RuntimeMemory, core_bytes: int) -> str:
    parts = (f'"{name}":{held}' for name, held in memory.of_core(core_bytes).items())
    return f"{{{','.join(parts)}}}"


def _latencies(latency_s: tuple[float, ...], share: float) -> str:
    each = [
        f'"p{percentile}":{share * _finite(value):.6g}'
        for percentile, value in zip(PERCENTILES, latency_s, strict=True)
    ]
    return f"{{{','.join(each)}}}"


class _Counts(NamedTuple):
    """Of one process, all cumulative."""

    completed: int
    errors: int
    """Executions that failed, whatever the reason."""
    numerical: int
    hardware: int
    """Executions that memory errors ended: NRT statuses 1201, 1202 and 1205."""


def _counts(job: RunningJob, seen: SledReadings) -> _Counts:
    return _Counts(job.completed_total, job.errors_total, *spoiled(job, seen))


def spoiled(job: RunningJob, seen: SledReadings) -> tuple[int, int]:
    """Numerical errors of the chips of a process, and executions that memory errors ended there."""
    return (
        sum(seen.numerical_errors_total[chip] for chip in job.chips),
        sum(totals[chip] for totals in seen.ecc.failed_total.values() for chip in job.chips),
    )


def _group(name: str, period_s: float, body: str) -> str:
    return f'"{name}":{{"period":{period_s:.4f},"error":"",{body}}}'


@lru_cache(maxsize=1024)
def _model_uuid(job_id: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_URL, f"isotherm:{job_id}").hex


def process_id(job: RunningJob) -> int:
    """Another process for each attempt, the same as long as it runs."""
    return 10_000 + zlib.crc32(f"{job.job_id}#{job.attempt}".encode()) % 50_000


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _finite(value: float) -> float:
    """The tool prints numbers, never NaN."""
    return value if math.isfinite(value) else 0.0
