"""`isotherm`: the one command of the house."""

import gc
import sys
from typing import Final

import typer

from fleet.errors import ConfigurationError, IsothermError
from isotherm.cli.deferred import Deferred, deferring
from isotherm.cli.loops import explain, loop
from isotherm.cli.people import app as people
from isotherm.logs import log_lines

COMMANDS: Final = (
    Deferred(
        "up",
        "isotherm.up.command:up",
        "Start emulator, agents, controller, API and dashboard; Ctrl-C stops all.",
    ),
    Deferred(
        "history",
        "isotherm.cli.history:history",
        "What was measured at a place, the last hour unless told otherwise.",
    ),
    Deferred(
        "export",
        "isotherm.cli.export:export",
        "Write what was measured into files: the last hour unless told otherwise.",
    ),
    Deferred(
        "replay",
        "isotherm.cli.replay:replay_decisions",
        "Take recorded cooling decisions again, and say whether the same bytes come out.",
    ),
    Deferred(
        "decode",
        "isotherm.cli.messages:decode_command",
        "Print a message as JSON; or write telemetry as Arrow.",
    ),
    Deferred(
        "bench", "isotherm.cli.bench:bench", "Measure; exit code 1 when a case misses its target."
    ),
    Deferred(
        "grant",
        "isotherm.cli.brokers:grant_command",
        "Make the topics, and let a user of the brokers do what its role needs, no more.",
    ),
    Deferred(
        "emulator",
        "isotherm.cli.emulator:app",
        "An emulated hall: serve its devices, run scenarios, break things.",
    ),
    Deferred(
        "agent",
        "agent.__main__:agent",
        "Read the devices of a sled or CDU, publish what they say, and carry out commands.",
    ),
    Deferred(
        "controller",
        "controller.__main__:run",
        "Cool, watch and place: the controller of a hall.",
    ),
    Deferred("api", "api.__main__:run", "Serve the API and the dashboard until SIGTERM or Ctrl-C."),
)
app = typer.Typer(
    cls=deferring(COMMANDS),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Telemetry, placement and cooling of an accelerator fleet, as one loop.",
)
app.add_typer(people)
app.add_typer(loop, name="loop")
app.add_typer(explain, name="explain")


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
    finally:
        # The process ends: what is left need not be searched for cycles, which takes a second.
        gc.freeze()


if __name__ == "__main__":
    main()
