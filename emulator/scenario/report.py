"""A run as pictures: one PNG, or one HTML page with its pictures inside.

Imports matplotlib, which takes a while: import this module only where a report is wanted.
"""

import base64
import io
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from emulator.scenario.history import JUNCTION_PERCENTILES, SERVING_PERCENTILES, FaultSpan
from emulator.scenario.run import ScenarioRun
from emulator.scenario.summary import summary
from fleet.errors import ConfigurationError

_WIDTH_IN: Final = 9.0
_PANEL_IN: Final = 2.2
_MOST_LINES: Final = 8
"""Loops drawn as a line each; more are drawn as a band."""
_MOST_LABELS: Final = 12


def write_report(run: ScenarioRun, file: Path) -> None:
    """PNG or, with any other suffix, HTML; ConfigurationError where that can not be written."""
    try:
        # Opened first: a place that can not be written is told before anything is drawn.
        with file.open("wb") as out:
            if file.suffix == ".png":
                figure = _figure(len(PANELS))
                for axes, panel in zip(figure.subplots(len(PANELS), 1), PANELS, strict=True):
                    _draw(axes, panel, run)
                figure.suptitle(f"{run.scenario.name}, seed {run.seed}")
                figure.savefig(out, format="png")
            else:
                out.write(_page(run).encode())
    except OSError as error:
        raise ConfigurationError(f"report {file}: {error.strerror or error}") from None


def _load(axes: Any, run: ScenarioRun) -> None:
    axes.plot(_minutes(run), run.history.series("load_ratio"), label="load")
    axes.set_ylabel("of capacity")
    axes.set_ylim(bottom=0.0)


def _power(axes: Any, run: ScenarioRun) -> None:
    axes.plot(_minutes(run), run.history.series("chip_power_w") / 1e3, label="chips")
    axes.plot(_minutes(run), run.history.series("plant_power_w") / 1e3, label="whole plant")
    removed_w = np.nansum(np.atleast_2d(run.history.series("heat_removed_w")), axis=1)
    axes.plot(_minutes(run), removed_w / 1e3, label="into facility water")
    axes.set_ylabel("kW")


def _junction(axes: Any, run: ScenarioRun) -> None:
    values = run.history.series("junction_c")
    for column, percentile in enumerate(JUNCTION_PERCENTILES):
        label = "hottest" if percentile == 100 else f"p{percentile}"
        axes.plot(_minutes(run), values[:, column], label=label)
    throttle_c = float(run.world.chips.kinds.throttle_c.min())
    if values.max() > throttle_c - 10.0:
        axes.axhline(throttle_c, color="grey", linestyle=":", label="throttling")
    axes.set_ylabel("junction, °C")


def _coolant(axes: Any, run: ScenarioRun) -> None:
    for name, label in (
        ("supply_c", "supply"),
        ("return_c", "return"),
        ("primary_supply_c", "facility"),
    ):
        _by_loop(axes, run, name, label)
    axes.set_ylabel("coolant, °C")


def _flow(axes: Any, run: ScenarioRun) -> None:
    _by_loop(axes, run, "secondary_flow_lpm", "flow")
    axes.set_ylabel("L/min")
    axes.set_ylim(bottom=0.0)


def _actuators(axes: Any, run: ScenarioRun) -> None:
    _by_loop(axes, run, "valve_ratio", "valve")
    _by_loop(axes, run, "pump_speed_ratio", "pumps")
    axes.set_ylabel("of 1")
    axes.set_ylim(0.0, 1.05)


def _latency(axes: Any, run: ScenarioRun) -> None:
    for name, label in (("ttft", "first token"), ("tpot", "next token"), ("queue", "queue")):
        values = run.history.series(name) * 1e3
        for column, percentile in enumerate(SERVING_PERCENTILES):
            axes.plot(_minutes(run), values[:, column], label=f"{label}, p{percentile}")
    axes.set_ylabel("last minute, ms")
    axes.set_yscale("log", nonpositive="mask")


