"""`isotherm decode`: look into any message of the bus."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from fleet.bus import Start
from fleet.bus_kafka import KafkaBus
from fleet.errors import ConfigurationError, MalformedMessageError
from fleet.frame import Schema, decode_schema, schema_id
from fleet.kafka_options import read_kafka_options
from fleet.topics import SCHEMAS, TOPICS
from isotherm.cli.decode import ROWS_SHOWN, arrow_table, built_in_schemas, decode
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
    arrow: Annotated[
        Path | None, typer.Option(help="Write all of it there as an Arrow file instead.")
    ] = None,
) -> None:
    """Print a message as JSON: telemetry, command, acknowledgement, event, schema, live view or
    dead letter, or a block of history or an exported file; or write any of them as Arrow.
    """
    schemas = built_in_schemas()
    for path in schema or []:
        document = read(path)
        schemas[schema_id(document)] = decode_schema(document)
    if not kafka and not file:
        raise ConfigurationError("give a FILE (or - for input), or --kafka HOST:PORT")
    messages = from_kafka(kafka, topic, count) if kafka else iter([read(Path(file))])
    if arrow is not None:
        write_arrow(arrow, list(messages), schemas)
        return
    for value in messages:
        show_json(console, decode(value, schemas, rows_shown=max(count, ROWS_SHOWN)))


def write_arrow(path: Path, messages: Sequence[bytes], schemas: Mapping[str, Schema]) -> None:
    """An Arrow IPC file, which pandas, polars and DuckDB read."""
    # Heavy, and wanted by few.
    from pyarrow import feather  # noqa: PLC0415

    table = arrow_table(messages, schemas)
    try:
        feather.write_feather(table, str(path), compression="lz4")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from error


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
