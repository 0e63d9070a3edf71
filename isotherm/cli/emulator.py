"""`isotherm emulator`: run the emulated world, break things in it, change its load."""

from typing import Annotated, Any

import typer

from emulator.__main__ import app as role
from emulator.app_server import DEFAULT_PORT
from emulator.faults.catalogue import FaultSpec, catalogue, fault_kind
from emulator.faults.kinds import CourseKind, FaultKind
from emulator.faults.site import PLACES
from fleet.errors import ConfigurationError
from isotherm.cli import scenario
from isotherm.cli.output import Format, every_field, show, terminal
from isotherm.world import ask

app = typer.Typer(
    no_args_is_help=True,
    help="An emulated hall: serve its devices, run scenarios, break things.",
)
app.command()(scenario.run)
app.command()(scenario.scenarios)
app.add_typer(role)
console = terminal()
Emulator = Annotated[
    str, typer.Option("--emulator", envvar="ISOTHERM_EMULATOR", help="Address of the emulator.")
]
Output = Annotated[Format, typer.Option("-o", "--output")]
HERE = f"http://127.0.0.1:{DEFAULT_PORT}"


@app.command()
def inject(
    fault: Annotated[str, typer.Argument(help="See `emulator faults`.")],
    place: Annotated[str, typer.Option(help="What breaks; `emulator faults FAULT` says how.")],
    emulator: Emulator = HERE,
    severity: Annotated[
        str | None, typer.Option(help="A number or a preset's name. None: the fault's default.")
    ] = None,
    start_s: Annotated[float, typer.Option(help="From now.")] = 0.0,
    duration_s: Annotated[float | None, typer.Option(help="None: until mended.")] = None,
    course: Annotated[
        CourseKind | None, typer.Option(help="How it grows; none: the fault's own.")
    ] = None,
    over_s: Annotated[
        float | None, typer.Option(help="Until it is fully there, by ramp or wear.")
    ] = None,
) -> None:
    """Break something in a running world."""
    kind = fault_kind(fault)
    body: dict[str, Any] = {"kind": kind, "place": place, "severity": _strength(kind, severity)}
    body |= {"start_s": start_s, "duration_s": duration_s, "course": course, "over_s": over_s}
    ask(
        emulator,
        "POST",
        "/faults",
        {key: value for key, value in body.items() if value is not None},
    )
    console.print(f"{kind.value} at {place}", highlight=False)


def _strength(kind: FaultKind, text: str | None) -> float | None:
    """Of a number or a preset; ConfigurationError names what there is."""
    presets = catalogue()[kind].presets
    if text is None or text in presets:
        return None if text is None else presets[text]
    try:
        return float(text)
    except ValueError:
        known = ", ".join([*presets, "a number"])
        raise ConfigurationError(f"--severity {text}: expected one of {known}") from None


@app.command()
def mend(
    fault: Annotated[str, typer.Argument()],
    place: Annotated[str, typer.Option()],
    emulator: Emulator = HERE,
) -> None:
    """Take a fault back."""
    kind = fault_kind(fault)
    ask(emulator, "DELETE", f"/faults/{kind.value}/{place.replace('#', '%23')}", None)
    console.print(f"{kind.value} at {place} is gone", highlight=False)


@app.command()
def broken(emulator: Emulator = HERE, output: Output = Format.TABLE) -> None:
    """What is broken in a running world."""
    items = ask(emulator, "GET", "/faults", None)["items"]
    show(console, items, every_field(items), output)


@app.command()
def load(
    ratio: Annotated[float, typer.Argument(help="Of what the running replicas can serve.")],
    emulator: Emulator = HERE,
) -> None:
    """Set how much the emulated users ask for."""
    ask(emulator, "PUT", "/load", {"load_ratio": ratio})
    console.print(f"load {ratio:g}")


@app.command()
def faults(
    fault: Annotated[str | None, typer.Argument(help="Explain this one.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """What can be broken, how badly, and how it shows."""
    if fault is None:
        rows = [_row(name, spec) for name, spec in catalogue().items()]
        show(console, rows, every_field(rows), output)
        return
    kind = fault_kind(fault)
    details = _details(kind, catalogue()[kind])
    if output is Format.JSON:
        show(console, [details], every_field([details]), output)
        return
    for name, text in details.items():
        console.print(f"[bold]{name:9}[/bold] {text}", highlight=False)


def _row(kind: FaultKind, spec: FaultSpec) -> dict[str, Any]:
    return {
        "fault": kind.value,
        "place": spec.place.value,
        "severity": _span(spec),
        "unit": spec.unit,
        "default": spec.default,
        "what": spec.what,
    }


def _span(spec: FaultSpec) -> str:
    return "-" if spec.all_or_nothing else f"{spec.low:g} to {spec.high:g}"


def _details(kind: FaultKind, spec: FaultSpec) -> dict[str, str]:
    presets = ", ".join(f"{name} {value:g}" for name, value in spec.presets.items())
    span = f"{_span(spec)} {spec.unit}, {spec.default:g} unless told otherwise"
    return {
        "fault": kind.value,
        "what": spec.what,
        "place": f"{spec.place.value}: {PLACES[spec.place]}",
        "severity": "there or not" if spec.all_or_nothing else span,
        "presets": presets or "none",
        "course": spec.course.kind.value,
        "shows": spec.shows,
        "remedy": spec.remedy,
        "source": spec.source,
    }
