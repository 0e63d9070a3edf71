"""A page of figures and tables: one a scenario, all controllers side by side."""

import math
import re
from collections.abc import Collection, Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Final

from controller.cooling.settings import LawName
from isotherm.bench.cooling.figure import draw
from isotherm.bench.cooling.scenario import Outcome, Scenario
from isotherm.bench.report import Target, holds

ByLaw = Mapping[LawName, Outcome]

_UNITS: Final = (
    ("_k_per_min", "K/min"),
    ("_per_min", "1/min"),
    ("_k_s", "K s"),
    ("_kwh", "kWh"),
    ("_c", "°C"),
    ("_k", "K"),
    ("_s", "s"),
    ("_ms", "ms"),
    ("_w", "W"),
    ("_lpm", "l/min"),
    ("_days", "days"),
    ("_min", "min"),
)
"""What the end of a metric's name says; ratios and counts have none."""

_STYLE: Final = (
    "body{font:16px/1.45 system-ui,sans-serif;color:#1b1b1b;max-width:66em;margin:1.5em auto;"
    "padding:0 1em}h2{margin-top:2.2em;border-top:1px solid #ddd;padding-top:.8em;font-size:1.25em}"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "td,th{padding:.25em .7em;text-align:right;border-bottom:1px solid #e4e4e4;white-space:nowrap}"
    "td:first-child,th:first-child{text-align:left}td.unit,th.unit{text-align:left;color:#555;"
    "padding-left:0}td.what{text-align:left;white-space:normal;min-width:14em}"
    ".scored{background:#fdf3ee}.met{color:#0b6b3a}.missed{color:#b00020}.scored.missed{"
    "font-weight:600}img{width:100%;height:auto;min-width:38em;max-width:60em;display:block;"
    "margin:1em 0}"
    "@media(max-width:40em){body{font-size:15px;padding:0 .6em}td,th{padding:.25em .45em}}"
)
_HEAD: Final = (
    "<!doctype html><html lang=en><meta charset=utf-8>"
    '<meta name=viewport content="width=device-width,initial-scale=1">'
    f"<title>isotherm bench cooling</title><style>{_STYLE}</style>"
    "<h1>Cooling: scenarios and controllers</h1>"
    "<p>All controllers drive the same plants, with the same sensors, noise and faults, through the"
    " same safety shell. Metrics and lines are the truth of the plant, not what sensors show."
    f" Bars are those of <b>{LawName.MPC.value}</b>; for the others a mark says what they would"
    " make of them. Dashed red lines are bars, dotted is the set-point of the last controller."
    " Each trace is a CSV, a row a second.</p>"
)


