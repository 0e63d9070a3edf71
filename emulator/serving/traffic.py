"""Inference requests: from a trace file, or drawn like one."""

import csv
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol, TextIO, cast

import numpy as np
from numpy.typing import NDArray

from fleet.errors import ConfigurationError

HEADER: Final = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
LONGEST_TOKENS: Final = 1_000_000
_KEPT_BAD_LINES: Final = 5
_GZIP_MAGIC: Final = b"\x1f\x8b"

Tokens = NDArray[np.int64]
Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Arrivals of one span of time, in order of arrival; arrays of one length."""

    offset_s: Times
    """From the start of the span."""
    prompt_tokens: Tokens
    output_tokens: Tokens


class Traffic(Protocol):
    """An endless stream of requests at a rate of its own."""

    @property
    def mean_rate_per_s(self) -> float: ...

    @property
    def mean_prompt_tokens(self) -> float: ...

    @property
    def mean_output_tokens(self) -> float: ...

    def take(self, span_s: float) -> Requests:
        """The requests of the next `span_s` seconds of the stream's own time."""


def draw(traffic: Traffic, *, rate_per_s: float, span_s: float) -> Requests:
    """The next `span_s` seconds with the stream's time scaled so that it brings `rate_per_s`."""
    scale = rate_per_s / traffic.mean_rate_per_s
    taken = traffic.take(span_s * scale)
    if scale <= 0.0:
        return taken
    return Requests(
        offset_s=taken.offset_s / scale,
        prompt_tokens=taken.prompt_tokens,
        output_tokens=taken.output_tokens,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceTable:
    """A read trace. `skipped` counts bad rows; `bad_lines` are the first few of their numbers."""

    at_s: Times
    prompt_tokens: Tokens
    output_tokens: Tokens
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


def read_trace(path: Path) -> TraceTable:
    """Read an Azure LLM 2023 CSV, plain or gzip (told by content).

    Bad rows are left out and counted, rows out of order are sorted in. ConfigurationError when the
    file can not be read, has another header, or no valid row.
    """
    rows: list[tuple[float, int, int]] = []
    skipped = 0
    bad_lines: list[int] = []
    try:
        with _text(path) as text:
            reader = csv.reader(_printable(text))
            header = next(reader, [])
            if tuple(cell.strip() for cell in header) != HEADER:
                raise ConfigurationError(
                    f"{path}: the first line must be {','.join(HEADER)}, not {header!r:.80}"
                )
            for cells in reader:
                row = _parse(cells)
                if row is not None:
                    rows.append(row)
                elif cells:
                    skipped += 1
                    if len(bad_lines) < _KEPT_BAD_LINES:
                        bad_lines.append(reader.line_num)
    except (OSError, EOFError, csv.Error, ValueError) as error:
        # A gzip file cut short, a field longer than the parser takes: nothing of it is trusted.
        raise ConfigurationError(f"{path}: can not be read as a trace: {error}") from error
    if not rows:
        raise ConfigurationError(f"{path}: no valid row; {skipped} bad ones")
    return _table(rows, skipped, tuple(bad_lines))


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    with path.open("rb") as probe:
        compressed = probe.read(2) == _GZIP_MAGIC
    opener = gzip.open if compressed else open
    with opener(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as text:
        yield cast(TextIO, text)


def _printable(text: TextIO) -> Iterator[str]:
    # The csv module refuses a whole file for one NUL; as a bad cell it costs one row.
    for line in text:
        yield line.replace("\0", "\ufffd")


def _parse(cells: list[str]) -> tuple[float, int, int] | None:
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
    return elapsed.total_seconds(), *tokens


def _table(
    rows: list[tuple[float, int, int]], skipped: int, bad_lines: tuple[int, ...]
) -> TraceTable:
    rows.sort(key=lambda row: row[0])
    at = np.array([row[0] for row in rows])
    return TraceTable(
        at_s=at - at[0],
        prompt_tokens=np.array([row[1] for row in rows], dtype=np.int64),
        output_tokens=np.array([row[2] for row in rows], dtype=np.int64),
        skipped=skipped,
        bad_lines=bad_lines,
    )


class TraceTraffic:
    """A trace played in a loop, from `start_ratio` of its length on."""

    def __init__(self, table: TraceTable, *, start_ratio: float = 0.0) -> None:
        self._table = table
        count = len(table.at_s)
        gap_s = float(table.at_s[-1]) / max(count - 1, 1)
        # One mean gap between the last request and the first of the next round.
        self._period_s = float(table.at_s[-1]) + (gap_s if gap_s > 0.0 else 1.0)
        self._now_s = start_ratio % 1.0 * self._period_s
        self.mean_rate_per_s = count / self._period_s
        self.mean_prompt_tokens = float(table.prompt_tokens.mean())
        self.mean_output_tokens = float(table.output_tokens.mean())

    def take(self, span_s: float) -> Requests:
        start = self._position(self._now_s)
        end = self._position(self._now_s + span_s)
        rows = np.arange(start, end)
        count = len(self._table.at_s)
        at = self._table.at_s[rows % count] + rows // count * self._period_s
        offset = np.clip(at - self._now_s, 0.0, span_s)
        self._now_s += span_s
        return Requests(
            offset_s=offset,
            prompt_tokens=self._table.prompt_tokens[rows % count],
            output_tokens=self._table.output_tokens[rows % count],
        )

    def _position(self, at_s: float) -> int:
        """Requests before a time, counted over all rounds."""
        rounds, within = divmod(at_s, self._period_s)
        return int(rounds) * len(self._table.at_s) + int(
            np.searchsorted(self._table.at_s, within, side="left")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficSettings:
    """Quantiles of an hour of chat, fitted to the published statistics of the Azure LLM 2023
    conversation trace (CC-BY-4.0): 5.53 requests/s; prompt mean 1,155, p50 1,020, p99 4,142,
    maximum 14,050; output mean 211, p50 129, p99 601; variation of gaps 1.09.
    """

    rate_per_s: float = 5.53
    gap_variation: float = 1.09
    quantiles: tuple[float, ...] = (0.0, 0.05, 0.2, 0.3, 0.4, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
    prompt_tokens: tuple[float, ...] = (
        *(1, 170, 380, 410, 900, 1_020, 1_110, 1_230, 2_800, 4_050, 4_130, 5_000),
    )
    prompt_tail: tuple[float, float] = (0.0004, 14_050.0)
    """Share of requests drawn evenly between the last quantile and this maximum."""
    output_tokens: tuple[float, ...] = (*(7, 36, 70, 86, 100, 129, 325, 400, 425, 460, 601, 1_000),)


class GeneratedTraffic:
    """Requests drawn from the quantiles of a trace, with gamma-distributed gaps."""

    def __init__(self, rng: np.random.Generator, settings: TrafficSettings | None = None) -> None:
        self._rng = rng
        self._settings = settings or TrafficSettings()
        self._next_s = 0.0
        self.mean_rate_per_s = self._settings.rate_per_s
        tail, longest = self._settings.prompt_tail
        body = _mean(self._settings.quantiles, self._settings.prompt_tokens)
        in_tail = 0.5 * (self._settings.prompt_tokens[-1] + longest)
        self.mean_prompt_tokens = (1.0 - tail) * body + tail * in_tail
        self.mean_output_tokens = _mean(self._settings.quantiles, self._settings.output_tokens)

    def take(self, span_s: float) -> Requests:
        offset = self._arrivals(span_s)
        count = len(offset)
        return Requests(
            offset_s=offset,
            prompt_tokens=self._prompts(count),
            output_tokens=self._tokens(self._settings.output_tokens, count),
        )

    def _arrivals(self, span_s: float) -> Times:
        shape = self._settings.gap_variation**-2
        mean_s = 1.0 / self._settings.rate_per_s
        times = [np.empty(0)]
        while self._next_s < span_s:
            expected = (span_s - self._next_s) / mean_s
            gaps = self._rng.gamma(shape, mean_s / shape, size=int(expected * 1.2) + 16)
            run = self._next_s + np.concatenate(([0.0], np.cumsum(gaps)))
            times.append(run[:-1])
            self._next_s = float(run[-1])
        drawn = np.concatenate(times)
        inside = int(np.searchsorted(drawn, span_s))
        # What was drawn beyond the span is drawn anew but for the first.
        if inside < len(drawn):
            self._next_s = float(drawn[inside])
        self._next_s -= span_s
        return drawn[:inside]

    def _prompts(self, count: int) -> Tokens:
        share, longest = self._settings.prompt_tail
        body = self._tokens(self._settings.prompt_tokens, count)
        tail = self._rng.uniform(self._settings.prompt_tokens[-1], longest, count)
        return np.where(self._rng.random(count) < share, tail.astype(np.int64), body)

    def _tokens(self, values: tuple[float, ...], count: int) -> Tokens:
        drawn = np.interp(self._rng.random(count), self._settings.quantiles, values)
        return np.maximum(np.rint(drawn), 1).astype(np.int64)


def _mean(quantiles: tuple[float, ...], values: tuple[float, ...]) -> float:
    """Mean of the piecewise linear quantile function."""
    return float(np.trapezoid(values, quantiles))
