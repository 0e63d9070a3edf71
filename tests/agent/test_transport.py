import json
import select
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from agent.transport import HttpTransport, NoAnswerError, address, get_json, json_object, send_json
from fleet.errors import ConfigurationError, DeviceError
from tests.agent.devices import SYSTEM, SledBmc
from tests.agent.server import served


def test_a_device_over_http_gives_the_same_as_in_process() -> None:
    bmc = SledBmc()
    with served({"s01/bmc": bmc}) as url:
        transport = HttpTransport(f"{url}/devices/s01/bmc", timeout_s=5.0)
        assert get_json(transport, SYSTEM) == get_json(bmc, SYSTEM)
        send_json(transport, "PATCH", f"{SYSTEM}/x", {"SetPoint": 1})
        transport.close()
    assert bmc.written == [("PATCH", f"{SYSTEM}/x", {"SetPoint": 1})]


def test_a_port_without_a_server_is_no_answer() -> None:
    with served({}) as url:
        pass
    transport = HttpTransport(url.replace("http://", "http://root:secret@"))
    with pytest.raises(NoAnswerError, match="does not answer") as caught:
        transport.request("GET", "/")
    assert "secret" not in str(caught.value)
    transport.close()


def test_a_refusal_carries_the_words_of_the_device() -> None:
    with pytest.raises(DeviceError, match="HTTP 404: no resource at /redfish/v1/Nothing"):
        get_json(SledBmc(), "/redfish/v1/Nothing")


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[1]", b"1", b"[" * 100_000])
def test_what_is_no_json_object_is_a_device_error(data: bytes) -> None:
    with pytest.raises(DeviceError):
        json_object(data, "here")


@pytest.mark.parametrize("url", ["", "h1/us01", "ftp://host/", "http://", "http://[::1"])
def test_what_is_no_address_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError):
        address(url)


class Counting(BaseHTTPRequestHandler):
    """Answers with what was asked; says goodbye after each answer if its server wants that."""

    protocol_version = "HTTP/1.1"
    connections: ClassVar[list[int]] = []
    leaves: ClassVar[bool] = False

    def setup(self) -> None:
        super().setup()
        self.connections.append(1)

    def do_GET(self) -> None:
        asked = {"path": self.path, "log_in": self.headers.get("Authorization")}
        body = json.dumps(asked).encode() if self.path != "/flood" else b" " * (2**22 + 1)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        # Not announced: as a device that restarts, or tidies up idle connections.
        self.close_connection = self.leaves

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


@contextmanager
def counting(*, leaves: bool = False) -> Iterator[tuple[str, list[int]]]:
    class Handler(Counting):
        connections: ClassVar[list[int]] = []

    Handler.leaves = leaves
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", Handler.connections
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_requests_share_a_connection_while_it_lives() -> None:
    with counting() as (place, connections):
        transport = HttpTransport(f"http://{place}", timeout_s=5.0)
        for _ in range(5):
            get_json(transport, "/")
        assert len(connections) == 1
        transport.close()


def test_a_connection_that_the_device_ended_is_not_used_again() -> None:
    with counting(leaves=True) as (place, connections):
        transport = HttpTransport(f"http://{place}", timeout_s=5.0)
        get_json(transport, "/")
        [kept] = transport._idle
        assert kept.sock is not None
        select.select([kept.sock], [], [], 5.0)  # its end has come through
        get_json(transport, "/")
        assert len(connections) == 2
        transport.close()


def test_an_address_may_carry_a_log_in_and_links_what_they_like() -> None:
    with counting() as (place, _):
        transport = HttpTransport(f"http://root:s%40fe@{place}/bmc/", timeout_s=5.0)
        asked = get_json(transport, "/Sensors/Öl 1?$expand=*($levels=1)#/Members/0")
        transport.close()
    assert asked["path"] == "/bmc/Sensors/%C3%96l%201?$expand=*($levels=1)"
    assert asked["log_in"] == f"Basic {b64encode(b'root:s@fe').decode()}"


def test_an_endless_answer_is_a_device_error_and_its_connection_is_dropped() -> None:
    with counting() as (place, connections):
        transport = HttpTransport(f"http://{place}", timeout_s=5.0)
        with pytest.raises(DeviceError, match="answer of more than"):
            transport.request("GET", "/flood")
        get_json(transport, "/")
        assert len(connections) == 2
        transport.close()
