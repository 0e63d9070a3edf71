"""Which groups `neuron-monitor` reports of whom, and how often: the tool's configuration file.

Keys and group names follow the AWS Neuron guide to neuron-monitor: a `period` for all, an own one
a group, a `tag_filter` that runtimes' tags must match. A group that is not named is not reported.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import msgspec

from fleet.clock import NS_PER_S
from fleet.errors import ConfigurationError

RUNTIME_GROUPS: Final = (
    "neuroncore_counters",
    "execution_stats",
    "memory_used",
    "neuron_runtime_vcpu_usage",
)
SYSTEM_GROUPS: Final = ("neuron_hw_counters", "vcpu_usage", "memory_info")
MOST_FILTER_CHARACTERS: Final = 200
LONGEST_PERIOD_S: Final = 86_400.0

_ALMOST: Final = 0.9
"""Of a period: a reading that comes this early still belongs to the next report."""
_PERIOD: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|us|s|m|h))+")
_PERIOD_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|us|s|m|h)")
_UNIT_S: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3_600.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedRuntimes:
    """Runtimes whose tag a filter matches, and the seconds between two reports of each group."""

    tag_filter: re.Pattern[str]
    period_s: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorPlan:
    """One configuration. A runtime belongs to the first entry that matches its tag."""

    period_s: float
    """Of a plan without any group, which says what the host is and no more."""
    runtimes: tuple[WatchedRuntimes, ...]
    system_period_s: Mapping[str, float]

    @property
    def report_s(self) -> float:
        """Between two reports: the shortest period, as the tool wakes up when a group is due."""
        groups = (*(watched.period_s for watched in self.runtimes), self.system_period_s)
        periods = [period_s for group in groups for period_s in group.values()]
        return min(periods, default=self.period_s)

    def entry_of(self, tag: str) -> int | None:
        """Index of the entry that matches; None: the runtime is not reported."""
        for index, watched in enumerate(self.runtimes):
            if watched.tag_filter.search(tag):
                return index
        return None


AGENTS_PLAN: Final = MonitorPlan(
    period_s=1.0,
    runtimes=(
        WatchedRuntimes(
            tag_filter=re.compile(".*"),
            period_s=MappingProxyType(
                {**dict.fromkeys(RUNTIME_GROUPS, 1.0), "neuron_runtime_vcpu_usage": 5.0}
            ),
        ),
    ),
    system_period_s=MappingProxyType(
        {"neuron_hw_counters": 2.0, "vcpu_usage": 5.0, "memory_info": 5.0}
    ),
)
"""What an agent asks of the tool: each second what it guards by, and the hardware counters, which
the tool reports only where they are asked for by name."""


class _Metric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: str
    period: str | None = None


class _Runtime(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tag_filter: str = ".*"
    metrics: tuple[_Metric, ...] = ()


class _Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    period: str = "5s"
    neuron_runtimes: tuple[_Runtime, ...] = ()
    system_metrics: tuple[_Metric, ...] = ()


_decoder: Final = msgspec.json.Decoder(_Config)


def read_plan(text: bytes) -> MonitorPlan:
    """ConfigurationError that says which key is wrong and what it may be."""
    try:
        config = _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(f"neuron-monitor configuration: {error}") from error
    period_s = _seconds(config.period, "period")
    return MonitorPlan(
        period_s=period_s,
        runtimes=tuple(
            WatchedRuntimes(
                tag_filter=_filter(runtime.tag_filter, f"neuron_runtimes[{index}].tag_filter"),
                period_s=_periods(
                    runtime.metrics, RUNTIME_GROUPS, period_s, f"neuron_runtimes[{index}].metrics"
                ),
            )
            for index, runtime in enumerate(config.neuron_runtimes)
        ),
        system_period_s=_periods(config.system_metrics, SYSTEM_GROUPS, period_s, "system_metrics"),
    )


def _periods(
    metrics: Iterable[_Metric], known: tuple[str, ...], period_s: float, where: str
) -> Mapping[str, float]:
    found = {}
    for index, metric in enumerate(metrics):
        if metric.type not in known:
            raise ConfigurationError(
                f"neuron-monitor configuration: {where}[{index}].type {metric.type!r} is not"
                f" known; use {', '.join(known)}"
            )
        own = metric.period
        found[metric.type] = period_s if own is None else _seconds(own, f"{where}[{index}].period")
    return MappingProxyType(found)


def _seconds(text: str, where: str) -> float:
    """A duration as Go writes it: `5s`, `500ms`, `1m30s`."""
    parts = _PERIOD_PART.findall(text) if _PERIOD.fullmatch(text) else ()
    seconds = sum(float(number) * _UNIT_S[unit] for number, unit in parts)
    if not 0.0 < seconds <= LONGEST_PERIOD_S:
        raise ConfigurationError(
            f"neuron-monitor configuration: {where} {text[:40]!r} is no time above 0 and up to 24h,"
            " such as 5s or 500ms"
        )
    return seconds


def _filter(text: str, where: str) -> re.Pattern[str]:
    try:
        if len(text) > MOST_FILTER_CHARACTERS:
            raise ConfigurationError(
                f"neuron-monitor configuration: {where} has {len(text)} characters;"
                f" {MOST_FILTER_CHARACTERS} is the most"
            )
        return re.compile(text)
    except re.error as error:
        raise ConfigurationError(
            f"neuron-monitor configuration: {where} {text!r} is no regular expression: {error}"
        ) from error


class Schedule:
    """Which groups are due, and the seconds since each was last reported."""

    def __init__(self, period_s: Mapping[str, float], report_s: float) -> None:
        self._period_s = period_s
        self._slack_s = (1.0 - _ALMOST) * report_s
        self._last_ns: dict[str, int] = {}

    def restart(self) -> None:
        self._last_ns = {}

    def due(self, at_unix_ns: int) -> dict[str, float]:
        due = {}
        for name, period_s in self._period_s.items():
            last_ns = self._last_ns.get(name)
            elapsed_s = period_s if last_ns is None else (at_unix_ns - last_ns) / NS_PER_S
            if elapsed_s < 0.0:  # the clock was set back
                elapsed_s = period_s
            if elapsed_s >= period_s - self._slack_s:
                due[name] = elapsed_s
                self._last_ns[name] = at_unix_ns
        return due


class Schedules:
    """The schedules of a plan: one for each entry of runtimes, and the host's."""

    def __init__(self, plan: MonitorPlan) -> None:
        self._plan = plan
        self._runtimes = [Schedule(watched.period_s, plan.report_s) for watched in plan.runtimes]
        self._system = Schedule(plan.system_period_s, plan.report_s)
        self._reported_ns: int | None = None

    def restart(self) -> None:
        self._reported_ns = None
        for schedule in (*self._runtimes, self._system):
            schedule.restart()

    def ready(self, at_unix_ns: int) -> bool:
        """Whether a report is due. A clock that was set back is no reason to be silent."""
        last_ns = self._reported_ns
        wait_ns = round(self._plan.report_s * _ALMOST * NS_PER_S)
        if last_ns is not None and 0 <= at_unix_ns - last_ns < max(wait_ns, 1):
            return False
        self._reported_ns = at_unix_ns
        return True

    def due(self, at_unix_ns: int) -> tuple[list[dict[str, float]], dict[str, float]]:
        """Of each entry of runtimes, and of the host."""
        each = [schedule.due(at_unix_ns) for schedule in self._runtimes]
        return each, self._system.due(at_unix_ns)
