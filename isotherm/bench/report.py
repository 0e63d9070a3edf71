"""What a benchmark run says, to people and to machines."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

Target = tuple[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case: what was measured, what is wanted, and why it could not run if it could not."""

    id: str
    title: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    target: Mapping[str, Target] = field(default_factory=dict)
    reason: str = ""
    beside: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """The same metrics of what it is compared with, by name."""
    remarks: Sequence[str] = ()
    """What a reader of the figures should know, such as a peer that could not be measured."""

    @property
    def passed(self) -> bool:
        if self.reason:
            return False
        return all(
            name in self.metrics and holds(self.metrics[name], operator, bound)
            for name, (operator, bound) in self.target.items()
        )


CaseRun = Callable[[bool, int], Case]
"""Takes `quick` and the seed; a case that can not run says why in its `reason`."""


def holds(value: float, operator: str, bound: float) -> bool:
    match operator:
        case ">=":
            return value >= bound
        case "<=":
            return value <= bound
        case "==":
            return value == bound
    raise ValueError(f"unknown operator {operator!r}")


def environment() -> dict[str, str]:
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def to_json(suite: str, cases: Sequence[Case]) -> bytes:
    document = {
        "suite": suite,
        "environment": environment(),
        "cases": [_case(case) for case in cases],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _case(case: Case) -> dict[str, object]:
    row: dict[str, object] = {
        "id": case.id,
        "title": case.title,
        "metrics": dict(case.metrics),
        "target": {name: list(target) for name, target in case.target.items()},
        "passed": case.passed,
    }
    if case.reason:
        row["reason"] = case.reason
    if case.beside:
        row["beside"] = {name: dict(metrics) for name, metrics in case.beside.items()}
    if case.remarks:
        row["remarks"] = list(case.remarks)
    return row


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def print_table(console: Console, suite: str, cases: Sequence[Case]) -> None:
    table = Table(title=f"isotherm bench {suite}")
    others = tuple(dict.fromkeys(name for case in cases for name in case.beside))
    for heading in ("case", "what", "metric", "measured", "target", "passed", *others):
        # Of all columns only the titles may be broken; a metric's name is what one looks for.
        table.add_column(heading, no_wrap=heading != "what", max_width=60)
    for case in cases:
        if case.reason:
            table.add_row(case.id, case.title, "", f"not run: {case.reason}", "", "no")
        for row, (name, value) in enumerate(case.metrics.items()):
            operator, bound = case.target.get(name, ("", 0.0))
            held = holds(value, operator, bound) if operator else None
            table.add_row(
                *((case.id, case.title) if row == 0 else ("", "")),
                name,
                f"{value:.4g}",
                f"{operator} {bound:g}" if operator else "",
                "" if held is None else ("yes" if held else "no"),
                *(_shown(case.beside.get(other, {}).get(name)) for other in others),
            )
    console.print(table)
    for case in cases:
        for remark in case.remarks:
            console.print(f"{case.id}: {remark}", markup=False)
    console.print(", ".join(f"{key}: {value}" for key, value in environment().items()))
