"""What is to be exported: which metrics of which places, and when."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

import numpy as np
from numpy.typing import NDArray

from controller.history.levels import Level
from controller.history.places import HistoryPlaces, SeatShare, Selection
from fleet.clock import NS_PER_S
from fleet.errors import ConfigurationError
from fleet.metrics import BY_NAME, METRICS, MetricSpec, Scope

MOST_PUMPS: Final = 16
"""As many as an agent may be told that its CDU has."""
_TICKS_AT_ONCE_S: Final = 600
_STEPS_AT_ONCE_S: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a person asked for. No `metrics`: all that the places have; no `places`: the fleet."""

    metrics: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    from_unix_ns: int
    until_unix_ns: int
    level: Level | None = None
    """None for every tick."""

    def validate(self) -> None:
        """Raises ConfigurationError for a metric that there is not, and for no time at all."""
        for name in self.metrics:
            if name not in BY_NAME:
                near = get_close_matches(name, BY_NAME, n=1)
                meant = f"; did you mean {near[0]}?" if near else ""
                raise ConfigurationError(f"export: unknown metric {name!r}{meant}")
        if self.from_unix_ns >= self.until_unix_ns:
            raise ConfigurationError("export: --from is not before --until")

    def chunks(self) -> Iterator[tuple[int, int]]:
        """The time to be read, in pieces that fit in memory; none reaches over the hour."""
        at_once_s = _TICKS_AT_ONCE_S if self.level is None else _STEPS_AT_ONCE_S
        at_once_ns = at_once_s * NS_PER_S
        start = self.from_unix_ns
        while start < self.until_unix_ns:
            end = min(start - start % at_once_ns + at_once_ns, self.until_unix_ns)
            yield start, end
            start = end


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Piece:
    """Metrics of one scope of one share: they have the same rows."""

    share: SeatShare
    metrics: tuple[MetricSpec, ...]
    codes: NDArray[np.int32]
    """Of each row the place of its id in `Pieces.ids`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pieces:
    """All that is to be read, group by group."""

    pieces: tuple[Piece, ...]
    ids: tuple[str, ...]
    """Chips, sleds, CDUs and pumps."""

    @property
    def metrics(self) -> tuple[MetricSpec, ...]:
        return tuple(dict.fromkeys(spec for piece in self.pieces for spec in piece.metrics))


def pieces_of(choice: Choice, places: HistoryPlaces) -> Pieces:
    """UnknownIdError for a place that there is not; ConfigurationError for a metric that none of
    the places has, and for a place that has none of the metrics.
    """
    choice.validate()
    found = _selections(choice, places)
    pieces: list[Piece] = []
    ids: list[str] = []
    for (share, _), selections in sorted(
        found.items(), key=lambda item: (item[0][0].agents.start, item[0][1])
    ):
        rows = places.rows(selections[0], share)
        if selections[0].metric.scope is Scope.PUMP:
            rows = MOST_PUMPS
        codes = np.arange(len(ids), len(ids) + rows, dtype=np.int32)
        ids += [places.row_id(selections[0], share, row) for row in range(rows)]
        metrics = tuple(one.metric for one in selections)
        pieces.append(Piece(share=share, metrics=metrics, codes=codes))
    return Pieces(pieces=tuple(pieces), ids=tuple(ids))


def _selections(
    choice: Choice, places: HistoryPlaces
) -> dict[tuple[SeatShare, Scope], list[Selection]]:
    """By share and scope; of shares within each other the larger."""
    names = tuple(dict.fromkeys(choice.metrics or (spec.name for spec in METRICS)))
    by_metric: dict[str, list[Selection]] = {name: [] for name in names}
    for place in dict.fromkeys(choice.places):
        refused: list[ConfigurationError] = []
        for name in names:
            try:
                by_metric[name].append(places.select(place, name))
            except ConfigurationError as error:
                refused.append(error)
        if len(refused) == len(names):
            raise refused[0]
    if not choice.places:
        by_metric = {name: [places.whole_fleet(name)] for name in names}
    found: dict[tuple[SeatShare, Scope], list[Selection]] = {}
    for name, selections in by_metric.items():
        if choice.metrics and not any(one.shares for one in selections):
            raise ConfigurationError(f"export: none of the places has {name}")
        shares = [(share, one) for one in selections for share in one.shares]
        for share, selection in _largest(shares):
            found.setdefault((share, selection.metric.scope), []).append(selection)
    return found


def _largest(shares: Sequence[tuple[SeatShare, Selection]]) -> list[tuple[SeatShare, Selection]]:
    """Places lie within each other or apart, so a share within another is the smaller one."""
    by_group: dict[str, list[SeatShare]] = {}
    for share, _ in shares:
        by_group.setdefault(share.group_id, []).append(share)
    distinct = dict(shares)
    return [
        (share, selection)
        for share, selection in distinct.items()
        if not any(_within(share, other) for other in by_group[share.group_id])
    ]


def _within(share: SeatShare, other: SeatShare) -> bool:
    if share == other:
        return False
    seats = other.seats.start <= share.seats.start and share.seats.stop <= other.seats.stop
    return seats and other.part is None
