"""`isotherm bench SUITE`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fleet.errors import ConfigurationError
from isotherm.bench.registry import SUITES
from isotherm.bench.report import print_table, to_json

DEFAULT_SEED = 20_260_101


def bench(
    suite: Annotated[str, typer.Argument(help=", ".join(SUITES))],
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rounds, for a first look.")] = False,
    case: Annotated[
        list[str] | None, typer.Option("--case", help="Only this one; may be given again.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = DEFAULT_SEED,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the report here; - for output.")
    ] = None,
) -> None:
    """Measure; exit code 1 when a case misses its target."""
    if suite not in SUITES:
        raise ConfigurationError(f"there is no suite {suite!r}; there are: {', '.join(SUITES)}")
    unknown = sorted(set(case or ()) - SUITES[suite].keys())
    if unknown:
        raise ConfigurationError(
            f"suite {suite} has no case {', '.join(unknown)}; it has: {', '.join(SUITES[suite])}"
        )
    cases = [run(quick, seed) for name, run in SUITES[suite].items() if not case or name in case]
    report = to_json(suite, cases)
    if json is not None and str(json) == "-":
        typer.echo(report.decode(), nl=False)
    else:
        print_table(Console(), suite, cases)
        if json is not None:
            json.write_bytes(report)
    if not all(case.passed for case in cases):
        raise typer.Exit(1)
