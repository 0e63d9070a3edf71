"""`isotherm decode`: look into any message of the bus."""

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from fleet.bus import Start
from fleet.bus_kafka import KafkaBus
from fleet.errors import ConfigurationError, MalformedMessageError
from fleet.frame import decode_schema, schema_id
from fleet.kafka_options import read_kafka_options
from fleet.topics import SCHEMAS, TOPICS
from isotherm.cli.decode import built_in_schemas, decode
from isotherm.cli.output import show_json, terminal

console = terminal()
QUIET_S = 2.0


def decode_command(
    file: Annotated[str, typer.Argument(help="A file with one message, or - for input.")] = "",
    schema: Annotated[
        list[Path] | None, typer.Option(help="A schema document; may be given again.")
    ] = None,
    kafka: Annotated[str, typer.Option(help="HOST:PORT of a broker to read from instead.")] = "",
    topic: Annotated[
        str, typer.Option(help=", ".join(one.name.partition(".")[2] for one in TOPICS))
    ] = "telemetry",
    count: Annotated[int, typer.Option(min=1, help="How many messages to read.")] = 1,
) -> None:
    """Print a message as JSON: telemetry, command, acknowledgement, event or schema."""
    schemas = built_in_schemas()
    for path in schema or []:
        document = read(path)
        schemas[schema_id(document)] = decode_schema(document)
    if kafka:
        for value in from_kafka(kafka, topic, count):
            show_json(console, decode(value, schemas))
        return
    if not file:
        raise ConfigurationError("give a FILE (or - for input), or --kafka HOST:PORT")
    show_json(console, decode(read(Path(file)), schemas))


def read(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error


def from_kafka(bootstrap: str, name: str, count: int) -> Iterator[bytes]:
    wanted = next((one for one in TOPICS if one.name.partition(".")[2] == name), None)
    if wanted is None:
        raise ConfigurationError(f"there is no topic {name!r}")
    start = Start.BEGINNING if wanted is SCHEMAS else Start.END
    with closing(KafkaBus(read_kafka_options(bootstrap), [wanted])) as bus:
        reader = bus.reader(wanted, start=start)
        found = 0
        with closing(reader):
            while found < count:
                records = reader.poll(QUIET_S, count - found)
                if not records:
                    raise MalformedMessageError(f"{name}: no message within {QUIET_S:g} s")
                found += len(records)
                yield from (record.value for record in records)
