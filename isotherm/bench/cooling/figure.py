"""One figure a scenario: all controllers overlaid, with its bars drawn in where they are lines."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from controller.cooling.settings import LawName
from isotherm.bench.cooling.trace import Trace
from isotherm.bench.report import Target
from thermal.arrays import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS: Final = (
    ("supply_c", "supply, °C", 1.0, 3.0),
    ("hottest_c", "hottest junction, °C", 1.0, 2.0),
    ("valve_ratio", "valve, %", 100.0, 2.0),
    ("pump_ratio", "pumps, %", 100.0, 1.5),
    ("heat_w", "chips' heat, kW", 1e-3, 1.2),
)
"""Column, label, factor to the label's unit, height over that of the others."""
COLOURS: Final[Mapping[LawName, str]] = {
    LawName.PI: "#0072B2",
    LawName.BMC: "#B58900",
    LawName.FEEDFORWARD: "#009E73",
    LawName.MPC: "#D55E00",
}
"""Of Okabe and Ito, whom colour-blind people can tell apart; yellow darker, to be read on white."""
_BOTH_SIDES: Final = {
    "peak_k": "largest error",
    "band_k": "band",
    "supply_error_k": "error once settled",
}
"""Metrics whose bar lies on both sides of the set-point, and words for them."""
_MINUTES_FROM_S: Final = 900


def draw(
    path: Path, title: str, traces: Mapping[LawName, Trace], target: Mapping[str, Target]
) -> None:
    """As SVG: it stays sharp on any screen, and in print."""
    # Half a second of imports that every other command would pay for.
    from matplotlib import rc_context  # noqa: PLC0415
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(9.5, 10), layout="constrained")
    FigureCanvasSVG(figure)
    heights = [height for *_, height in PANELS]
    panels = figure.subplots(len(PANELS), 1, sharex=True, height_ratios=heights)
    last = list(traces.values())[-1]
    at, unit = _times(max(len(trace.column("supply_c")) for trace in traces.values()))
    for panel, (column, label, factor, _) in zip(panels, PANELS, strict=True):
        for law, trace in traces.items():
            values = trace.column(column)[:, 0] * factor
            scored = law is LawName.MPC
            panel.plot(
                at[: len(values)],
                values,
                label=law.value,
                color=COLOURS[law],
                linewidth=1.8 if scored else 1.1,
                zorder=3 if scored else 2,
            )
        panel.set_ylabel(label)
        panel.grid(alpha=0.3)
        panel.margins(x=0.01)
    _bars_of_supply(panels[0], last, target, at)
    _bars_of_junctions(panels[1], target)
    panels[-1].set_xlabel(unit)
    figure.suptitle(title.replace("->", "→"), fontsize=13)
    lines, words = panels[0].get_legend_handles_labels()
    figure.legend(lines, words, loc="outside lower center", ncols=len(lines), frameon=False)
    figure.align_ylabels()
    with rc_context({"svg.hashsalt": path.name, "path.simplify_threshold": 0.5}):
        figure.savefig(path, format="svg", metadata={"Date": None})


def _times(seconds: int) -> tuple[FloatArray, str]:
    at: FloatArray = np.arange(1.0, seconds + 1.0)
    if seconds < _MINUTES_FROM_S:
        return at, "seconds of the run"
    return at / 60.0, "minutes of the run"


def _bars_of_supply(
    panel: "Axes", trace: Trace, target: Mapping[str, Target], at: FloatArray
) -> None:
    setpoint = trace.column("setpoint_c")[:, 0]
    at = at[: len(setpoint)]
    panel.plot(at, setpoint, label="set-point", color="black", linestyle=":", linewidth=1.0)
    for name, words in _BOTH_SIDES.items():
        if name in target:
            bound = target[name][1]
            label = f"bar: {words} ±{bound:g} K"
            _bar(panel, at, setpoint + bound, label)
            _bar(panel, at, setpoint - bound, None)
    if "undershoot_k" in target:
        bound = target["undershoot_k"][1]
        _bar(panel, at, setpoint + bound, f"bar: undershoot {bound:g} K")


def _bars_of_junctions(panel: "Axes", target: Mapping[str, Target]) -> None:
    bounds = {bound for name, (_, bound) in target.items() if name.startswith("max_junction")}
    for bound in sorted(bounds):
        panel.axhline(bound, color="#b00020", linestyle="--", linewidth=1.0)
        panel.annotate(
            f"bar {bound:g} °C",
            (0.995, bound),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            fontsize=8,
            color="#b00020",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0},
            zorder=5,
        )


def _bar(panel: "Axes", at: FloatArray, values: FloatArray, label: str | None) -> None:
    panel.plot(at, values, label=label, color="#b00020", linestyle="--", linewidth=1.0)
