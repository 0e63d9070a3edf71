import math

from fleet.frame import MISSING_COUNT, Frame, Schema


def frame_document(schema: Schema, frame: Frame) -> dict[str, object]:
    """A frame for people: metric -> value, or a list where it has parts; null where absent."""
    values: dict[str, list[float | int | None]] = {}
    for column, value in zip(schema.columns, frame.values[-1].tolist(), strict=True):
        values.setdefault(column.metric, []).append(None if math.isnan(value) else value)
    for column, count in zip(schema.counters, frame.counters[-1].tolist(), strict=True):
        values.setdefault(column.metric, []).append(None if count == MISSING_COUNT else count)
    return {
        "agent": frame.agent,
        "at_unix_ns": frame.t0_unix_ns,
        "values": {name: row[0] if len(row) == 1 else row for name, row in values.items()},
    }
