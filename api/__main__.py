"""`isotherm-api`: the API and the dashboard as one process."""

import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import structlog
import typer

from api.app import create_app
from api.options import ApiOptions
from api.server import ApiServer
from controller.store import Store
from fleet.bus_kafka import KafkaBus
from fleet.clock import SystemClock
from fleet.errors import IsothermError
from fleet.hall import fleet_of
from fleet.kafka_admin import Role, topics_of
from fleet.kafka_options import KafkaOptions, read_kafka_options
from fleet.topology import FleetMap

_log = structlog.get_logger("api")


def run(  # noqa: PLR0913, PLR0917 - the options of a command
    kafka: Annotated[str, typer.Option(help="Kafka brokers, HOST:PORT[,HOST:PORT...].")],
    database: Annotated[
        str,
        typer.Option(
            envvar="ISOTHERM_DATABASE",
            show_envvar=True,
            help="sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/NAME.",
        ),
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8080,
    ultraservers: Annotated[int, typer.Option(min=1, help="UltraServers on each loop.")] = 2,
    loops: Annotated[int, typer.Option(min=1, help="Cooling loops of the hall.")] = 1,
    hall: Annotated[
        Path | None, typer.Option(help="JSON of a hall, in place of --loops and --ultraservers.")
    ] = None,
    allow_remote: Annotated[
        bool,
        typer.Option(
            "--allow-remote",
            help="Listen on other addresses than loopback. There is no log-in: whoever reaches "
            "the port may cordon sleds and cancel jobs.",
        ),
    ] = False,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(help="Another name of this server that browsers may use; repeatable."),
    ] = None,
) -> None:
    """Serve the API and the dashboard until SIGTERM or Ctrl-C."""
    options = ApiOptions(
        host=host,
        port=port,
        allow_remote=allow_remote,
        allowed_hosts=tuple(allowed_host or ()),
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        options.validate()
        fleet_map = fleet_of(hall, loops=loops, ultraservers=ultraservers)
        serve(options, fleet_map, kafka=read_kafka_options(kafka), database=database, stop=stop)
    except IsothermError as error:
        typer.echo(f"isotherm-api: {error}", err=True)
        raise typer.Exit(2) from None


def serve(
    options: ApiOptions,
    fleet_map: FleetMap,
    *,
    kafka: KafkaOptions,
    database: str,
    stop: threading.Event,
) -> None:
    """Open bus and store, answer until `stop` is set, close all."""
    store = Store(database)
    try:
        bus = KafkaBus(kafka, topics_of(Role.API))
        try:
            server = ApiServer(create_app(options, fleet_map, store, bus, SystemClock()), options)
            server.start()
            _log.info("the API answers", url=server.url)
            stop.wait()
            server.stop()
        finally:
            bus.close()
    finally:
        store.close()


def main() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            # Tracebacks without local variables: those may hold a webhook's secret.
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    typer.run(run)


if __name__ == "__main__":
    main()
