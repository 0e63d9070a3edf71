import socket
from collections.abc import Iterator
from contextlib import closing
from time import monotonic

import pytest

from api.app import create_app
from api.options import ApiOptions
from api.server import ApiServer, listen
from controller.store import Store
from fleet.bus import InMemoryBus
from fleet.clock import SystemClock
from fleet.errors import BusUnavailableError, ConfigurationError
from fleet.topology import FleetMap
from tests.api.builders import Running


@pytest.fixture
def taken_port() -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        yield other.getsockname()[1]


def test_a_port_in_use_is_one_clear_line(taken_port: int) -> None:
    with pytest.raises(ConfigurationError, match=f"port {taken_port}: the port is in use") as told:
        listen("127.0.0.1", taken_port)
    assert "\n" not in str(told.value)


def test_a_host_of_another_machine_is_one_clear_line() -> None:
    with pytest.raises(ConfigurationError, match=r"192\.0\.2\.1"):
        listen("192.0.2.1", 0)


def test_stopping_is_quick_with_a_viewer_that_does_not_read(api: Running) -> None:
    with closing(socket.create_connection(("127.0.0.1", api.server.port))) as stalled:
        stalled.sendall(
            b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: isotherm.v1\r\n\r\n"
        )
        assert stalled.recv(12) == b"HTTP/1.1 101"
        began = monotonic()
        api.server.stop()
        assert monotonic() - began < 5.0


def test_stopping_twice_and_starting_again_work(
    options: ApiOptions, fleet_map: FleetMap, store: Store, bus: InMemoryBus
) -> None:
    server = ApiServer(create_app(options, fleet_map, store, bus, SystemClock()), options)
    server.stop()
    server.start()
    port = server.port
    server.stop()
    server.stop()
    listen("127.0.0.1", port).close()


def test_a_bus_that_fails_while_followed_does_not_end_the_feed(
    api: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(timeout_s: float = 0.0) -> int:
        raise BusUnavailableError("no broker")

    monkeypatch.setattr(api.desk.live, "poll", lost)
    assert api.client.fleet()["chips"] == 288
