"""Fake devices behind a real HTTP server on a free loopback port."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.agent.devices import Device

REPORT = (
    b'{"neuron_runtime_data": [], "system_data": {"memory_info": {"memory_used_bytes": 5e9}}}\n'
)


@contextmanager
def served(devices: dict[str, Device], listing: object = None) -> Iterator[str]:
    """Base address; a device answers under /devices/<its key>, a stream at .../neuron-monitor."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size) if size else None
            if self.path == "/devices":
                return self.reply(200, json.dumps(listing).encode())
            if self.path.endswith("/neuron-monitor"):
                return self.reply(200, REPORT)
            for name, device in devices.items():
                prefix = f"/devices/{name}"
                if self.path.startswith(prefix + "/"):
                    path = self.path.removeprefix(prefix)
                    return self.reply(*device.request(self.command, path, body))
            return self.reply(404, b"")

        def reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

        do_GET = do_PATCH = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - its names

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
