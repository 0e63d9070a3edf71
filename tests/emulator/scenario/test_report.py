from pathlib import Path

import pytest

from emulator.scenario.pace import Pace
from emulator.scenario.report import PANELS, write_report
from emulator.scenario.run import ScenarioRun
from emulator.scenario.summary import summary
from fleet.clock import ManualClock
from fleet.errors import ConfigurationError
from tests.emulator.scenario.files import small


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ScenarioRun:
    scenario = small(
        tmp_path_factory.mktemp("scenario"),
        changed=("description: one", "description: <script>one"),
    )
    run = ScenarioRun(scenario)
    for _ in run.run():
        pass
    return run


def test_a_page_has_every_picture_and_fault_inside_and_nothing_from_outside(
    made: ScenarioRun, tmp_path: Path
) -> None:
    write_report(made, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()

    assert page.count("data:image/png;base64,") == len(PANELS)
    assert "<td>pump_trip</td><td>h1/cdu01#1</td>" in page
    assert "http" not in page
    assert "<script>" not in page


def test_a_picture_is_a_picture(made: ScenarioRun, tmp_path: Path) -> None:
    write_report(made, tmp_path / "report.png")
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


def test_a_place_that_can_not_be_written_is_one_clear_error(made: ScenarioRun) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere/report\.html"):
        write_report(made, Path("/nowhere/report.html"))


def test_the_summary_adds_up(made: ScenarioRun) -> None:
    energy_kwh = made.history.series("chip_power_w").sum() * 1.0 / 3.6e6
    assert summary(made)["chip energy"] == f"{energy_kwh:,.1f} kWh"
    assert summary(made)["faults"] == "2"
    report = made.world.serving_report()
    assert report.completed > 0
    assert summary(made)["requests"].startswith(f"{report.arrived:,} came, {report.completed:,}")
    assert summary(made)["output"].startswith(f"{report.output_tokens:,} tokens")
    history = made.history
    assert history.series("plant_power_w").sum() == pytest.approx(report.spent.plant_j)
    # The run is shorter than a minute: its last row has seen every answer.
    assert history.series("tokens_per_s")[-1] == pytest.approx(report.output_tokens / 20.0)
    assert history.series("ttft")[-1, 0] == pytest.approx(report.ttft.p50_s, rel=0.05)


def test_a_run_without_answers_shows_dashes(tmp_path: Path) -> None:
    idle = ScenarioRun(small(tmp_path))
    assert "p50 - ms" in summary(idle)["time to first token"]
    assert summary(idle)["tokens a joule"] == "- of chips, - of the whole plant"


def test_a_pace_holds_back_and_never_hurries() -> None:
    clock = ManualClock()
    pace = Pace(10.0, clock)
    for emulated_s in range(1, 101):
        pace.keep(float(emulated_s))
    assert clock.monotonic_s() == pytest.approx(9.9)

    Pace(None, clock).keep(1e9)
    assert clock.monotonic_s() == pytest.approx(9.9)