def write_page(
    folder: Path,
    scenarios: Mapping[str, Scenario],
    outcomes: Mapping[str, ByLaw],
    conditions: str = "",
) -> None:
    """`index.html`, a figure a scenario, and each trace as CSV; the folder is made. `conditions`
    say what was run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for name, by_law in outcomes.items():
        scenario = scenarios[name]
        traces = {law: one.trace for law, one in by_law.items() if one.trace is not None}
        for law, trace in traces.items():
            trace.write(folder / f"{name}-{law.value}.csv")
        title = f"{name}: {scenario.title}"
        if traces:
            shown = next((one.part for one in by_law.values() if one.part), "")
            heading = f"{title}\nshown: {shown}" if shown else title
            draw(folder / f"{name}.svg", heading, traces, scenario.target)
        parts.append(_section(scenario, title, by_law, drawn=traces.keys()))
    told = f"<p>{escape(conditions)}</p>" if conditions else ""
    page = (_HEAD, told, _summary(scenarios, outcomes), *parts)
    (folder / "index.html").write_text("\n".join(page), encoding="utf-8")


def _summary(scenarios: Mapping[str, Scenario], outcomes: Mapping[str, ByLaw]) -> str:
    """How many bars of each scenario each controller meets."""
    laws = _in_order(law for by_law in outcomes.values() for law in by_law)
    rows = "".join(
        f'<tr><td><a href="#{name}">{name}</a></td>'
        f"<td class=what>{_said(scenarios[name].title)}</td>"
        + "".join(_met(scenarios[name].target, law, by_law.get(law)) for law in laws)
        + "</tr>"
        for name, by_law in outcomes.items()
    )
    head = "".join(_head(law) for law in laws)
    return (
        "<h2>Bars met</h2><div class=wide><table><tr><th></th><th></th>"
        f"{head}</tr>{rows}</table></div>"
    )


def _met(target: Mapping[str, Target], law: LawName, outcome: Outcome | None) -> str:
    if outcome is None or not target:
        return _cell("–", law)
    met = sum(_holds(outcome, name, bar) for name, bar in target.items())
    mark = "met" if met == len(target) else "missed"
    return _cell(f"{met} of {len(target)}", law, mark)


def _holds(outcome: Outcome, name: str, bar: Target) -> bool:
    return name in outcome.metrics and holds(outcome.metrics[name], *bar)


def _section(scenario: Scenario, title: str, by_law: ByLaw, *, drawn: Collection[LawName]) -> str:
    # What has a bar comes first.
    metrics = list(
        dict.fromkeys((*scenario.target, *(key for one in by_law.values() for key in one.metrics)))
    )
    laws = _in_order(by_law)
    head = "".join(_head(law) for law in laws)
    rows = "".join(_row(metric, scenario, by_law) for metric in metrics)
    reasons = "".join(
        f"<p>{escape(law.value)} could not run: {escape(one.reason)}</p>"
        for law, one in by_law.items()
        if one.reason
    )
    image = f'<img src="{scenario.id}.svg" alt="{_said(title)}" loading=lazy>' if drawn else ""
    files = ", ".join(f'<a href="{scenario.id}-{law}.csv">{law}</a>' for law in drawn)
    return (
        f'<h2 id="{scenario.id}">{_said(title)}</h2><div class=wide>'
        f"<table><tr><th>metric</th><th class=unit></th><th>bar</th>{head}</tr>{rows}</table>"
        f"</div>{reasons}<div class=wide>{image}</div>"
        + (f"<p>CSV: {files}</p>" if drawn else "<p>No trace: nothing runs over time.</p>")
    )


def _row(metric: str, scenario: Scenario, by_law: ByLaw) -> str:
    bar = scenario.target.get(metric)
    cells = []
    for law in _in_order(by_law):
        value = by_law[law].metrics.get(metric)
        if value is None or bar is None:
            cells.append(_cell("–" if value is None else _figure(value), law))
        else:
            mark = "met" if holds(value, *bar) else "missed"
            cells.append(_cell(_figure(value), law, mark))
    wanted = "" if bar is None else f"{_SIGNS[bar[0]]} {bar[1]:g}"
    name, unit = spoken(metric)
    return (
        f"<tr><td title={escape(metric)}>{escape(name)}</td><td class=unit>{unit}</td>"
        f"<td>{wanted}</td>{''.join(cells)}</tr>"
    )


def _in_order(laws: Iterable[LawName]) -> list[LawName]:
    """The scored one first, so that a narrow screen shows it beside its bar."""
    return sorted(dict.fromkeys(laws), key=lambda law: law is not LawName.MPC)


def _said(title: str) -> str:
    return escape(title.replace("->", "→"))


_SIGNS: Final = {"<=": "≤", ">=": "≥", "==": "="}
_MARKS: Final = {"met": "✓", "missed": "✗"}


_WORDS: Final = {
    "iae_k_s": ("integral of the error", "K s"),
    "peak_k": ("largest error", "K"),
    "settle_s": ("outside ±0.5 K for", "s"),
    "band_k": ("band, ±", "K"),
    "max_junction_c": ("hottest junction", "°C"),
    "to_85_s": ("junction at 85 °C after", "s"),
    "cycle_p99_s": ("cycle, 99th percentile", "s"),
}
"""Where the name alone would not tell."""


def spoken(metric: str) -> tuple[str, str]:
    """A metric's name in words, and its unit: `max_junction_60_s_c` is `max junction 60 s`, °C."""
    if metric in _WORDS:
        return _WORDS[metric]
    for ending, unit in _UNITS:
        if metric.endswith(ending):
            # Strokes, and what else is counted, stay in the name.
            return metric.removesuffix(ending).replace("_", " "), unit
    return re.sub(r"_ratio$", " ratio", metric).replace("_", " "), ""


def _figure(value: float) -> str:
    """Four digits, without an exponent in the range that a plant has."""
    if not math.isfinite(value):
        return "never" if value > 0.0 else "–"
    if value == 0.0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return f"{value:.2e}"


def _head(law: LawName) -> str:
    scored = " class=scored" if law is LawName.MPC else ""
    return f"<th{scored}>{law.value}</th>"


def _cell(text: str, law: LawName, mark: str = "") -> str:
    """With a mark beside its colour, for those who see no colours."""
    classes = " ".join(filter(None, ("scored" if law is LawName.MPC else "", mark)))
    attribute = f' class="{classes}"' if classes else ""
    sign = f" {_MARKS[mark]}" if mark else ""
    return f"<td{attribute}>{text}{sign}</td>"
