"""`isotherm replay`: recorded decisions taken again, byte for byte."""

from pathlib import Path
from typing import Annotated

import typer

from controller.cooling.decision import replay
from controller.decisions import read_decisions
from isotherm.cli.output import terminal

_SHOWN = 5


def replay_decisions(
    path: Annotated[Path, typer.Argument(help="A file of decisions, or the folder of them.")],
) -> None:
    """Take recorded cooling decisions again, and say whether the same bytes come out."""
    taken = differ = 0
    first_ns = last_ns = 0
    console = terminal()
    for one in replay(read_decisions(path)):
        taken += 1
        last_ns = one.decision.at_unix_ns
        first_ns = first_ns or last_ns
        if not one.same:
            differ += 1
            if differ <= _SHOWN:
                console.print(f"differs: {one.decision.loop} at {last_ns}, {one.decision.cause}")
    span_s = (last_ns - first_ns) / 1e9
    console.print(f"{taken} decisions over {span_s:.0f} s, {taken - differ} the same, {differ} not")
    if differ or not taken:
        raise typer.Exit(1)
