"""Any message of the bus as JSON, for a person."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np

from fleet.codec import MAGIC, decode_message
from fleet.commands import decode_ack, decode_command
from fleet.errors import MalformedMessageError
from fleet.events import decode_event
from fleet.frame import (
    MISSING_COUNT,
    Frame,
    Schema,
    cdu_schema,
    decode_schema,
    schema_id,
    sled_schema,
)


def built_in_schemas() -> dict[str, Schema]:
    """The schemas that this build's own agents use."""
    schemas = [sled_schema(chips) for chips in (1, 2, 4, 16)]
    schemas += [cdu_schema(pumps) for pumps in range(1, 5)]
    return {schema.id: schema for schema in schemas}


def decode(data: bytes, schemas: Mapping[str, Schema]) -> dict[str, Any]:
    """Raises MalformedMessageError when the bytes are of no known kind."""
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
    )
    for kind, reader in kinds:
        try:
            return {"kind": kind, kind: msgspec.to_builtins(reader(data))}
        except MalformedMessageError:
            continue
    try:
        schema = decode_schema(data)
    except MalformedMessageError:
        raise MalformedMessageError(
            f"{len(data)} bytes that are neither telemetry, command, acknowledgement, event "
            "nor schema"
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
