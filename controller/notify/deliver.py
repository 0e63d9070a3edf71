"""Takes deliveries from the outbox and sends them, in threads of its own."""

import threading
from collections import Counter
from dataclasses import dataclass, field

import structlog
from numpy.random import Generator

from controller.notify.outbox import RetrySettings, Verdict, judge
from controller.notify.webhook import TIMEOUT_S, new_client, post
from controller.store import Store
from controller.store.outbox import Delivery
from controller.store.webhooks import Webhook
from fleet.clock import NS_PER_S, Clock
from fleet.errors import StoreError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """`allow_private_receivers` lets webhooks into the house's own network."""

    allow_private_receivers: bool = False
    workers: int = 2
    """So that one slow receiver does not hold up the others."""
    poll_s: float = 0.5
    retry: RetrySettings = field(default_factory=RetrySettings)


class Deliverer:
    """Sends what the outbox holds. `deliver_due` is one round by hand; `start` runs threads."""

    def __init__(
        self, store: Store, clock: Clock, rng: Generator, settings: DeliverySettings
    ) -> None:
        self._store = store
        self._clock = clock
        self._rng = rng
        self._rng_lock = threading.Lock()
        self._settings = settings
        self._client = new_client()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._threads: list[threading.Thread] = []
        self.counts: Counter[str] = Counter()
        """delivered, failed, retried, disabled, errors."""

    def deliver_due(self) -> int:
        """Send all that is due now, one after the other; how many tries that were."""
        tries = 0
        while not self._stop.is_set() and self._deliver_one():
            tries += 1
        return tries

    def nudge(self) -> None:
        """Something was written to the outbox: do not wait for the next poll."""
        self._wake.set()

    def start(self) -> None:
        for number in range(self._settings.workers):
            thread = threading.Thread(target=self._run, name=f"notify-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, timeout_s: float = 3.0) -> None:
        """A try under way that outlasts this is sent again after the next start, with the same
        id.
        """
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(timeout_s / max(len(self._threads), 1))
        self._threads.clear()
        self._client.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.deliver_due()
            except StoreError as error:
                self.counts["errors"] += 1
                _log.warning("notify_store_away", error=str(error))
            except Exception:  # noqa: BLE001 - the thread's own loop: counted, logged, goes on
                self.counts["errors"] += 1
                _log.exception("notify_failed")
            self._wake.wait(self._settings.poll_s)
            self._wake.clear()

    def _deliver_one(self) -> bool:
        taken = self._claim()
        if taken is None:
            return False
        delivery, webhook = taken
        if webhook is None or not webhook.enabled:
            self._cancel(delivery)
            return True
        answer = post(
            self._client,
            webhook,
            delivery,
            at_unix_ns=self._clock.unix_ns(),
            allow_private=self._settings.allow_private_receivers,
        )
        with self._rng_lock:
            after, verdict = judge(
                delivery,
                answer,
                at_unix_ns=self._clock.unix_ns(),
                rng=self._rng,
                settings=self._settings.retry,
            )
        self._record(after, verdict)
        return True

    def _claim(self) -> tuple[Delivery, Webhook | None] | None:
        now = self._clock.unix_ns()
        with self._store.read() as look:
            if not look.outbox.due(now_unix_ns=now):
                return None
        # Twice the timeout: nobody else takes what is only slow.
        until = now + round(2 * TIMEOUT_S * NS_PER_S)
        with self._store.begin() as tx:
            claimed = tx.outbox.claim(now_unix_ns=now, until_unix_ns=until, limit=1)
            if not claimed:
                return None
            return claimed[0], tx.webhooks.get(claimed[0].webhook_id)

    def _record(self, delivery: Delivery, verdict: Verdict) -> None:
        with self._store.begin() as tx:
            tx.outbox.save(delivery)
            if verdict is Verdict.DISABLE:
                reason = "the receiver answered 410 Gone"
                tx.webhooks.disable(delivery.webhook_id, reason)
                tx.outbox.cancel_for(
                    delivery.webhook_id, at_unix_ns=self._clock.unix_ns(), reason=reason
                )
        outcome = {"again": "retried", "disable": "disabled"}.get(
            verdict.value, delivery.state.value
        )
        self.counts[outcome] += 1
        _log.info(
            "notify_tried",
            delivery=delivery.id,
            webhook=delivery.webhook_id,
            attempt=delivery.attempts,
            outcome=outcome,
            status=delivery.last_status,
            error=delivery.last_error,
        )

    def _cancel(self, delivery: Delivery) -> None:
        with self._store.begin() as tx:
            tx.outbox.cancel_for(
                delivery.webhook_id,
                at_unix_ns=self._clock.unix_ns(),
                reason="the webhook is disabled",
            )
