"""Commands that reach into the emulated world: break things, change the load."""

from typing import Annotated

import typer

from emulator.__main__ import DEFAULT_PORT
from emulator.faults.catalogue import catalogue as known_faults
from emulator.faults.kinds import FaultKind
from isotherm.cli.output import Format, every_field, show, terminal
from isotherm.emulated import ask

console = terminal()
Emulator = Annotated[
    str, typer.Option("--emulator", envvar="ISOTHERM_EMULATOR", help="Address of the emulator.")
]
HERE = f"http://127.0.0.1:{DEFAULT_PORT}"


def inject(
    kind: Annotated[FaultKind, typer.Argument()],
    place: Annotated[str, typer.Option(help="A chip, sled or CDU id; a pump is h1/cdu01#1.")],
    emulator: Emulator = HERE,
    severity: Annotated[float | None, typer.Option(help="None: the kind's default.")] = None,
) -> None:
    """Break something."""
    ask(emulator, "POST", "/faults", {"kind": kind, "place": place, "severity": severity})
    console.print(f"{kind.value} at {place}")


def mend(
    kind: Annotated[FaultKind, typer.Argument()],
    place: Annotated[str, typer.Option()],
    emulator: Emulator = HERE,
) -> None:
    """Take a fault back."""
    ask(emulator, "DELETE", f"/faults/{kind.value}/{place.replace('#', '%23')}", None)
    console.print(f"{kind.value} at {place} is gone")


def faults(
    emulator: Emulator = HERE,
    catalogue: Annotated[
        bool, typer.Option("--catalogue", help="What can be broken, and how badly.")
    ] = False,
    output: Annotated[Format, typer.Option("-o", "--output")] = Format.TABLE,
) -> None:
    """What is broken now."""
    if not catalogue:
        items = ask(emulator, "GET", "/faults", None)["items"]
        show(console, items, every_field(items), output)
        return
    rows = [
        {
            "kind": kind.value,
            "strikes": spec.place.value,
            "severity": f"{spec.low:g} to {spec.high:g}",
            "unit": spec.unit,
            "default": spec.default,
        }
        for kind, spec in known_faults().items()
    ]
    show(console, rows, every_field(rows), output)


def load(
    ratio: Annotated[float, typer.Argument(help="Of what the running replicas can serve.")],
    emulator: Emulator = HERE,
) -> None:
    """Set how much the emulated users ask for."""
    ask(emulator, "PUT", "/load", {"load_ratio": ratio})
    console.print(f"load {ratio:g}")
