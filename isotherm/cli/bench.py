"""`isotherm bench SUITE`."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from controller.cooling.settings import LawName
from fleet.errors import ConfigurationError
from isotherm.bench.cooling import suite as cooling
from isotherm.bench.registry import SUITES
from isotherm.bench.report import print_table, to_json
from isotherm.cli.output import terminal

DEFAULT_SEED = 20_260_101


def bench(
    suite: Annotated[str, typer.Argument(help=", ".join(SUITES))],
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rounds, for a first look.")] = False,
    case: Annotated[
        list[str] | None, typer.Option("--case", help="Only this one; may be given again.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = DEFAULT_SEED,
    controller: Annotated[
        list[str] | None,
        typer.Option("--controller", help="cooling: pi, bmc, ff, mpc (again for more), or all."),
    ] = None,
    plants: Annotated[int, typer.Option(min=1, help="cooling: random plants of C19.")] = 200,
    report_dir: Annotated[
        Path | None,
        typer.Option("--report", help="cooling: write figures, traces and a page here."),
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the report here; - for output.")
    ] = None,
) -> None:
    """Measure; exit code 1 when a case misses its target."""
    if suite not in SUITES:
        raise ConfigurationError(f"there is no suite {suite!r}; there are: {', '.join(SUITES)}")
    runs = SUITES[suite]
    choice = _choice(suite, controller, plants, report_dir)
    if choice is not None:
        runs = cooling.cases(choice)
    unknown = sorted(set(case or ()) - SUITES[suite].keys())
    if unknown:
        raise ConfigurationError(
            f"suite {suite} has no case {', '.join(unknown)}; it has: {', '.join(SUITES[suite])}"
        )
    cases = [run(quick, seed) for name, run in runs.items() if not case or name in case]
    if choice is not None:
        cooling.finish(choice)
    report = to_json(suite, cases)
    if json is not None and str(json) == "-":
        typer.echo(report.decode(), nl=False)
    else:
        print_table(terminal(), suite, cases)
        if json is not None:
            json.write_bytes(report)
    if not all(case.passed for case in cases):
        raise typer.Exit(1)


def _choice(
    suite: str, controller: list[str] | None, plants: int, report_dir: Path | None
) -> cooling.Choice | None:
    """What only the cooling suite can be told; None for another suite."""
    if suite != "cooling":
        if controller or report_dir is not None:
            raise ConfigurationError(
                "--controller and --report are for the cooling suite: isotherm bench cooling"
            )
        return None
    try:
        laws = cooling.laws_named(controller or ["all"])
    except ValueError:
        raise ConfigurationError(
            f"there is no controller {', '.join(controller or ())!r}; there are: all, "
            + ", ".join(LawName)
        ) from None
    return cooling.Choice(
        laws=laws, plants=plants, report=report_dir, told=partial(typer.echo, err=True)
    )
