"""What follows from a receiver's answer: done, once more at a time, or never again. Pure."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from http import HTTPStatus

from numpy.random import Generator

from controller.store.outbox import Delivery, DeliveryState
from fleet.clock import NS_PER_S

_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySettings:
    """Seconds to wait after each failed try. The long schedule is the example of Standard
    Webhooks 1.0.0; the fast lane in front of it for urgent ones is an estimate.
    """

    fast_s: tuple[float, ...] = (1.0, 2.0, 5.0, 10.0, 30.0)
    slow_s: tuple[float, ...] = (
        5.0,
        300.0,
        1800.0,
        2 * _HOUR_S,
        5 * _HOUR_S,
        10 * _HOUR_S,
        14 * _HOUR_S,
        20 * _HOUR_S,
        24 * _HOUR_S,
    )
    jitter_ratio: float = 0.1
    """Each wait is longer by up to this share, so that many receivers are not met at once."""
    longest_wait_s: float = 24 * _HOUR_S
    """A receiver's Retry-After is believed up to here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one try; `status` is None when there was no answer."""

    status: int | None
    error: str = ""
    retry_after_s: float | None = None


class Verdict(Enum):
    DONE = "done"  # taken, or given up: nothing more to do for this delivery
    AGAIN = "again"  # try once more at `next_attempt_at_unix_ns`
    DISABLE = "disable"  # 410: the receiver wants nothing any more


def judge(
    delivery: Delivery,
    answer: Answer,
    *,
    at_unix_ns: int,
    rng: Generator,
    settings: RetrySettings,
) -> tuple[Delivery, Verdict]:
    """The delivery after this try. Only 2xx is success: a redirect is not followed."""
    tried = replace(
        delivery,
        attempts=delivery.attempts + 1,
        last_status=answer.status,
        last_error=answer.error[:500],
    )
    if answer.status is not None and 200 <= answer.status < 300:
        done = replace(tried, state=DeliveryState.DELIVERED, finished_at_unix_ns=at_unix_ns)
        return replace(done, last_error=""), Verdict.DONE
    if answer.status == HTTPStatus.GONE:
        gone = replace(tried, state=DeliveryState.CANCELLED, finished_at_unix_ns=at_unix_ns)
        return gone, Verdict.DISABLE
    wait_s = wait_after(tried.attempts, answer, urgent=delivery.urgent, settings=settings)
    if wait_s is None:
        failed = replace(tried, state=DeliveryState.FAILED, finished_at_unix_ns=at_unix_ns)
        return failed, Verdict.DONE
    wait_s *= 1.0 + settings.jitter_ratio * float(rng.random())
    due = at_unix_ns + round(wait_s * NS_PER_S)
    return replace(tried, next_attempt_at_unix_ns=due), Verdict.AGAIN


def wait_after(
    attempts: int, answer: Answer, *, urgent: bool, settings: RetrySettings
) -> float | None:
    """Seconds until the next try, without jitter; None when the schedule is used up."""
    schedule = (settings.fast_s if urgent else ()) + settings.slow_s
    if attempts > len(schedule):
        return None
    asked_s = min(answer.retry_after_s or 0.0, settings.longest_wait_s)
    return max(schedule[attempts - 1], asked_s)


def retry_after_s(header: str | None, *, at_unix_ns: int) -> float | None:
    """Seconds or an HTTP date (RFC 9110); None when absent, past or not understood."""
    if header is None:
        return None
    if header.strip().isascii() and header.strip().isdigit():
        return float(header)
    try:
        then = parsedate_to_datetime(header)
    except ValueError:
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    wait_s = (then - datetime.fromtimestamp(at_unix_ns / NS_PER_S, UTC)).total_seconds()
    return wait_s if wait_s > 0 else None
