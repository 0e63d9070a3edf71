"""Any message of the bus, block of history or exported file as JSON or Arrow, for a person."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from controller.ingest.dead_letter import DeadLetter, decode_dead_letter
from controller.views import decode_view
from fleet.codec import MAGIC, decode_message
from fleet.commands import decode_ack, decode_command
from fleet.errors import MalformedMessageError
from fleet.events import decode_event
from fleet.frame import (
    MISSING_COUNT,
    Column,
    Frame,
    Schema,
    cdu_schema,
    decode_schema,
    schema_id,
    sled_schema,
    stat_schema,
)
from isotherm.cli.decode_history import (
    block_document,
    block_table,
    export_document,
    export_table,
    is_export,
    looks_like_block,
)

ROWS_SHOWN: Final = 100
"""Of an exported file."""
_NOT_THIS: Final = (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError)


def built_in_schemas() -> dict[str, Schema]:
    """The schemas that this build's own agents use."""
    schemas = [sled_schema(chips) for chips in (1, 2, 4, 16)]
    schemas += [cdu_schema(pumps) for pumps in range(1, 5)]
    schemas += [stat_schema(schema) for schema in schemas]
    return {schema.id: schema for schema in schemas}


def decode(
    data: bytes, schemas: Mapping[str, Schema], *, rows_shown: int = ROWS_SHOWN
) -> dict[str, Any]:
    """Raises MalformedMessageError when the bytes are of no known kind."""
    if is_export(data):
        return export_document(data, rows_shown)
    if looks_like_block(data):
        return block_document(data)
    if data.startswith(MAGIC):
        message = decode_message(data)
        return {
            "kind": "telemetry",
            "loop": message.loop,
            "frames": [_frame(frame, schemas.get(frame.schema_id)) for frame in message.frames],
        }
    kinds: tuple[tuple[str, Callable[[bytes], Any]], ...] = (
        ("command", decode_command),
        ("acknowledgement", decode_ack),
        ("event", decode_event),
        ("live_view", decode_view),
    )
    for kind, reader in kinds:
        try:
            return {"kind": kind, kind: msgspec.to_builtins(reader(data))}
        except (MalformedMessageError, *_NOT_THIS):
            continue
    try:
        letter = decode_dead_letter(data)
    except _NOT_THIS:
        return _schema(data)
    return {"kind": "dead_letter", "dead_letter": _letter(letter, schemas)}


def _letter(letter: DeadLetter, schemas: Mapping[str, Schema]) -> dict[str, Any]:
    """With the message inside decoded, where it can be."""
    shown: dict[str, Any] = msgspec.to_builtins(letter)
    try:
        shown["message"] = decode(letter.value, schemas)
    except MalformedMessageError as error:
        shown["message"] = {"kind": "unknown", "error": str(error)}
    return shown


def _schema(data: bytes) -> dict[str, Any]:
    try:
        schema = decode_schema(data)
    except MalformedMessageError:
        raise MalformedMessageError(
            f"{len(data)} bytes that are neither telemetry, command, acknowledgement, event, "
            "live view, dead letter, schema, block of history nor exported file"
        ) from None
    return {"kind": "schema", "id": schema_id(data), "schema": msgspec.to_builtins(schema)}


def _frame(frame: Frame, schema: Schema | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "agent": frame.agent,
        "epoch": frame.epoch,
        "seq": frame.seq,
        "schema_id": frame.schema_id,
        "t0_unix_ns": frame.t0_unix_ns,
        "dt_ns": frame.dt_ns,
    }
    fits = schema is not None and (len(schema.columns), len(schema.counters)) == (
        frame.values.shape[1],
        frame.counters.shape[1],
    )
    if schema is None or not fits:
        # Without its schema document the columns have no names; they are never guessed.
        return shown | {"values": _floats(frame.values), "counters": frame.counters.tolist()}
    shown["ticks"] = [
        {
            f"{column.metric}[{column.part}]": value
            for column, value in (
                *zip(schema.columns, values, strict=True),
                *zip(schema.counters, counts, strict=True),
            )
        }
        for values, counts in zip(
            _floats(frame.values),
            [[None if c == MISSING_COUNT else c for c in row] for row in frame.counters.tolist()],
            strict=True,
        )
    ]
    return shown


