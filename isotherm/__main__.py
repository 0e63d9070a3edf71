"""`isotherm`: the one command of the house."""

import sys

import typer

from agent.__main__ import agent
from api.__main__ import run as api
from controller.__main__ import run as controller
from fleet.errors import ConfigurationError, IsothermError
from isotherm.cli.bench import bench
from isotherm.cli.brokers import grant_command
from isotherm.cli.emulator import app as emulator
from isotherm.cli.export import export
from isotherm.cli.history import history
from isotherm.cli.loops import explain, loop
from isotherm.cli.messages import decode_command
from isotherm.cli.people import app as people
from isotherm.cli.replay import replay_decisions
from isotherm.logs import log_lines
from isotherm.up.command import up

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Telemetry, placement and cooling of an accelerator fleet, as one loop.",
)
app.command()(up)
app.add_typer(people)
app.add_typer(loop, name="loop")
app.add_typer(explain, name="explain")
app.command()(history)
app.command()(export)
app.command("replay")(replay_decisions)
app.command("decode")(decode_command)
app.command()(bench)
app.command("grant")(grant_command)
app.add_typer(emulator, name="emulator")
app.command("agent")(agent)
app.command("controller")(controller)
app.command("api")(api)


def with_json_value(arguments: list[str]) -> list[str]:
    """`--json` without a file means standard output; the parser knows no optional values."""
    spelled: list[str] = []
    for place, argument in enumerate(arguments):
        spelled.append(argument)
        following = arguments[place + 1 : place + 2]
        if argument == "--json" and (not following or following[0].startswith("--")):
            spelled.append("-")
    return spelled


def main() -> None:
    log_lines(sys.stderr)
    try:
        app(with_json_value(sys.argv[1:]))
    except ConfigurationError as error:
        typer.echo(f"isotherm: {error}", err=True)
        sys.exit(2)
    except IsothermError as error:
        typer.echo(f"isotherm: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
