"""The live feed over a real socket."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from api.planes import PLANES, PlaneFrame, decode_plane
from controller.placement.job import JobState
from tests.api.builders import LOOP, Running, make_incident, make_job, make_view

PROTOCOL = Subprotocol("isotherm.v1")


def url(api: Running) -> str:
    return api.server.url.replace("http", "ws") + "/api/v1/live"


def viewer(api: Running, **more: Any) -> ClientConnection:
    feed: ClientConnection = connect(url(api), subprotocols=[PROTOCOL], proxy=None, **more)
    return feed


@pytest.fixture
def feed(api: Running) -> Iterator[ClientConnection]:
    api.hear(make_view(api.fleet_map))
    with api.store.begin() as transaction:
        transaction.jobs.add(make_job(state=JobState.RUNNING))
        transaction.incidents.save(make_incident())
    with viewer(api) as feed:
        yield feed


def next_text(feed: ClientConnection, kind: str) -> dict[str, Any]:
    while True:
        message = feed.recv(timeout=5)
        if isinstance(message, str) and json.loads(message)["type"] == kind:
            document: dict[str, Any] = json.loads(message)
            return document


def next_plane(feed: ClientConnection, metric_id: int = 0) -> PlaneFrame:
    while True:
        message = feed.recv(timeout=5)
        if isinstance(message, bytes) and decode_plane(message).metric_id == metric_id:
            return decode_plane(message)


def read_on(feed: ClientConnection) -> None:
    """Read until the server closes."""
    while True:
        feed.recv(timeout=5)


def paint(feed: ClientConnection, tick: int) -> None:
    feed.send(json.dumps({"type": "ack", "tick": tick}))


def test_a_viewer_is_greeted_and_shown_everything(api: Running, feed: ClientConnection) -> None:
    assert feed.subprotocol == "isotherm.v1"
    hello = json.loads(feed.recv(timeout=5))
    assert (hello["type"], hello["chips"]) == ("hello", 288)
    assert hello["epoch"] == api.desk.hub.epoch
    assert hello["metrics"][0] == {
        "id": 0,
        "name": "junction_c",
        "unit": "°C",
        "low": 20,
        "high": 110,
    }
    loop = next_text(feed, "loop")
    whole = api.client.loop(LOOP)
    people = {"override", "version"}  # what people have asked is the store's word
    assert loop == {"type": "loop"} | {k: v for k, v in whole.items() if k not in people}
    assert [job["id"] for job in next_text(feed, "jobs")["items"]] == ["job-1"]
    assert [row["id"] for row in next_text(feed, "incidents")["items"]] == ["inc-1"]
    assert next_text(feed, "fleet")["totals"]["chips_busy"] == 2
    planes = [decode_plane(message) for message in _binaries(feed, len(PLANES))]
    assert [plane.metric_id for plane in planes] == [plane.id for plane in PLANES]
    assert planes[0].epoch == hello["epoch"]
    assert planes[0].values == pytest.approx(np.full(288, 60.0), abs=0.2)
    assert np.isnan(planes[1].values).all()


def test_new_views_reach_a_viewer_that_paints(api: Running, feed: ClientConnection) -> None:
    first = next_plane(feed)
    paint(feed, first.tick)
    api.hear(make_view(api.fleet_map, chips={"junction_c": 90.0}))
    while True:
        plane = next_plane(feed)
        paint(feed, plane.tick)
        assert plane.tick > first.tick
        if plane.values[0] > 80:
            return


def test_planes_stop_for_a_viewer_that_does_not_paint(api: Running, feed: ClientConnection) -> None:
    ticks = {next_plane(feed).tick, next_plane(feed).tick}
    assert len(ticks) == 2
    for _ in range(8):
        assert isinstance(next_text(feed, "loop"), dict)
    assert api.desk.hub.held_bytes < 20_000
    paint(feed, max(ticks))
    assert next_plane(feed).tick > max(ticks) + 2


def test_jobs_are_told_when_they_change_only(api: Running, feed: ClientConnection) -> None:
    next_text(feed, "jobs")
    for _ in range(3):
        kinds = [json.loads(text)["type"] for text in _texts(feed, 2)]
        assert "jobs" not in kinds
    with api.store.begin() as transaction:
        transaction.jobs.add(make_job("job-2"))
    assert {job["id"] for job in next_text(feed, "jobs")["items"]} == {"job-1", "job-2"}


@pytest.mark.parametrize(
    ("message", "code", "counted"),
    [
        ("garbage", 1008, "garbage"),
        ('{"type":"ack","tick":999999}', 1008, "ack"),
        (b"\x00\x01", 1003, "binary"),
    ],
)
def test_garbage_closes_with_a_reason_and_is_counted(
    api: Running, feed: ClientConnection, message: str | bytes, code: int, counted: str
) -> None:
    feed.send(message)
    with pytest.raises(ConnectionClosed) as closed:
        read_on(feed)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code
    assert closed.value.rcvd.reason
    assert api.desk.counters.sockets_expelled[counted] == 1
    assert api.client.fleet()["chips"] == 288


def test_a_huge_message_closes_the_socket(feed: ClientConnection) -> None:
    feed.send("x" * 100_000)
    with pytest.raises(ConnectionClosed) as closed:
        read_on(feed)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


@pytest.mark.parametrize(
    ("handshake", "counted"),
    [
        ({"subprotocols": None}, "subprotocol"),
        ({"subprotocols": [Subprotocol("isotherm.v9")]}, "subprotocol"),
        ({"origin": "http://evil.example"}, "origin"),
    ],
)
def test_handshakes_of_strangers_are_refused(
    api: Running, handshake: dict[str, Any], counted: str
) -> None:
    given = {"subprotocols": [PROTOCOL], "proxy": None} | handshake
    with pytest.raises(InvalidStatus) as refused:
        connect(url(api), **given)
    assert refused.value.response.status_code == 403
    assert api.desk.counters.sockets_refused[counted] == 1


def test_a_name_that_was_rebound_to_this_machine_is_refused(api: Running) -> None:
    rebound = socket.create_connection(("127.0.0.1", api.server.port))
    with closing(rebound), pytest.raises(InvalidStatus) as refused:
        connect("ws://evil.example/api/v1/live", sock=rebound, subprotocols=[PROTOCOL], proxy=None)
    assert refused.value.response.status_code == 403
    assert api.desk.counters.sockets_refused["host"] == 1


def test_the_own_page_may_watch(api: Running) -> None:
    with viewer(api, origin=api.server.url) as feed:
        assert json.loads(feed.recv(timeout=5))["type"] == "hello"


def test_a_viewer_that_left_is_forgotten(api: Running, feed: ClientConnection) -> None:
    next_plane(feed)
    assert api.desk.hub.viewers == 1
    feed.close()
    with viewer(api) as other:
        for _ in range(5):
            next_text(other, "loop")
        assert api.desk.hub.viewers == 1


def test_a_viewer_that_does_not_read_holds_little(api: Running) -> None:
    api.hear(make_view(api.fleet_map))
    with closing(socket.create_connection(("127.0.0.1", api.server.port))) as stalled:
        stalled.sendall(
            b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: isotherm.v1\r\n\r\n"
        )
        with viewer(api) as reading:
            for _ in range(20):
                plane = next_plane(reading)
                paint(reading, plane.tick)
        assert api.desk.hub.held_bytes < 40_000


def _binaries(feed: ClientConnection, count: int) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < count:
        message = feed.recv(timeout=5)
        if isinstance(message, bytes):
            found.append(message)
    return found


def _texts(feed: ClientConnection, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        message = feed.recv(timeout=5)
        if isinstance(message, str):
            found.append(message)
    return found
