"""A page of figures: one a scenario, all controllers overlaid."""

from collections.abc import Collection, Iterable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from controller.cooling.settings import LawName
from isotherm.bench.cooling.scenario import Outcome, Scenario
from isotherm.bench.cooling.trace import Trace
from isotherm.bench.report import holds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS: Final = (
    ("supply_c", "supply °C"),
    ("hottest_c", "hottest junction °C"),
    ("valve_ratio", "valve"),
    ("pump_ratio", "pumps"),
)

_HEAD: Final = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>isotherm bench cooling</title>"
    "<style>body{font:15px sans-serif;max-width:70em;margin:2em auto;padding:0 1em}"
    "td,th{padding:.2em .8em;text-align:right}td:first-child{text-align:left}"
    ".missed{color:#b00020;font-weight:bold}img{max-width:100%}</style>"
    "<h1>Cooling: scenarios and controllers</h1>"
    "<p>Metrics and lines are the truth of the plant, not what sensors show. Targets are held"
    f" against {LawName.MPC.value}; dotted is the set-point of the last one. Each trace is a CSV, a"
    " row a second.</p>"
)


def write_page(
    folder: Path,
    scenarios: Mapping[str, Scenario],
    outcomes: Mapping[str, Mapping[LawName, Outcome]],
) -> None:
    """`index.html`, a figure a scenario, and each trace as CSV; the folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for name, by_law in outcomes.items():
        traces = {law: one.trace for law, one in by_law.items() if one.trace is not None}
        for law, trace in traces.items():
            trace.write(folder / f"{name}-{law.value}.csv")
        title = f"{name}: {scenarios[name].title}"
        if traces:
            _figure(folder / f"{name}.png", title, traces)
        parts.append(_section(scenarios[name], title, by_law, drawn=traces.keys()))
    (folder / "index.html").write_text(
        _HEAD + _contents(scenarios, outcomes) + "\n".join(parts),
        encoding="utf-8",
    )


def _figure(path: Path, title: str, traces: Mapping[LawName, Trace]) -> None:
    # Half a second of imports that every other command would pay for.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(10, 8), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(PANELS), 1, sharex=True)
    for panel, (column, label) in zip(panels, PANELS, strict=True):
        if column == "supply_c":
            _dotted(panel, list(traces.values())[-1])
        for law, trace in traces.items():
            values = trace.column(column)[:, 0]
            panel.plot(np.arange(1, len(values) + 1), values, label=law.value, linewidth=1.0)
        panel.set_ylabel(label)
        panel.grid(alpha=0.3)
    panels[0].set_title(title)
    panels[0].legend(ncols=5)
    panels[-1].set_xlabel("seconds")
    figure.savefig(path, dpi=110)


def _dotted(panel: "Axes", trace: Trace) -> None:
    values = trace.column("setpoint_c")[:, 0]
    seconds = np.arange(1, len(values) + 1)
    panel.plot(seconds, values, label="set-point", color="black", linestyle=":", linewidth=1.0)


def _contents(scenarios: Mapping[str, Scenario], names: Iterable[str]) -> str:
    links = (f'<a href="#{name}">{name} {escape(scenarios[name].title)}</a>' for name in names)
    return f"<p>{'<br>'.join(links)}</p>"


def _section(
    scenario: Scenario,
    title: str,
    by_law: Mapping[LawName, Outcome],
    *,
    drawn: Collection[LawName],
) -> str:
    metrics = list(dict.fromkeys(key for one in by_law.values() for key in one.metrics))
    head = "".join(f"<th>{escape(law.value)}</th>" for law in by_law)
    rows = "".join(_row(metric, scenario, by_law) for metric in metrics)
    reasons = "".join(
        f"<p>{escape(law.value)} could not run: {escape(one.reason)}</p>"
        for law, one in by_law.items()
        if one.reason
    )
    image = f'<p><img src="{scenario.id}.png" alt="{escape(title)}">' if drawn else ""
    files = ", ".join(f'<a href="{scenario.id}-{law}.csv">{law}</a>' for law in drawn)
    return (
        f'<h2 id="{scenario.id}">{escape(title)}</h2>'
        f"<table><tr><th></th>{head}<th>target</th></tr>{rows}</table>{reasons}{image}"
        + (f"<p>CSV: {files}</p>" if drawn else "<p>No trace: nothing runs over time.</p>")
    )


def _row(metric: str, scenario: Scenario, by_law: Mapping[LawName, Outcome]) -> str:
    target = scenario.target.get(metric)
    cells = []
    for law, one in by_law.items():
        value = one.metrics.get(metric)
        text = "–" if value is None else f"{value:.4g}"
        missed = value is not None and target is not None and not holds(value, *target)
        judged = missed and law is LawName.MPC
        cells.append(f"<td class=missed>{text}</td>" if judged else f"<td>{text}</td>")
    wanted = "" if target is None else escape(f"{target[0]} {target[1]:g}")
    return f"<tr><td>{escape(metric)}</td>{''.join(cells)}<td>{wanted}</td></tr>"
