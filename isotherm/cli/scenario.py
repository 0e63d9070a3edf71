"""`isotherm emulator run` and `isotherm emulator scenarios`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from emulator.scenario.library import find_scenario, known_scenarios
from emulator.scenario.pace import Pace
from emulator.scenario.read import read_scenario
from emulator.scenario.run import ScenarioRun
from emulator.scenario.summary import summary
from emulator.workload.backend import BackendName, DeviceName
from fleet.clock import SystemClock
from fleet.errors import ConfigurationError
from isotherm.cli.output import Format, every_field, show, terminal

_S_PER_MIN: Final = 60.0
REPORT_SUFFIXES: Final = (".html", ".png")


def run(
    scenario: Annotated[str, typer.Argument(help="A name of `emulator scenarios`, or a file.")],
    speed: Annotated[
        str, typer.Option(help="Emulated over real seconds at the most, or max.")
    ] = "max",
    seed: Annotated[int | None, typer.Option(min=0, help="None: the scenario's own.")] = None,
    record: Annotated[
        Path | None, typer.Option(help="Write telemetry and truth into this folder.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Draw the run: a file that ends in .html or .png.")
    ] = None,
    backend: Annotated[
        BackendName, typer.Option(help="What multiplies; torch is an optional extra.")
    ] = BackendName.NUMPY,
    device: Annotated[DeviceName, typer.Option(help="Of torch.")] = DeviceName.CPU,
) -> None:
    """Run a scenario from beginning to end, alone: no agent, no controller, no port.

    CDUs run on their own firmware. The same seed gives the same run at any speed.
    """
    pace = Pace(_speed(speed), SystemClock())
    if report is not None and report.suffix not in REPORT_SUFFIXES:
        raise ConfigurationError(f"report {report}: end its name in .html or .png")
    planned = read_scenario(find_scenario(scenario))
    products = replace(planned.options["products"], backend=backend, device=device)
    products.validate()
    console = Console(stderr=True)
    console.print(f"building {planned.name}: {planned.description}", highlight=False)
    chosen = replace(planned, options={**planned.options, "products": products})
    made = ScenarioRun(chosen, seed=seed, record=record)
    with _bar(console, planned.name, made.steps) as advance:
        for now_s in made.run():
            advance()
            pace.keep(now_s)
    if report is not None:
        # matplotlib takes longer to import than all the rest of this program.
        from emulator.scenario.report import write_report  # noqa: PLC0415

        write_report(made, report)
    for name, value in summary(made).items():
        terminal().print(f"{name:30} {value}", highlight=False)
    for what, where in (("recorded to", record), ("report in", report)):
        if where is not None:
            terminal().print(f"{what:30} {where}", highlight=False)


def scenarios(output: Annotated[Format, typer.Option("-o", "--output")] = Format.TABLE) -> None:
    """Scenarios that come with Isotherm."""
    rows: list[dict[str, Any]] = []
    for name, path in known_scenarios().items():
        planned = read_scenario(path)
        rows.append(
            {
                "scenario": name,
                "minutes": planned.duration_s / _S_PER_MIN,
                "faults": sum(plan.count for plan in planned.faults),
                "what": planned.description,
            }
        )
    show(terminal(), rows, every_field(rows), output)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.0 < speed < float("inf"):
        raise ConfigurationError(f"--speed {text}: expected max, or a number above 0")
    return speed


@contextmanager
def _bar(console: Console, name: str, steps: int) -> Iterator[Any]:
    """Yields what advances the bar by one step; draws nothing where nobody looks."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=steps)
        yield lambda: progress.advance(task)
