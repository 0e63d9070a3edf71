"""What becomes of samples, whatever the server does."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from controller.remote_write.sender import RemoteWriter
from controller.remote_write.settings import Breadth, RemoteWriteSettings
from controller.views import LoopView
from fleet.clock import ManualClock, SystemClock
from fleet.topology import FleetMap, trn3_datacenter
from tests.api.builders import make_view
from tests.controller.receiver import Receiver, Reply

FLEET = FleetMap(trn3_datacenter(loops=1, ultraservers=1))
SETTINGS = RemoteWriteSettings(
    url="http://127.0.0.1:9/", breadths=(Breadth.LOOP,), metrics=("supply_c",), timeout_s=2.0
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def writer(
    receiver: Receiver, clock: ManualClock, settings: RemoteWriteSettings = SETTINGS
) -> RemoteWriter:
    at = replace(settings, url=receiver.url)
    return RemoteWriter(at, FLEET, clock, np.random.default_rng(1))


def view(second: int = 0) -> LoopView:
    made = make_view(FLEET)
    return msgspec.structs.replace(made, at_unix_ns=made.at_unix_ns + second * 10**9)


def test_a_sample_is_sent_once(receiver: Receiver, clock: ManualClock) -> None:
    writing = writer(receiver, clock, replace(SETTINGS, token="secret"))
    for second in (0, 0, 1):
        writing.offer([view(second)], None)
    writing.work()
    assert (writing.counts["samples_sent"], len(receiver.got)) == (2, 2)
    headers = receiver.got[0].headers
    assert headers["authorization"] == "Bearer secret"
    assert headers["content-encoding"] == "snappy"
    assert headers["x-prometheus-remote-write-version"] == "0.1.0"
    assert writing.queued == 0
    writing.stop()


def test_offers_are_due_every_so_often(receiver: Receiver, clock: ManualClock) -> None:
    writing = writer(receiver, clock)
    assert writing.due()
    writing.offer([view()], None)
    assert not writing.due()
    clock.advance(SETTINGS.every_s)
    assert writing.due()
    writing.stop()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_gets_it_again_later(
    receiver: Receiver, clock: ManualClock, status: int
) -> None:
    receiver.replies.extend([Reply(status=status), Reply(status=status), Reply(status=204)])
    writing = writer(receiver, clock)
    writing.offer([view()], None)
    writing.work()
    writing.work()
    assert len(receiver.got) == 1, "it was not left alone"
    clock.advance(1.2)
    writing.work()
    clock.advance(1.2)
    writing.work()
    assert len(receiver.got) == 2, "the wait did not double"
    clock.advance(1.2)
    writing.work()
    assert [got.body for got in receiver.got] == [receiver.got[0].body] * 3
    assert (writing.counts["samples_sent"], writing.counts["retries"]) == (1, 2)
    writing.stop()


def test_a_server_says_when_to_come_again(receiver: Receiver, clock: ManualClock) -> None:
    receiver.replies.append(Reply(status=503, headers={"Retry-After": "30"}))
    receiver.replies.append(Reply(status=503, headers={"Retry-After": "99999"}))
    writing = writer(receiver, clock)
    writing.offer([view()], None)
    for wait_s, tries in ((0.0, 1), (29.0, 1), (5.0, 2), (67.0, 3)):
        clock.advance(wait_s)
        writing.work()
        assert len(receiver.got) == tries
    writing.stop()


@pytest.mark.parametrize("status", [302, 400, 404, 413])
def test_what_the_server_calls_wrong_is_not_sent_again(
    receiver: Receiver, clock: ManualClock, status: int
) -> None:
    receiver.replies.append(Reply(status=status, body=b"out of order sample"))
    writing = writer(receiver, clock)
    writing.offer([view()], None)
    writing.offer([view(1)], None)
    writing.work()
    assert len(receiver.got) == 2, "the one behind it must not wait"
    assert (writing.counts["samples_refused"], writing.counts["samples_sent"]) == (1, 1)
    writing.stop()


def test_a_long_outage_drops_the_oldest_and_counts_them(clock: ManualClock) -> None:
    settings = replace(SETTINGS, queue_requests=3)  # nobody listens on port 9
    writing = RemoteWriter(settings, FLEET, clock, np.random.default_rng(1))
    for second in range(10):
        writing.offer([view(second)], None)
        writing.work()
    assert writing.queued == 3
    assert writing.counts["samples_dropped"] == 7
    writing.stop()
    assert writing.counts["samples_dropped"] == 10


def test_requests_have_a_bounded_number_of_series(receiver: Receiver, clock: ManualClock) -> None:
    settings = replace(SETTINGS, metrics=(), breadths=tuple(Breadth), series_a_request=100)
    writing = writer(receiver, clock, settings)
    writing.offer([view()], [view()])
    writing.work()
    assert writing.counts["samples_sent"] > 300
    assert len(receiver.got) == -(-writing.counts["samples_sent"] // 100)
    writing.stop()


def test_a_server_that_never_answers_holds_nobody_up(receiver: Receiver) -> None:
    """It takes the connection and is silent: offers go on, and so does the end."""
    asked, release = threading.Event(), threading.Event()
    writing = writer(receiver, ManualClock())
    post = writing._client.post

    def silent(*args: object, **kwargs: object) -> object:
        asked.set()
        release.wait(30)
        return post(*args, **kwargs)  # type: ignore[arg-type]

    writing._client.post = silent  # type: ignore[method-assign, assignment]
    writing.start()
    writing.offer([view()], None)
    assert asked.wait(10)
    for second in range(1, 50):
        writing.offer([view(second)], None)
    assert len(writing._offers) == 4, "what nobody takes must not pile up"
    thread = writing._thread
    writing.stop(timeout_s=0.01)
    release.set()
    assert thread is not None
    thread.join(10)
    assert not thread.is_alive()


def test_a_thread_sends_what_is_offered(receiver: Receiver) -> None:
    at = replace(SETTINGS, url=receiver.url)
    writing = RemoteWriter(at, FLEET, SystemClock(), np.random.default_rng(1))
    writing.start()
    writing.offer([view()], None)
    assert receiver.arrived.wait(10)
    writing.stop(timeout_s=10)


def test_a_view_of_another_fleet_does_not_stop_the_others(
    receiver: Receiver, clock: ManualClock
) -> None:
    writing = writer(receiver, clock)
    writing.offer([msgspec.structs.replace(view(), loop="h9/loop9"), view()], None)
    writing.work()
    assert (writing.counts["errors"], writing.counts["samples_sent"]) == (1, 1)
    writing.stop()
