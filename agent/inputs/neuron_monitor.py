import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agent.inputs import neuron_report
from agent.inputs.base import Key, Samples
from agent.inputs.ecc import EccSemantics, EccTotals
from agent.inputs.lenient import JsonObject, count, mapping, number, objects, text
from agent.inputs.lines import LineSource
from agent.transport import json_object
from fleet.errors import DeviceError
from fleet.metrics import BY_NAME

_HOLD_PERIODS: Final = 2.5
# A longer one is a broken field, not a configuration.
_LONGEST_PERIOD_S: Final = 300.0
_SHARED: Final[Mapping[str, tuple[str, ...]]] = {
    "cores": ("neuroncore_utilization_ratio", "tensor_flop_per_s"),
    "memory": ("device_memory_used_bytes",),
    "latency": (),
}
_COUNTERS: Final = ("executions_completed_total", "execution_errors_total")


@dataclass(slots=True)
class _Held:
    """Values of one group, good until `until_s` unless the group comes again."""

    values: dict[Key, float]
    until_s: float


class NeuronMonitorInput:
    """Chip and host values from the reports of `neuron-monitor`.

    Groups come at their own periods; a value holds until it is stale: the metric's own staleness,
    or two and a half periods of its group where that is longer. Cores that no process uses are
    idle, and so are all when a report lists no process.
    """

    def __init__(
        self,
        lines: LineSource,
        *,
        chips: int,
        cores_per_chip: int = 4,
        semantics: EccSemantics = EccSemantics.AUTO,
    ) -> None:
        self._lines = lines
        self._chips = chips
        self._cores_per_chip = cores_per_chip
        self._runtimes: dict[str, dict[str, _Held]] = {}
        self._listed_s = -math.inf
        self._listed_until_s = -math.inf
        self._system: dict[str, _Held] = {}
        self._ecc = EccTotals(semantics)
        self._ecc_now: dict[Key, int] = {}
        self._ecc_until_s = -math.inf
        self._executions = dict.fromkeys(_COUNTERS, 0)
        self._executions_seen = False
        self._errors: list[DeviceError] = []

    def read(self, now_s: float) -> Samples:
        self._errors = []
        try:
            arrived = self._lines.read_lines()
        except DeviceError as error:
            self._errors.append(error)
            arrived = []
        for line in arrived:
            self._take_line(line, now_s)
        return Samples(
            values=self._values(now_s),
            counters=self._counters(now_s),
            errors=tuple(self._errors),
        )

    def _take_line(self, line: bytes, now_s: float) -> None:
        if not line.strip():
            return
        try:
            self._take(json_object(line, "neuron-monitor"), now_s)
        except DeviceError as error:
            self._errors.append(error)

    def _take(self, report: JsonObject, now_s: float) -> None:
        hardware = mapping(report.get("neuron_hardware_info"))
        self._cores_per_chip = (
            count(hardware.get("neuroncore_per_device_count")) or self._cores_per_chip
        )
        if isinstance(report.get("neuron_runtime_data"), list):
            self._take_runtimes(objects(report["neuron_runtime_data"]), now_s)
        self._take_system(mapping(report.get("system_data")), now_s)

    def _take_runtimes(self, runtimes: Sequence[JsonObject], now_s: float) -> None:
        gap_s = now_s - self._listed_s
        self._listed_until_s = now_s + _staleness_s("neuroncore_utilization_ratio", gap_s)
        self._listed_s = now_s
        listed: dict[str, dict[str, _Held]] = {}
        for position, data in enumerate(runtimes):
            pid = str(data.get("pid", f"#{position}"))
            groups = listed[pid] = self._runtimes.get(pid, {})
            self._note(text(data.get("error")))
            self._take_runtime(groups, mapping(data.get("report")), now_s)
        self._runtimes = listed

    def _take_runtime(self, groups: dict[str, _Held], report: JsonObject, now_s: float) -> None:
        if counters := self._group(report, "neuroncore_counters"):
            groups["cores"] = _hold(self._core_values(counters), counters, now_s)
        if memory := self._group(report, "memory_used"):
            groups["memory"] = _hold(self._memory_values(memory), memory, now_s)
        if stats := self._group(report, "execution_stats"):
            median, tail = neuron_report.latency_s(stats)
            values = {("execution_latency_p50_s", 0): median, ("execution_latency_p99_s", 0): tail}
            groups["latency"] = _hold(values, stats, now_s)
            self._count_executions(stats)

    def _core_values(self, counters: JsonObject) -> dict[Key, float]:
        values: dict[Key, float] = defaultdict(float)
        for core in neuron_report.cores(counters):
            chip = core.place // self._cores_per_chip
            share = core.utilization_ratio / self._cores_per_chip
            values["neuroncore_utilization_ratio", chip] += share
            values["tensor_flop_per_s", chip] += core.flop_per_s
        return values

    def _memory_values(self, memory: JsonObject) -> dict[Key, float]:
        values: dict[Key, float] = defaultdict(float)
        for core, size in neuron_report.core_bytes(memory):
            values["device_memory_used_bytes", core // self._cores_per_chip] += size
        return values

    def _count_executions(self, stats: JsonObject) -> None:
        for name, counted in zip(_COUNTERS, neuron_report.executions(stats), strict=True):
            self._executions[name] += counted
        self._executions_seen = True

    def _take_system(self, system: JsonObject, now_s: float) -> None:
        if usage := self._group(system, "vcpu_usage"):
            values = {("vcpu_usage_ratio", 0): neuron_report.vcpu_ratio(usage)}
            self._system["vcpu"] = _hold(values, usage, now_s)
        if memory := self._group(system, "memory_info"):
            used = {("memory_used_bytes", 0): number(memory.get("memory_used_bytes"))}
            self._system["memory"] = _hold(used, memory, now_s)
        if counters := self._group(system, "neuron_hw_counters"):
            for metric, device, value in neuron_report.ecc_counts(counters):
                if device < self._chips and value <= BY_NAME[metric].high:
                    self._ecc_now[metric, device] = self._ecc.add((metric, device), value)
            self._ecc_until_s = _hold(dict.fromkeys(self._ecc_now, 0.0), counters, now_s).until_s

    def _group(self, parent: JsonObject, name: str) -> JsonObject | None:
        found, error = neuron_report.group(parent, name)
        self._note(error)
        return found

    def _note(self, error: str) -> None:
        if error:
            self._errors.append(DeviceError(f"neuron-monitor: {error[:200]}"))

    def _values(self, now_s: float) -> dict[Key, float]:
        values: dict[Key, float] = {}
        if now_s <= self._listed_until_s:
            values["neuron_runtimes_count", 0] = float(len(self._runtimes))
            for name in _SHARED:
                self._add_shared(values, name, now_s)
        for held in self._system.values():
            if now_s <= held.until_s:
                values.update(held.values)
        return values

    def _add_shared(self, values: dict[Key, float], name: str, now_s: float) -> None:
        """Sum one group over the processes; chips without a share are idle if all have spoken."""
        held = [runtime.get(name) for runtime in self._runtimes.values()]
        fresh = [group for group in held if group is not None and now_s <= group.until_s]
        if len(fresh) == len(held):
            for metric in _SHARED[name]:
                values.update(((metric, chip), 0.0) for chip in range(self._chips))
        for group in fresh:
            _merge(values, group.values)

    def _counters(self, now_s: float) -> dict[Key, int]:
        counters: dict[Key, int] = {}
        if now_s <= self._ecc_until_s:
            counters.update(self._ecc_now)
        if self._executions_seen and now_s <= self._listed_until_s:
            counters.update(((name, 0), total) for name, total in self._executions.items())
        return counters


def _hold(values: dict[Key, float], group: JsonObject, now_s: float) -> _Held:
    period_s = number(group.get("period"))
    metric = next(iter(values))[0] if values else "neuroncore_utilization_ratio"
    return _Held(values, now_s + _staleness_s(metric, period_s))


def _staleness_s(metric: str, period_s: float) -> float:
    staleness_s = BY_NAME[metric].staleness_s
    if 0 < period_s <= _LONGEST_PERIOD_S:
        return max(staleness_s, _HOLD_PERIODS * period_s)
    return staleness_s


def _merge(values: dict[Key, float], more: Mapping[Key, float]) -> None:
    """Add what processes share; of latencies the worst speaks."""
    for key, value in more.items():
        if key not in values:
            values[key] = value
        elif key[0].startswith("execution_latency"):
            values[key] = max(values[key], value)
        else:
            values[key] += value
