"""A page of figures: one a scenario, all controllers overlaid."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Final

import numpy as np

from controller.cooling.settings import LawName
from isotherm.bench.cooling.scenario import Outcome, Scenario
from isotherm.bench.cooling.trace import Trace

PANELS: Final = (
    ("supply_c", "supply °C"),
    ("hottest_c", "hottest junction °C"),
    ("valve_ratio", "valve"),
    ("pump_ratio", "pumps"),
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
        parts.append(_section(name, title, by_law, drawn=bool(traces)))
    (folder / "index.html").write_text(
        "<!doctype html><meta charset=utf-8><title>isotherm bench cooling</title>"
        "<style>body{font:15px sans-serif;max-width:70em;margin:2em auto}"
        "td,th{padding:.2em .8em;text-align:right}img{max-width:100%}</style>" + "\n".join(parts),
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
        for law, trace in traces.items():
            values = trace.column(column)[:, 0]
            panel.plot(np.arange(1, len(values) + 1), values, label=law.value, linewidth=1.0)
        panel.set_ylabel(label)
        panel.grid(alpha=0.3)
    panels[0].set_title(title)
    panels[0].legend(ncols=4)
    panels[-1].set_xlabel("seconds")
    figure.savefig(path, dpi=110)


def _section(name: str, title: str, by_law: Mapping[LawName, Outcome], *, drawn: bool) -> str:
    metrics = list(dict.fromkeys(key for one in by_law.values() for key in one.metrics))
    head = "".join(f"<th>{escape(law.value)}</th>" for law in by_law)
    rows = "".join(
        f"<tr><td>{escape(metric)}</td>"
        + "".join(
            f"<td>{one.metrics.get(metric, float('nan')):.4g}</td>" for one in by_law.values()
        )
        + "</tr>"
        for metric in metrics
    )
    image = f'<p><img src="{name}.png" alt="{escape(title)}">' if drawn else ""
    return f"<h2>{escape(title)}</h2><table><tr><th></th>{head}</tr>{rows}</table>{image}"
