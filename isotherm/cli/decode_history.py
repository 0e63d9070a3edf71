"""Blocks of history and exported files, for a person: what the database holds, and what left it."""

from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from controller.history.block import Form, decode_count, decode_gauge, shape_of
from fleet.errors import MalformedMessageError
from fleet.frame import MISSING_COUNT

PARQUET_MAGIC: Final = b"PAR1"
ARROW_MAGIC: Final = b"ARROW1"
_FORMS: Final = bytes(form.value for form in Form)
_MOST_CELLS: Final = 1_000_000
"""Of one block as text; a minute of an UltraServer's chips has 8,640."""


def looks_like_block(data: bytes) -> bool:
    """No message of the bus begins so."""
    return data[:1] != b"" and data[0] in _FORMS


def is_export(data: bytes) -> bool:
    return data.startswith((PARQUET_MAGIC, ARROW_MAGIC))


def block_values(data: bytes) -> NDArray[Any]:
    """(rows, ticks), float32 or uint64; MalformedMessageError when it is no block of history."""
    rows, ticks = shape_of(data)
    if rows * ticks > _MOST_CELLS:
        raise MalformedMessageError(f"history block: {rows} x {ticks} values are not shown")
    try:
        try:
            return decode_gauge(data)
        except MalformedMessageError:
            return decode_count(data)
    except (ValueError, TypeError) as error:
        raise MalformedMessageError(f"history block: {error}") from error


def block_document(data: bytes) -> dict[str, Any]:
    values = block_values(data)
    return {
        "kind": "history_block",
        "form": Form(data[0]).name.lower(),
        "rows": values.shape[0],
        "ticks": values.shape[1],
        "values": [_plain(row) for row in values],
    }


def block_table(data: bytes, number: int) -> Any:
    """A pyarrow table, one row a value: `block`, `row`, `tick`, and `value` or `exact`."""
    import pyarrow as pa  # noqa: PLC0415

    values = block_values(data)
    rows, ticks = np.indices(values.shape).reshape(2, -1)
    flat = values.reshape(-1)
    exact = flat.dtype == np.uint64
    said = pa.array(flat, mask=flat == MISSING_COUNT if exact else np.isnan(flat))
    columns = {
        "block": pa.array(np.full(len(flat), number)),
        "row": pa.array(rows),
        "tick": pa.array(ticks),
        "value": pa.nulls(len(flat), pa.float32()) if exact else said,
        "exact": said if exact else pa.nulls(len(flat), pa.uint64()),
    }
    return pa.table(columns)


def export_table(data: bytes) -> Any:
    """All rows; MalformedMessageError when the file is damaged."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import ipc, parquet  # noqa: PLC0415

    try:
        if data.startswith(PARQUET_MAGIC):
            return parquet.read_table(pa.BufferReader(data))
        return ipc.open_file(pa.BufferReader(data)).read_all()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise MalformedMessageError(f"not a whole exported file: {error}") from error


def export_document(data: bytes, rows_shown: int) -> dict[str, Any]:
    """The first rows, with what the file says of them; times are `at_unix_ns`."""
    import pyarrow as pa  # noqa: PLC0415

    table = export_table(data)
    said = (table.schema.metadata or {}).get(b"isotherm", b"{}")
    try:
        about = msgspec.json.decode(said, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise MalformedMessageError(f"not an exported file: {error}") from error
    first = table.slice(0, rows_shown)
    columns = {}
    for name in first.column_names:
        column = first.column(name)
        # Python's own times end at microseconds.
        timed = pa.types.is_timestamp(column.type)
        whole = column.cast(pa.int64()) if timed else column
        columns[f"{name}_unix_ns" if timed else name] = whole.to_pylist()
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return {"kind": "export", **about, "rows_in_all": table.num_rows, "rows": rows}


def _plain(row: NDArray[Any]) -> list[float | int | None]:
    if row.dtype == np.uint64:
        return [None if value == MISSING_COUNT else value for value in row.tolist()]
    return [None if not np.isfinite(value) else round(float(value), 6) for value in row]