def _floats(block: np.ndarray[Any, np.dtype[np.float32]]) -> list[list[float | None]]:
    return [
        [None if not np.isfinite(value) else round(float(value), 6) for value in row]
        for row in block
    ]


def arrow_table(messages: Sequence[bytes], schemas: Mapping[str, Schema]) -> Any:
    """A pyarrow table of messages of one kind: telemetry and blocks of history a row a value, an
    exported file as it is, anything else a row a message. MalformedMessageError when they are of
    several kinds, or of none.
    """
    import pyarrow as pa  # noqa: PLC0415

    if all(data.startswith(MAGIC) for data in messages):
        return telemetry_table(messages, schemas)
    if all(looks_like_block(data) for data in messages):
        return pa.concat_tables([block_table(data, number) for number, data in enumerate(messages)])
    if len(messages) == 1 and is_export(messages[0]):
        return export_table(messages[0])
    rows = [decode(data, schemas) for data in messages]
    kinds = sorted({row["kind"] for row in rows})
    if len(kinds) > 1:
        raise MalformedMessageError(
            f"messages of several kinds ({', '.join(kinds)}): one Arrow file holds one"
        )
    try:
        return pa.Table.from_pylist([_row(row) for row in rows])
    except pa.ArrowException as error:
        raise MalformedMessageError(f"{kinds[0]}: these do not fit one table: {error}") from error


def _row(document: dict[str, Any]) -> dict[str, Any]:
    """The message's own fields, beside each other; what is nested in them as JSON."""
    kind = document["kind"]
    fields = {key: value for key, value in document.items() if key not in {"kind", kind}}
    fields |= document.get(kind, {})
    return {
        "kind": kind,
        **{
            key: msgspec.json.encode(value).decode()
            if isinstance(value, dict | list | tuple)
            else value
            for key, value in fields.items()
        },
    }


def telemetry_table(messages: Sequence[bytes], schemas: Mapping[str, Schema]) -> Any:
    """A pyarrow table, one row a tick and value: loop, agent, epoch, seq, at_unix_ns, metric,
    part, value (float32) or exact (u64), null where nothing was read.

    MalformedMessageError where a message is no telemetry; columns without a schema document are
    named by their place.
    """
    # Heavy, and wanted by few.
    import pyarrow as pa  # noqa: PLC0415

    parts = [
        pa.table(_ticks(message.loop, frame, schemas.get(frame.schema_id)))
        for message in map(decode_message, messages)
        for frame in message.frames
    ]
    return pa.concat_tables(parts)


def _ticks(loop: str, frame: Frame, schema: Schema | None) -> dict[str, Any]:
    columns = _named(schema.columns if schema else (), frame.values.shape[1], "value")
    counters = _named(schema.counters if schema else (), frame.counters.shape[1], "count")
    names = [*columns, *counters]
    rows = frame.ticks * len(names)
    at_unix_ns = frame.t0_unix_ns + np.arange(frame.ticks, dtype=np.int64) * frame.dt_ns
    values = np.full((frame.ticks, len(names)), np.nan, np.float32)
    values[:, : len(columns)] = frame.values
    counts = np.full((frame.ticks, len(names)), MISSING_COUNT, np.uint64)
    counts[:, len(columns) :] = frame.counters
    return {
        "loop": [loop] * rows,
        "agent": [frame.agent] * rows,
        "epoch": np.full(rows, frame.epoch),
        "seq": np.full(rows, frame.seq),
        "at_unix_ns": np.repeat(at_unix_ns, len(names)),
        "metric": [column.metric for column in names] * frame.ticks,
        "part": np.tile([column.part for column in names], frame.ticks),
        "value": _nullable(values.reshape(-1), np.isnan(values.reshape(-1))),
        "exact": _nullable(counts.reshape(-1), counts.reshape(-1) == MISSING_COUNT),
    }


def _named(columns: Sequence[Column], width: int, word: str) -> Sequence[Column]:
    if len(columns) == width:
        return columns
    return [Column(word, place) for place in range(width)]


def _nullable(values: np.ndarray[Any, Any], absent: np.ndarray[Any, Any]) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    return pa.array(values, mask=absent)
