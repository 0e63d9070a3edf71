"""Where exported rows go: one file, or a folder of them by hour and metric. Nobody sees half a
file: each is written beside its place and moved there when it is whole.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import pyarrow as pa
from pyarrow import ipc, parquet

from fleet.clock import NS_PER_S
from fleet.errors import ConfigurationError


class FileFormat(StrEnum):
    PARQUET = "parquet"  # small; for storage, and what reads only some columns
    ARROW = "arrow"  # Arrow IPC; mapped into memory as it is


class PartitionKey(StrEnum):
    HOUR = "hour"  # date=2026-01-31/hour=08
    METRIC = "metric"  # metric=junction_c


_HOUR_NS: Final = 3600 * NS_PER_S
_PART: Final = "part-0"


class Sink(Protocol):
    """Takes tables in the order of their time."""

    def write(self, table: pa.Table, *, metric: str, at_unix_ns: int) -> None:
        """Rows of one metric within one hour."""

    def finish(self) -> None:
        """Put everything in its place."""

    def abandon(self) -> None:
        """Leave nothing that is not whole."""


def open_sink(
    path: Path, file_format: FileFormat, schema: pa.Schema, by: Sequence[PartitionKey]
) -> Sink:
    """ConfigurationError when nothing can be written there."""
    if by:
        return _Folder(path, file_format, schema, by)
    if path.is_dir():
        raise ConfigurationError(
            f"{path} is a folder; name a file, or say by what it is to be partitioned (--by)"
        )
    return _OneFile(path, file_format, schema)


def format_of(path: Path, wanted: FileFormat | None) -> FileFormat:
    """As the name ends, unless told."""
    if wanted is not None:
        return wanted
    endings = {f".{one.value}": one for one in FileFormat} | {".feather": FileFormat.ARROW}
    try:
        return endings[path.suffix]
    except KeyError:
        raise ConfigurationError(
            f"{path}: end the name in {' or '.join(endings)}, or say --format"
        ) from None


class _Whole:
    """One file that appears when it is whole; each table becomes a row group or record batch."""

    def __init__(self, path: Path, file_format: FileFormat, schema: pa.Schema) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        self._schema = _written_as(file_format, schema)
        with _readable(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = self._partial.open("wb")
            self._writer = _writer(file_format, self._file, self._schema)

    def write(self, table: pa.Table) -> None:
        with _readable(self._path):
            self._writer.write_table(table.cast(self._schema))

    def finish(self) -> None:
        with _readable(self._path):
            self._writer.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._partial.replace(self._path)

    def abandon(self) -> None:
        # The writer would end its file when it is forgotten; the disk may be full by now.
        with suppress(OSError, pa.ArrowException):
            self._writer.close()
        with suppress(OSError):
            self._file.close()
        self._partial.unlink(missing_ok=True)


class _OneFile:
    def __init__(self, path: Path, file_format: FileFormat, schema: pa.Schema) -> None:
        self._whole = _Whole(path, file_format, schema)

    def write(self, table: pa.Table, *, metric: str, at_unix_ns: int) -> None:  # noqa: ARG002
        self._whole.write(table)

    def finish(self) -> None:
        self._whole.finish()

    def abandon(self) -> None:
        self._whole.abandon()


class _Folder:
    """A file of the same hour and metric that was there before is replaced."""

    def __init__(
        self, path: Path, file_format: FileFormat, schema: pa.Schema, by: Sequence[PartitionKey]
    ) -> None:
        if path.exists() and not path.is_dir():
            raise ConfigurationError(f"{path} is a file; a partitioned export needs a folder")
        with _readable(path):
            path.mkdir(parents=True, exist_ok=True)
            probe = path / f".{os.getpid()}.partial"
            probe.touch()
            probe.unlink()
        self._path = path
        self._format = file_format
        self._schema = schema
        self._by = frozenset(by)
        self._open: dict[tuple[int, str], _Whole] = {}

    def write(self, table: pa.Table, *, metric: str, at_unix_ns: int) -> None:
        hour = at_unix_ns // _HOUR_NS if PartitionKey.HOUR in self._by else 0
        self._finish([key for key in self._open if key[0] < hour])
        if PartitionKey.METRIC in self._by:
            table = table.drop_columns(["metric"])  # the folder's name says it
        key = (hour, metric if PartitionKey.METRIC in self._by else "")
        if key not in self._open:
            place = self._path.joinpath(*self._folders(*key))
            file = place / f"{_PART}.{self._format.value}"
            self._open[key] = _Whole(file, self._format, table.schema)
        self._open[key].write(table)

    def finish(self) -> None:
        self._finish(list(self._open))

    def abandon(self) -> None:
        while self._open:
            self._open.popitem()[1].abandon()

    def _finish(self, keys: Iterable[tuple[int, str]]) -> None:
        for key in keys:
            self._open[key].finish()
            del self._open[key]

    def _folders(self, hour: int, metric: str) -> Iterator[str]:
        if metric:
            yield f"metric={metric}"
        if PartitionKey.HOUR in self._by:
            at = datetime.fromtimestamp(hour * 3600, UTC)
            yield f"date={at:%Y-%m-%d}"
            yield f"hour={at:%H}"


def _written_as(file_format: FileFormat, schema: pa.Schema) -> pa.Schema:
    """Parquet makes its own dictionaries, of the row group's ids alone; Arrow keeps one of all."""
    if file_format is FileFormat.ARROW:
        return schema
    for place, field in enumerate(schema):
        if pa.types.is_dictionary(field.type):
            schema = schema.set(place, field.with_type(field.type.value_type))
    return schema


def _writer(file_format: FileFormat, file: BinaryIO, schema: pa.Schema) -> Any:
    if file_format is FileFormat.ARROW:
        return ipc.new_file(file, schema, options=ipc.IpcWriteOptions(compression="lz4"))
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    return parquet.ParquetWriter(
        file,
        schema,
        compression="zstd",
        use_dictionary=[*texts, *(name for name in schema.names if name not in {"at", *texts})],
        column_encoding={"at": "DELTA_BINARY_PACKED"},
        store_schema=True,
    )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """One line for what the system says."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"{path} can not be written: {error.strerror or error}") from error
