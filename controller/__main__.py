"""`isotherm-controller`: one controller on a real bus and a real database."""

import os
import secrets
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

import structlog
import typer

from controller.cooling.settings import LAW_VARIABLE, LawName
from controller.enrolment.settings import EnrolmentSettings, read_enrolment
from controller.notify.deliver import DeliverySettings
from controller.options import ControllerOptions
from controller.remote_write.settings import read_remote_write
from controller.runtime import ControllerRuntime
from controller.store import Store
from fleet.bus_kafka import KafkaBus
from fleet.clock import SystemClock
from fleet.errors import BusError, ConfigurationError, StoreError
from fleet.hall import fleet_of
from fleet.kafka_options import read_kafka_options

CYCLE_S: Final = 1.5
"""The database may hold a control cycle for so long, once; then cooling goes on without it."""
BULK_S: Final = 30.0
"""What is no part of a cycle may take so long: history, timed chores, deliveries."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _decisions_dir() -> Path | None:
    """Where cooling decisions are kept for `isotherm replay`, if anywhere."""
    named = os.environ.get("ISOTHERM_DECISIONS", "")
    return Path(named) if named else None


def _law() -> LawName | None:
    """What moves the cooling loops, if somebody has chosen."""
    named = os.environ.get(LAW_VARIABLE, "")
    if named and named not in set(LawName):
        raise ConfigurationError(f"{LAW_VARIABLE}: {named!r} is none of {', '.join(LawName)}")
    return LawName(named) if named else None


@app.command()
def run(  # noqa: PLR0913, PLR0917 - the options of a command
    kafka: Annotated[
        str, typer.Option(envvar="ISOTHERM_KAFKA", help="Brokers, HOST:PORT[,HOST:PORT...].")
    ],
    database: Annotated[
        str,
        typer.Option(
            envvar="ISOTHERM_DATABASE",
            show_envvar=True,
            help="postgresql://USER:PASSWORD@HOST:PORT/NAME or sqlite:///FILE.",
        ),
    ],
    ultraservers: Annotated[int, typer.Option(min=1, help="UltraServers of each loop.")] = 2,
    loops: Annotated[int, typer.Option(min=1, help="Cooling loops of the fleet.")] = 1,
    hall: Annotated[
        Path | None, typer.Option(help="JSON of a hall, in place of --loops and --ultraservers.")
    ] = None,
    supply_c: Annotated[float, typer.Option(help="Set-point of the coolant supply.")] = 40.0,
    external_url: Annotated[
        str, typer.Option(help="Address of the web page, for links in notifications.")
    ] = "http://127.0.0.1:8080",
    enrolment: Annotated[
        Path | None,
        typer.Option(help="YAML of the inventory, the firmware and the roots to trust."),
    ] = None,
    allow_private_receivers: Annotated[
        bool, typer.Option(help="Let webhooks go to addresses of the own network.")
    ] = False,
) -> None:
    """Cool, watch and place: the controller of a hall."""
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    try:
        fleet_map = fleet_of(hall, loops=loops, ultraservers=ultraservers)
        options = ControllerOptions(
            holder=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}",
            supply_c=supply_c,
            law=_law(),
            reset_supply=os.environ.get("ISOTHERM_RESET_SUPPLY") == "1",
            external_url=external_url,
            decisions_dir=_decisions_dir(),
            enrolment=read_enrolment(enrolment) if enrolment else EnrolmentSettings(),
            delivery=DeliverySettings(allow_private_receivers=allow_private_receivers),
            remote_write=read_remote_write(),
        )
        options.validate(fleet_map)
        bulk = Store(database, patience_s=BULK_S)
        store = bulk.beside(CYCLE_S)
        bus = KafkaBus(read_kafka_options(kafka))
        runtime = ControllerRuntime(options, fleet_map, bus, store, SystemClock(), bulk=bulk)
    except (ConfigurationError, StoreError, BusError) as error:
        typer.echo(f"isotherm-controller: {error}", err=True)
        raise typer.Exit(2) from None
    runtime.start()
    stop.wait()
    runtime.stop()
    bus.close()
    store.close()
    bulk.close()


def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    app()


if __name__ == "__main__":
    main()
