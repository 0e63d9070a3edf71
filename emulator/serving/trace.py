"""Recorded inference requests: Azure LLM 2023 CSV and Mooncake JSON lines, told by content."""

import csv
import gzip
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Annotated, BinaryIO, Final, NamedTuple, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from emulator.serving.kv_blocks import PREFIX_TOKENS
from fleet.errors import ConfigurationError

HEADER: Final = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
LONGEST_TOKENS: Final = 1_000_000
_KEPT_BAD_LINES: Final = 5
_GZIP_MAGIC: Final = b"\x1f\x8b"

Tokens = NDArray[np.int64]
Times = NDArray[np.float64]
Prefixes = tuple[tuple[int, ...], ...]

_Count = Annotated[int, msgspec.Meta(ge=1, le=LONGEST_TOKENS)]
_BlockId = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceTable:
    """A read trace. `skipped` counts bad rows; `bad_lines` are the first few of their numbers."""

    at_s: Times
    prompt_tokens: Tokens
    output_tokens: Tokens
    blocks: Prefixes = ()
    """Whole prefix blocks of each prompt; empty when the format has none."""
    skipped: int
    bad_lines: tuple[int, ...]

    def warning(self, path: Path) -> str | None:
        """One line about what was left out, or None."""
        if not self.skipped:
            return None
        lines = ", ".join(str(line) for line in self.bad_lines)
        return f"{path}: left out {self.skipped} bad rows (line {lines}{self._more()})"

    def _more(self) -> str:
        return ", ..." if self.skipped > len(self.bad_lines) else ""


class _Row(NamedTuple):
    at_s: float
    prompt_tokens: int
    output_tokens: int
    blocks: tuple[int, ...] = ()


class _MooncakeRow(msgspec.Struct, frozen=True, kw_only=True):
    timestamp: Annotated[float, msgspec.Meta(ge=0.0, le=1e15)]
    """Milliseconds."""
    input_length: _Count
    output_length: _Count
    hash_ids: tuple[_BlockId, ...]


_mooncake_decoder: Final = msgspec.json.Decoder(_MooncakeRow)


@dataclass(slots=True)
class _Rows:
    good: list[_Row] = field(default_factory=list)
    skipped: int = 0
    bad_lines: list[int] = field(default_factory=list)

    def add(self, row: _Row | None, line: int) -> None:
        """None is a bad row."""
        if row is not None:
            self.good.append(row)
            return
        self.skipped += 1
        if len(self.bad_lines) < _KEPT_BAD_LINES:
            self.bad_lines.append(line)


def read_trace(path: Path) -> TraceTable:
    """Read an Azure LLM 2023 CSV or Mooncake JSON lines, plain or gzip.

    Bad rows are left out and counted, rows out of order are sorted in. ConfigurationError when the
    file can not be read, is neither format, or has no valid row.
    """
    rows = _Rows()
    try:
        with _opened(path) as lines:
            first = lines.readline()
            both = chain([first], lines)
            if first.lstrip(b"\xef\xbb\xbf \t").startswith(b"{"):
                _read_mooncake(both, rows)
            else:
                _read_azure(path, both, rows)
    except (OSError, EOFError, csv.Error, ValueError) as error:
        # A gzip file cut short, a field longer than the parser takes: nothing of it is trusted.
        raise ConfigurationError(f"{path}: can not be read as a trace: {error}") from error
    if not rows.good:
        raise ConfigurationError(f"{path}: no valid row; {rows.skipped} bad ones")
    return _table(rows)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as probe:
        compressed = probe.read(2) == _GZIP_MAGIC
    with gzip.open(path, "rb") if compressed else path.open("rb") as lines:
        yield cast(BinaryIO, lines)


def _read_azure(path: Path, lines: Iterator[bytes], rows: _Rows) -> None:
    reader = csv.reader(_printable(lines))
    header = next(reader, [])
    if tuple(cell.strip() for cell in header) != HEADER:
        raise ConfigurationError(
            f"{path}: neither Mooncake JSON lines nor an Azure trace: the first line must be"
            f" {','.join(HEADER)}, not {header!r:.80}"
        )
    for cells in reader:
        if cells:
            rows.add(_azure(cells), reader.line_num)


def _printable(lines: Iterator[bytes]) -> Iterator[str]:
    # The csv module refuses a whole file for one NUL; as a bad cell it costs one row.
    for line in lines:
        yield line.decode("utf-8-sig", errors="replace").replace("\0", "\ufffd")


def _azure(cells: list[str]) -> _Row | None:
    try:
        stamp, prompt, output = cells
        at = datetime.fromisoformat(stamp.strip()[:26])
        tokens = int(prompt), int(output)
    except ValueError:
        return None
    if not all(1 <= count <= LONGEST_TOKENS for count in tokens):
        return None
    # Only differences count, so the clock's own zone does not matter.
    elapsed = at.replace(tzinfo=None) - datetime(1970, 1, 1)  # noqa: DTZ001 - trace time is naive
    return _Row(elapsed.total_seconds(), *tokens)


def _read_mooncake(lines: Iterator[bytes], rows: _Rows) -> None:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            rows.add(_mooncake(line.removeprefix(b"\xef\xbb\xbf")), number)


def _mooncake(line: bytes) -> _Row | None:
    try:
        row = _mooncake_decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
        return None
    if len(row.hash_ids) > math.ceil(row.input_length / PREFIX_TOKENS):
        return None
    # A block that the prompt does not fill can not be shared.
    whole = row.hash_ids[: row.input_length // PREFIX_TOKENS]
    return _Row(row.timestamp / 1e3, row.input_length, row.output_length, whole)


def _table(rows: _Rows) -> TraceTable:
    good = sorted(rows.good, key=lambda row: row.at_s)
    at = np.array([row.at_s for row in good])
    blocks = tuple(row.blocks for row in good)
    return TraceTable(
        at_s=at - at[0],
        prompt_tokens=np.array([row.prompt_tokens for row in good], dtype=np.int64),
        output_tokens=np.array([row.output_tokens for row in good], dtype=np.int64),
        blocks=blocks if any(blocks) else (),
        skipped=rows.skipped,
        bad_lines=tuple(rows.bad_lines),
    )
