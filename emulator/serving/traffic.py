"""Inference requests as they arrive: a trace in a loop, a trace once, or drawn like one."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from emulator.serving.trace import Prefixes, Times, Tokens, TraceTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Arrivals of one span of time, in order of arrival; all of one length."""

    offset_s: Times
    """From the start of the span."""
    prompt_tokens: Tokens
    output_tokens: Tokens
    blocks: Prefixes | None = None
    """Prefix blocks; None: nothing is known of what prompts have in common."""


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


class Arrivals(Protocol):
    """Where a service gets its requests from."""

    @property
    def mean_prompt_tokens(self) -> float: ...

    @property
    def mean_output_tokens(self) -> float: ...

    @property
    def patient(self) -> bool:
        """Requests that find no room wait outside; others are refused."""

    def bring(self, span_s: float, rate_per_s: float) -> Requests:
        """Those of the next span; `rate_per_s` is what the hall wishes for."""


class Scaled:
    """A stream whose time is scaled so that it brings the rate that the hall wishes for."""

    patient = False

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self.mean_prompt_tokens = traffic.mean_prompt_tokens
        self.mean_output_tokens = traffic.mean_output_tokens

    def bring(self, span_s: float, rate_per_s: float) -> Requests:
        return draw(self._traffic, rate_per_s=rate_per_s, span_s=span_s)


class Replay:
    """Every request of a trace once, at its own time; `speed_ratio` 2 plays it in half the time."""

    patient = True

    def __init__(self, table: TraceTable, *, speed_ratio: float = 1.0) -> None:
        self._table = table
        self._at_s = table.at_s / speed_ratio
        self._now_s = 0.0
        self._next = 0
        self.mean_prompt_tokens = float(table.prompt_tokens.mean())
        self.mean_output_tokens = float(table.output_tokens.mean())

    @property
    def ended(self) -> bool:
        """Whether all requests have been brought."""
        return self._next == len(self._at_s)

    def bring(self, span_s: float, rate_per_s: float) -> Requests:  # noqa: ARG002 - keeps its own
        first, start_s = self._next, self._now_s
        self._now_s += span_s
        self._next = last = int(np.searchsorted(self._at_s, self._now_s, side="left"))
        return Requests(
            offset_s=self._at_s[first:last] - start_s,
            prompt_tokens=self._table.prompt_tokens[first:last],
            output_tokens=self._table.output_tokens[first:last],
            blocks=self._table.blocks[first:last] if self._table.blocks else None,
        )


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
        blocks=taken.blocks,
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
        self._block_ids = 1 + max((max(ids, default=0) for ids in table.blocks), default=0)
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
            blocks=self._prefixes(start, end) if self._table.blocks else None,
        )

    def _prefixes(self, start: int, end: int) -> Prefixes:
        """Each round has ids of its own: its prompts are new ones of the same shape."""
        prefixes = []
        for row in range(start, end):
            round_, place = divmod(row, len(self._table.blocks))
            first = round_ * self._block_ids
            prefixes.append(tuple(block + first for block in self._table.blocks[place]))
        return tuple(prefixes)

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
