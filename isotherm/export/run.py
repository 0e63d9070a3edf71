"""From the store into files, a piece of time and a group at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from controller.history.flat import Flat, flat_steps, flat_thinned, flat_ticks
from controller.history.query import HistoryReader
from controller.history.rollup import Stat, exact
from controller.history.thinned import thinned_names
from controller.history.window import TIMES
from controller.store import Store, Transaction
from isotherm.export.choice import Choice, Piece, Pieces
from isotherm.export.files import Sink
from isotherm.export.rows import Tables

ROWS_AT_ONCE: Final = 2**17
"""Of one metric, before they are written; with all metrics that is what memory is needed for."""

_Kind = tuple[str, bool]
"""A metric, and whether of statistics."""

Progress = Callable[[float], None]
"""Told which share of the time is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written."""

    rows: int
    first_unix_ns: int
    last_unix_ns: int


class _Rows:
    """Rows of each metric that wait to be written together, ticks and statistics apart."""

    def __init__(self, tables: Tables, sink: Sink, rows_at_once: int) -> None:
        self._tables = tables
        self._sink = sink
        self._rows_at_once = rows_at_once
        self._waiting: dict[_Kind, list[tuple[NDArray[np.int32], Flat]]] = {}
        self._count: dict[_Kind, int] = {}
        self.rows = 0
        self.first_unix_ns = 2**63 - 1
        self.last_unix_ns = 0

    def add(self, piece: Piece, flat: Flat) -> None:
        if not len(flat.rows):
            return
        kind = (flat.metric, Stat.COUNT in flat.values)
        self._waiting.setdefault(kind, []).append((piece.codes[flat.rows], flat))
        count = self._count[kind] = self._count.get(kind, 0) + len(flat.rows)
        self.rows += len(flat.rows)
        self.first_unix_ns = min(self.first_unix_ns, int(flat.at_unix_ns.min()))
        self.last_unix_ns = max(self.last_unix_ns, int(flat.at_unix_ns.max()))
        if count >= self._rows_at_once:
            self._write(kind)

    def flush(self) -> None:
        for kind in list(self._waiting):
            self._write(kind)

    def _write(self, kind: _Kind) -> None:
        waiting = self._waiting.pop(kind)
        del self._count[kind]
        codes = np.concatenate([part for part, _ in waiting])
        flats = [flat for _, flat in waiting]
        metric, _ = kind
        table = self._tables.table(metric, codes, flats)
        self._sink.write(table, metric=metric, at_unix_ns=int(flats[0].at_unix_ns[0]))


def export(
    choice: Choice,
    pieces: Pieces,
    store: Store,
    tables: Tables,
    sink: Sink,
    *,
    progress: Progress = lambda _: None,
    rows_at_once: int = ROWS_AT_ONCE,
) -> Exported | None:
    """None when there was nothing. The caller finishes the sink, or abandons it."""
    rows = _Rows(tables, sink, rows_at_once)
    span_ns = choice.until_unix_ns - choice.from_unix_ns
    for start, end in choice.chunks():
        for piece in pieces.pieces:
            # One transaction each: a long one would keep SQLite's log from being cleared.
            with store.read() as tx:
                for flat in _flats(tx, choice, piece, start, end):
                    rows.add(piece, flat)
        rows.flush()
        progress((end - choice.from_unix_ns) / span_ns)
    if not rows.rows:
        return None
    return Exported(
        rows=rows.rows, first_unix_ns=rows.first_unix_ns, last_unix_ns=rows.last_unix_ns
    )


def _flats(
    tx: Transaction, choice: Choice, piece: Piece, from_unix_ns: int, until_unix_ns: int
) -> Iterator[Flat]:
    between = {"from_unix_ns": from_unix_ns, "until_unix_ns": until_unix_ns}
    if choice.level is None:
        names = [spec.name for spec in piece.metrics]
        blocks = tx.blocks.of_group(piece.share.group_id, (TIMES, *names), **between)
        yield from flat_ticks(blocks, piece.share, **between)
        left = [stat for name in names if not exact(name) for stat in thinned_names(name)]
        blocks = tx.blocks.of_group(piece.share.group_id, (TIMES, *left), **between)
        yield from flat_thinned(blocks, piece.share, **between)
        return
    reader = HistoryReader(tx.blocks, tx.rollups)
    for spec in piece.metrics:
        spans = reader.spans(piece.share, spec, choice.level, **between)
        yield from flat_steps(spec.name, spans, choice.level, **between)
