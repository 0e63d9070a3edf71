"""Sealed windows of made-up ticks, in a store."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.history.block import encode_count, encode_gauge
from controller.history.window import TIMES, Block
from controller.store import Store
from fleet.clock import NS_PER_S
from fleet.frame import MISSING_COUNT, IntBlock

T0_NS = 1_760_000_400 * NS_PER_S
"""Begins a minute, ten minutes and an hour."""
WINDOW_NS = 60 * NS_PER_S


def times(
    seats: int, ticks: int, *, start_ns: int = T0_NS, phases_ns: tuple[int, ...] = ()
) -> IntBlock:
    """(seats, ticks), a second apart; every seat may have its own phase."""
    at = start_ns + np.arange(ticks, dtype=np.int64)[None] * NS_PER_S
    phase = np.array(phases_ns or (0,) * seats, np.int64)[:, None]
    return np.asarray(at + phase, np.int64)


def windows(
    group_id: str, at: IntBlock, metrics: Mapping[str, NDArray[Any]], *, first_seq: int = 1
) -> list[Block]:
    """`at` (seats, ticks) with -1 where no tick is, values (seats x parts, ticks): cut into
    windows as ingest does, in which every agent's ticks stand at the front.
    """
    blocks = []
    for start in np.unique(at[at >= 0] // WINDOW_NS).tolist():
        inside = (at // WINDOW_NS == start) & (at >= 0)
        columns = np.flatnonzero(inside.any(axis=0))
        blocks += _window(group_id, at, metrics, inside, columns, first_seq)
    return blocks


def _window(
    group_id: str,
    at: IntBlock,
    metrics: Mapping[str, NDArray[Any]],
    inside: NDArray[np.bool_],
    columns: NDArray[np.intp],
    first_seq: int,
) -> list[Block]:
    seats = len(at)
    held = inside[:, columns]
    order = np.argsort(~held, axis=1, kind="stable")
    known = np.take_along_axis(held, order, axis=1)
    cut_at = np.take_along_axis(at[:, columns], order, axis=1)
    seqs = np.take_along_axis(np.tile(columns + first_seq, (seats, 1)), order, axis=1)
    names = np.concatenate((cut_at, np.ones_like(cut_at), seqs)).astype(np.uint64)
    names[np.tile(~known, (3, 1))] = MISSING_COUNT
    bodies = {TIMES: encode_count(names)}
    for metric, values in metrics.items():
        parts = len(values) // seats
        cut = np.take_along_axis(values[:, columns], np.repeat(order, parts, axis=0), axis=1)
        beyond = np.repeat(~known, parts, axis=0)
        cut = cut.copy()
        cut[beyond] = MISSING_COUNT if cut.dtype == np.uint64 else np.nan
        bodies[metric] = encode_count(cut) if cut.dtype == np.uint64 else encode_gauge(cut)[0]
    start_ns = int(at[inside].min()) // WINDOW_NS * WINDOW_NS
    return [
        Block(
            group_id=group_id,
            metric=metric,
            start_unix_ns=start_ns,
            last_unix_ns=int(at[inside].max()),
            body=body,
        )
        for metric, body in bodies.items()
    ]


def keep(store: Store, group_id: str, at: IntBlock, metrics: Mapping[str, NDArray[Any]]) -> None:
    with store.begin() as tx:
        tx.blocks.append(windows(group_id, at, metrics))


def noise(rows: int, ticks: int, *, seed: int = 1, low: float = 50.0) -> NDArray[np.float32]:
    """Tenths that wander."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(-3, 4, (rows, ticks)).cumsum(axis=1)
    return ((low * 10 + steps) / 10).astype(np.float32)