def _tokens(axes: Any, run: ScenarioRun) -> None:
    axes.plot(_minutes(run), run.history.series("tokens_per_s") / 1e3, label="output")
    axes.set_ylabel("1,000 tokens/s")
    axes.set_ylim(bottom=0.0)


def _waiting(axes: Any, run: ScenarioRun) -> None:
    axes.plot(_minutes(run), run.history.series("queued"), label="waiting or running")
    axes.set_ylabel("requests")
    axes.set_ylim(bottom=0.0)


Panel = tuple[str, Callable[[Any, ScenarioRun], None]]
"""A title, and what draws under it."""

PANELS: Final[Sequence[Panel]] = (
    ("Load", _load),
    ("Power", _power),
    ("Junctions", _junction),
    ("Coolant", _coolant),
    ("Flow", _flow),
    ("Valve and pumps", _actuators),
    ("Latency", _latency),
    ("Throughput", _tokens),
    ("Requests in the hall", _waiting),
)


def _draw(
    axes: Any, panel: tuple[str, Callable[[Any, ScenarioRun], None]], run: ScenarioRun
) -> None:
    title, draw = panel
    draw(axes, run)
    for span in run.history.fault_spans():
        axes.axvspan(span.start_s / 60.0, span.end_s / 60.0, color="tab:red", alpha=0.08)
    if title == "Load":
        _name_faults(axes, run.history.fault_spans())
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel("minutes", fontsize=8)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=7)


def _name_faults(axes: Any, spans: Sequence[FaultSpan]) -> None:
    for number, span in enumerate(spans[:_MOST_LABELS]):
        height = 0.95 - 0.08 * (number % 11)
        axes.text(
            span.start_s / 60.0,
            height,
            span.kind,
            transform=axes.get_xaxis_transform(),
            fontsize=6,
            color="tab:red",
            verticalalignment="top",
        )


def _by_loop(axes: Any, run: ScenarioRun, name: str, label: str) -> None:
    values, minutes = run.history.series(name), _minutes(run)
    loops = values.shape[1]
    if loops > _MOST_LINES:
        axes.fill_between(minutes, values.min(axis=1), values.max(axis=1), alpha=0.2)
        axes.plot(minutes, np.nanmedian(values, axis=1), label=f"{label}, median")
        return
    [first] = axes.plot(minutes, values[:, 0], label=label)
    for loop in range(1, loops):
        axes.plot(minutes, values[:, loop], color=first.get_color(), alpha=0.6)


def _minutes(run: ScenarioRun) -> Any:
    return run.history.series("t_s") / 60.0


def _figure(panels: int) -> Figure:
    return Figure(figsize=(_WIDTH_IN, _PANEL_IN * panels), dpi=100, layout="constrained")


def _page(run: ScenarioRun) -> str:
    name = escape(run.scenario.name)
    rows = "".join(
        f"<tr><th>{escape(key)}</th><td>{escape(value)}</td></tr>"
        for key, value in summary(run).items()
    )
    faults = "".join(
        f"<tr><td>{escape(span.kind)}</td><td>{escape(span.place)}</td>"
        f"<td>{span.start_s:,.0f}</td><td>{span.end_s:,.0f}</td></tr>"
        for span in run.history.fault_spans()
    )
    head = "<tr><th>fault</th><th>place</th><th>from, s</th><th>to, s</th></tr>"
    pictures = "".join(_picture(panel, run) for panel in PANELS)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        "<style>body{font:14px sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
        "img{max-width:100%}th{text-align:left;padding-right:1em}td{padding-right:1em}</style>"
        f"</head><body><h1>{name}</h1><p>{escape(run.scenario.description)}</p>"
        f"<table>{rows}</table>{pictures}<h2>Faults</h2><table>{head}{faults}</table>"
        "</body></html>\n"
    )


def _picture(panel: Panel, run: ScenarioRun) -> str:
    figure = _figure(1)
    _draw(figure.subplots(), panel, run)
    png = io.BytesIO()
    figure.savefig(png, format="png")
    encoded = base64.b64encode(png.getvalue()).decode("ascii")
    return f'<img alt="{escape(panel[0])}" src="data:image/png;base64,{encoded}">'
