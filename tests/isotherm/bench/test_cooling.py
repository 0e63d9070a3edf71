"""The cooling suite: what it promises of controllers, on a seed that is not its own."""

from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from controller.cooling.settings import LawName
from fleet.errors import ConfigurationError
from isotherm.bench.cooling import load_steps, scenario, suite
from isotherm.bench.cooling.page import spoken, write_page
from isotherm.bench.cooling.scenario import Outcome, Trial
from isotherm.bench.cooling.trace import COLUMNS, Trace
from isotherm.cli.bench import bench

SEED = 4_711


def made_trace(seconds: int = 30) -> Trace:
    trace = Trace()
    for second in range(seconds):
        trace.keep({name: np.array([float(second)]) for name in COLUMNS})
    return trace


def unescaped(svg: str) -> str:
    """Words are kept as comments beside their outlines."""
    return unescape(svg)


def test_the_predictive_law_halves_the_peak_of_the_baseline() -> None:
    predictive = load_steps.c1(Trial(law=LawName.MPC, seed=SEED)).metrics
    baseline = load_steps.c1(Trial(law=LawName.PI, seed=SEED)).metrics
    assert predictive["peak_k"] <= 0.9
    assert predictive["settle_s"] <= 25.0
    assert predictive["peak_k"] < 0.5 * baseline["peak_k"]


def test_the_same_seed_gives_the_same_figures() -> None:
    first, second = (
        load_steps.rise(Trial(law=LawName.MPC, seed=SEED), stroke_s=60.0).metrics for _ in range(2)
    )
    assert first == second


def test_settling_is_the_last_time_outside_the_band() -> None:
    error = np.array([0.0, 2.0, 0.4, -0.6, 0.2, 0.1])
    assert scenario.settle_s(error) == 4.0
    assert scenario.settle_s(np.zeros(5)) == 0.0


def test_strokes_count_travel_both_ways() -> None:
    valve = np.concatenate((np.linspace(0.2, 0.7, 31), np.linspace(0.7, 0.2, 31)[1:]))
    assert scenario.strokes_per_min(valve) == pytest.approx(1.0)


def test_the_page_shows_every_controller_and_keeps_the_traces(tmp_path: Path) -> None:
    outcomes = {
        "C1": {
            law: Outcome(metrics={"peak_k": 1.0}, trace=made_trace(), part="the rise")
            for law in (LawName.PI, LawName.MPC)
        }
    }
    write_page(tmp_path / "page", suite.SCENARIOS, outcomes, "Seed 7; quick")
    page = (tmp_path / "page" / "index.html").read_text()
    # The law that is scored stands beside its bar.
    assert "<th>bar</th><th class=scored>mpc</th><th>pi</th>" in page
    row = '<td>≤ 0.9</td><td class="scored missed">1 ✗</td><td class="missed">1 ✗</td>'
    assert row in page
    assert '<td class="scored missed">0 of 4 ✗</td>' in page
    assert "Seed 7; quick" in page
    figure = (tmp_path / "page" / "C1.svg").read_text()
    assert "bar: largest error ±0.9 K" in unescaped(figure)
    assert "shown: the rise" in unescaped(figure)
    assert "IT load 20 → 100 %" in unescaped(figure)
    rows = (tmp_path / "page" / "C1-mpc.csv").read_text().splitlines()
    assert len(rows) == 31
    assert rows[0].startswith("second,supply_c")


def test_the_page_says_what_has_no_trace_and_what_could_not_run(tmp_path: Path) -> None:
    outcomes = {
        "C14": {LawName.PI: Outcome(metrics={}, reason="no <broker>")},
        "C16": {
            LawName.PI: Outcome(metrics={"cycle_p99_s": 0.5, "detect_s": float("inf")}),
            LawName.MPC: Outcome(metrics={"cycle_p99_s": 0.7, "loops": 1000.0}),
        },
    }
    write_page(tmp_path, suite.SCENARIOS, outcomes)
    page = (tmp_path / "index.html").read_text()
    assert "pi could not run: no &lt;broker&gt;" in page
    assert '<td class="scored">1000</td><td>–</td>' in page
    assert "nan" not in page
    assert "<td>never</td>" in page
    assert "<img" not in page
    assert '<a href="#C16">C16</a>' in page


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ("iae_k_s", ("integral of the error", "K s")),
        ("max_junction_60_s_c", ("max junction 60 s", "°C")),
        ("detect_0.2_lpm_s", ("detect 0.2 lpm", "s")),
        ("strokes_per_min", ("strokes", "1/min")),
        ("setpoint_k_per_min", ("setpoint", "K/min")),
        ("saved_ratio", ("saved ratio", "")),
        ("false_alarms", ("false alarms", "")),
    ],
)
def test_a_metrics_name_tells_its_unit(metric: str, told: tuple[str, str]) -> None:
    assert spoken(metric) == told


def test_every_scenarios_page_can_be_drawn_from_its_bars(tmp_path: Path) -> None:
    outcomes = {
        name: {LawName.MPC: Outcome(metrics=dict.fromkeys(one.target, 1.0), trace=made_trace())}
        for name, one in suite.SCENARIOS.items()
    }
    write_page(tmp_path, suite.SCENARIOS, outcomes)
    assert {path.stem for path in tmp_path.glob("*.svg")} == set(suite.SCENARIOS)
    page = (tmp_path / "index.html").read_text()
    assert page.count("<h2 id=") == len(suite.SCENARIOS)


def test_scenarios_are_those_of_the_table_in_order() -> None:
    numbers = [int(name[1:]) for name in suite.SCENARIOS]
    assert numbers == list(range(1, 20))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"suite": "cooling", "controller": ["pid"]}, "there are: all, pi"),
        ({"suite": "fleet", "controller": ["pi"]}, "for the cooling suite"),
        ({"suite": "cooling", "case": ["C99"]}, "has no case C99"),
    ],
)
def test_a_wrong_word_gets_one_line(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        bench(**arguments)
