"""Deleting what is old."""

from collections import Counter

from controller.chores.settings import ChoreSettings
from controller.history.levels import LEVELS
from controller.store import Store, Transaction
from fleet.clock import NS_PER_S, Clock


def retain(store: Store, clock: Clock, settings: ChoreSettings) -> Counter[str]:
    """Delete what settings no longer keep; how many rows of each kind."""
    now_ns = clock.unix_ns()
    gone: Counter[str] = Counter()
    with store.begin() as tx:
        gone["ticks"] = _ticks(tx, now_ns - round(settings.ticks_keep_s * NS_PER_S))
        for level in LEVELS:
            before = now_ns - settings.keep_ns(level)
            gone[f"steps_{level.step_s}_s"] = tx.rollups.forget(level, before_unix_ns=before)
    with store.begin() as tx:
        for name, forget, keep_s in (
            ("incidents", tx.incidents.forget, settings.incident_keep_s),
            ("deliveries", tx.outbox.forget, settings.delivery_keep_s),
            ("audit", tx.audit.forget, settings.audit_keep_s),
            ("idempotency", tx.idempotency.forget, settings.idempotency_keep_s),
        ):
            gone[name] = forget(before_unix_ns=now_ns - round(keep_s * NS_PER_S))
    return +gone


def _ticks(tx: Transaction, before_unix_ns: int) -> int:
    """Whole spans only, and none that is still to be rolled up: its ticks are all there is."""
    before = LEVELS[0].span_of(before_unix_ns)
    since = tx.rollups.ticks_kept_since()
    waiting = tx.rollups.dirty(LEVELS[0], until_unix_ns=before, limit=1)
    if waiting:
        before = min(before, waiting[0].start_unix_ns)
    if before <= since:
        return 0
    tx.rollups.keep_ticks_since(before)
    return tx.blocks.forget(before_unix_ns=before)
