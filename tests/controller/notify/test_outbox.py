from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.notify.outbox import (
    Answer,
    RetrySettings,
    Verdict,
    judge,
    retry_after_s,
    wait_after,
)
from controller.store.outbox import Delivery, DeliveryState
from fleet.clock import NS_PER_S
from tests.controller.builders import AT, make_delivery

SETTINGS = RetrySettings()


def judged(delivery: Delivery, answer: Answer) -> tuple[Delivery, Verdict]:
    return judge(delivery, answer, at_unix_ns=AT, rng=np.random.default_rng(1), settings=SETTINGS)


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_2xx_is_success(status: int) -> None:
    after, verdict = judged(make_delivery(), Answer(status=status))
    assert (after.state, verdict) == (DeliveryState.DELIVERED, Verdict.DONE)


@pytest.mark.parametrize("status", [None, 301, 302, 307, 400, 404, 429, 500, 503])
def test_everything_else_is_tried_again(status: int | None) -> None:
    after, verdict = judged(make_delivery(), Answer(status=status, error="no"))
    assert (after.state, verdict) == (DeliveryState.PENDING, Verdict.AGAIN)
    assert after.next_attempt_at_unix_ns > AT
    assert (after.id, after.attempts, after.last_error) == ("msg_1", 1, "no")


def test_410_ends_it() -> None:
    after, verdict = judged(make_delivery(), Answer(status=410))
    assert (after.state, verdict) == (DeliveryState.CANCELLED, Verdict.DISABLE)


def schedule(*, urgent: bool) -> list[float]:
    waits: list[float] = []
    while True:
        wait_s = wait_after(len(waits) + 1, Answer(status=500), urgent=urgent, settings=SETTINGS)
        if wait_s is None:
            return waits
        waits.append(wait_s)


def test_urgent_ones_take_the_fast_lane_first() -> None:
    assert schedule(urgent=True)[:7] == [1, 2, 5, 10, 30, 5, 300]
    assert schedule(urgent=False)[:4] == [5, 300, 1800, 7200]


def test_the_schedule_lasts_days_then_gives_up() -> None:
    assert sum(schedule(urgent=False)) > 3 * 24 * 3600
    last = make_delivery(attempts=len(schedule(urgent=True)))
    after, verdict = judged(last, Answer(status=500))
    assert (after.state, verdict) == (DeliveryState.FAILED, Verdict.DONE)


@given(attempts=st.integers(0, 13), asked_s=st.one_of(st.none(), st.floats(0, 1e9)))
def test_never_sooner_than_asked_and_never_later_than_a_day_or_so(
    attempts: int, asked_s: float | None
) -> None:
    answer = Answer(status=503, retry_after_s=asked_s)
    after, verdict = judged(make_delivery(attempts=attempts), answer)
    if verdict is Verdict.AGAIN:
        wait_s = (after.next_attempt_at_unix_ns - AT) / NS_PER_S
        assert wait_s >= min(asked_s or 0.0, SETTINGS.longest_wait_s) - 1e-3
        assert wait_s <= SETTINGS.longest_wait_s * (1 + SETTINGS.jitter_ratio)


def test_retry_after_as_a_date() -> None:
    at = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * NS_PER_S
    assert retry_after_s("Thu, 01 Jan 2026 00:02:00 GMT", at_unix_ns=at) == 120.0
    assert retry_after_s("Wed, 31 Dec 2025 00:02:00 GMT", at_unix_ns=at) is None


@given(st.text())
def test_any_retry_after_is_survived(header: str) -> None:
    wait_s = retry_after_s(header, at_unix_ns=AT)
    assert wait_s is None or wait_s >= 0
