"""Dirty spans of history, rolled up level by level."""

from collections.abc import Callable

from controller.chores.settings import ChoreSettings
from controller.history.levels import LEVELS, Level, coarser, finer
from controller.history.rollup import (
    RolledBlock,
    Stat,
    exact,
    fold_block,
    roll_blocks,
    roll_windows,
)
from controller.history.thinned import thinned_names
from controller.history.window import TIMES
from controller.store import Store, Transaction
from controller.store.rollups import DirtySpan
from fleet.clock import NS_PER_S, Clock
from fleet.metrics import METRICS

_METRICS = tuple(spec.name for spec in METRICS)
_OF_TICKS = (
    TIMES,
    *_METRICS,
    *(name for spec in METRICS if not exact(spec.name) for name in thinned_names(spec.name)),
)


def roll_up(
    store: Store, clock: Clock, settings: ChoreSettings, *, stopped: Callable[[], bool]
) -> int:
    """Roll up what is due, finest level first; how many spans that were. Ends early when told to;
    what is left over stays dirty.
    """
    rolled = 0
    for level in LEVELS:
        with store.read() as tx:
            due = tx.rollups.dirty(
                level, until_unix_ns=_due_ns(level, clock, settings), limit=settings.spans_at_once
            )
        for span in due:
            if stopped():
                return rolled
            _roll(store, span)
            rolled += 1
    return rolled


def _due_ns(level: Level, clock: Clock, settings: ChoreSettings) -> int:
    """Spans that start before have ended long enough ago; a coarser level waits for the finer."""
    patience_ns = round(settings.patience_s * NS_PER_S) * (LEVELS.index(level) + 1)
    return clock.unix_ns() - patience_ns - level.span_ns + 1


def _roll(store: Store, span: DirtySpan) -> None:
    with store.read() as tx:
        closed = span.level is LEVELS[0] and span.start_unix_ns < tx.rollups.ticks_kept_since()
        blocks = [] if closed else _made(tx, span)
    # Reckoning is long and writing is short: on SQLite everybody else waits for a writer.
    with store.begin() as tx:
        if closed:
            _fold(tx, span)
            return
        tx.rollups.save(blocks)
        tx.rollups.done(span)
        _touch_above(tx, span, blocks)


def _made(tx: Transaction, span: DirtySpan) -> list[RolledBlock]:
    level, start = span.level, span.start_unix_ns
    below = finer(level)
    if below is None:
        ticks = tx.blocks.of_group(
            span.group_id,
            _OF_TICKS,
            from_unix_ns=start,
            until_unix_ns=start + level.span_ns,
        )
        return roll_windows(ticks, level, start)
    blocks = tx.rollups.of_group(
        below,
        span.group_id,
        _METRICS,
        tuple(Stat),
        from_unix_ns=start,
        until_unix_ns=start + level.span_ns,
    )
    return roll_blocks(blocks, level, start)


def _fold(tx: Transaction, span: DirtySpan) -> None:
    """The ticks of this span were deleted, and some have come since: they are added to the
    statistics and deleted too, so that none counts twice.
    """
    if not tx.rollups.done(span):
        return  # a writer is adding to it at this moment
    newer = _made(tx, span)
    kept = tx.rollups.of_group(
        span.level,
        span.group_id,
        [block.metric for block in newer],
        tuple(Stat),
        from_unix_ns=span.start_unix_ns,
        until_unix_ns=span.start_unix_ns + 1,
    )
    older = {block.metric: block for block in kept}
    blocks = [fold_block(older.get(block.metric), block) for block in newer]
    tx.rollups.save(blocks)
    tx.blocks.drop(
        span.group_id,
        from_unix_ns=span.start_unix_ns,
        until_unix_ns=span.start_unix_ns + span.level.span_ns,
    )
    _touch_above(tx, span, blocks)


def _touch_above(tx: Transaction, span: DirtySpan, blocks: list[RolledBlock]) -> None:
    above = coarser(span.level)
    if above is not None and blocks:
        tx.rollups.touch(above, {(span.group_id, above.span_of(span.start_unix_ns))})
