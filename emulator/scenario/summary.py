"""A run in a few figures."""

import math

from emulator.scenario.run import ScenarioRun
from emulator.serving.report import Quantiles, ServingReport


def summary(run: ScenarioRun) -> dict[str, str]:
    """What a person asks first."""
    history = run.history
    minutes = history.series("t_s")[-1:].sum() / 60.0
    return {
        "scenario": run.scenario.name,
        "seed": str(run.seed),
        "chips": f"{run.world.fleet_map.chips:,}",
        "emulated time": f"{minutes:,.1f} min",
        "chip energy": f"{history.energy_j / 3.6e6:,.1f} kWh",
        "hottest junction": f"{history.hottest_c:.1f} °C",
        "chip-seconds above throttling": f"{history.throttled_chip_s:,.0f}",
        "faults": str(len(history.fault_spans())),
        **_serving(run.world.serving_report()),
    }


def _serving(report: ServingReport) -> dict[str, str]:
    return {
        "requests": f"{report.arrived:,} came, {report.completed:,} answered,"
        f" {report.refused:,} refused, {report.unfinished:,} open, {report.retries:,} retries",
        "time to first token": _quantiles(report.ttft),
        "time per next token": _quantiles(report.tpot),
        "queue time": _quantiles(report.queue),
        "output": f"{report.output_tokens:,} tokens, {_shown(report.output_tokens_per_s)} a second",
        "tokens a joule": f"{_shown(report.tokens_per_chip_j)} of chips,"
        f" {_shown(report.tokens_per_plant_j)} of the whole plant",
        "cost of a million tokens": f"{_shown(report.chip_usd_per_million_tokens)} USD with the"
        f" chips' energy, {_shown(report.usd_per_million_tokens)} with the whole plant's",
    }


def _quantiles(of: Quantiles) -> str:
    shown = ((percent, getattr(of, f"p{percent}_s") * 1e3) for percent in (50, 90, 99))
    return ", ".join(f"p{percent} {_shown(value)} ms" for percent, value in shown)


def _shown(value: float) -> str:
    """Three digits that count; a dash where nothing was served."""
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if value >= 100.0 else f"{value:.3g}"
