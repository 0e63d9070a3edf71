"""When the chores are done: a thin shell around them."""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from controller.chores.retention import retain
from controller.chores.rolling import roll_up
from controller.chores.settings import ChoreSettings
from controller.store import Store
from fleet.clock import Clock
from fleet.errors import StoreError

_log = structlog.get_logger(__name__)


class Chores:
    """`tick` is one round by hand; `start` has APScheduler do one every so often."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: ChoreSettings,
        *,
        leads: Callable[[], bool],
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._leads = leads
        self._stop = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._scheduler: BackgroundScheduler | None = None
        self.counts: Counter[str] = Counter()
        """rounds, spans_rolled, store_errors, bugs, and rows deleted by kind."""

    def tick(self) -> None:
        """Roll up and delete, if this controller leads."""
        if not self._leads():
            return
        self._idle.clear()
        try:
            self._round()
        except StoreError as error:
            self.counts["store_errors"] += 1
            _log.warning("chores_without_store", error=str(error))
        finally:
            self._idle.set()

    def start(self) -> None:
        self._scheduler = BackgroundScheduler(
            timezone=UTC, executors={"default": ThreadPoolExecutor(1)}
        )
        self._scheduler.add_job(
            self._safely,
            "interval",
            seconds=self._settings.every_s,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=round(10 * self._settings.every_s),
        )
        self._scheduler.start()

    def stop(self, *, timeout_s: float = 3.0) -> None:
        """End between two spans; the round under way is left to end by itself after that."""
        self._stop.set()
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
            self._scheduler = None
        if not self._idle.wait(timeout_s):
            _log.warning("chores_still_running", timeout_s=timeout_s)

    def _round(self) -> None:
        self.counts["rounds"] += 1
        stopped = self._stop.is_set
        self.counts["spans_rolled"] += roll_up(
            self._store,
            self._clock,
            self._settings,
            stopped=lambda: stopped() or not self._leads(),
        )
        if not stopped():
            self.counts.update(retain(self._store, self._clock, self._settings))

    def _safely(self) -> None:
        try:
            self.tick()
        except Exception:  # noqa: BLE001 - the process's own loop: counted, logged, goes on
            self.counts["bugs"] += 1
            _log.exception("chores_failed")
