"""An ASGI app on loopback, in a thread of its own.

Loopback only: whoever reaches the port of a hall may switch sleds off.
"""

import errno
import socket
import threading
from typing import Final, Protocol

import uvicorn

from emulator.devices.over_http import Receive, Scope, Send
from fleet.errors import ConfigurationError, IsothermError

HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8470
"""Of an emulated hall."""
START_WITHIN_S: Final = 5.0
STOP_WITHIN_S: Final = 4.0
_GRACE_S: Final = 2


class ServedApp(Protocol):
    """An ASGI app whose streams end when it is told to stop."""

    def stop(self) -> None:
        """Ends streams; may be called from any thread."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class AppServer:
    """Serves an app between `start` and `stop`.

    `port` 0 takes a free one; `port` says which after `start`.
    """

    def __init__(
        self, app: ServedApp, *, port: int = 0, listener: socket.socket | None = None
    ) -> None:
        self.port = port
        self._app = app
        self._listener = listener
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Returns when it answers. Raises ConfigurationError when the port can not be had."""
        if self._thread is not None:
            raise RuntimeError("the endpoints are already served; stop them before")
        listener, self._listener = self._listener or listen(self.port), None
        self.port = int(listener.getsockname()[1])
        self._server = _Server(_config(self._app))
        self._thread = threading.Thread(
            target=_serve, args=(self._server, listener), name="emulator-http", daemon=True
        )
        self._thread.start()
        self._server.settled.wait(START_WITHIN_S)
        if not self._server.started:
            self.stop()
            raise IsothermError(f"the emulator at {self.url} did not start; its log says why")

    def stop(self) -> bool:
        """End streams and connections; False when the thread did not end within 5 s."""
        server, thread = self._server, self._thread
        if server is None or thread is None:
            return True
        self._app.stop()
        server.should_exit = True
        thread.join(STOP_WITHIN_S)
        if thread.is_alive():
            server.force_exit = True
            thread.join(1.0)
        self._server = self._thread = None
        return not thread.is_alive()


def listen(port: int) -> socket.socket:
    """A socket that listens on loopback; ConfigurationError in one line when it can not."""
    if not 0 <= port <= 65_535:
        raise ConfigurationError(f"can not listen on port {port}: ports are 0 to 65535")
    try:
        listener = socket.create_server((HOST, port), backlog=512)
        # Connections inherit it. asyncio sets it only on sockets that name their protocol, and
        # without it a reader's delayed acknowledgement holds up each answer for 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno == errno.EADDRINUSE:
            reason = "the port is in use; choose another, or 0 for any free one"
        raise ConfigurationError(f"can not listen on {HOST} port {port}: {reason}") from error


class _Server(uvicorn.Server):
    """Tells when it has started or failed to, so that nobody has to poll."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settled.set()


def _config(app: ServedApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,  # the process has set up its own logging
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="off",
        timeout_keep_alive=30,  # agents ask every second on connections that they keep
        timeout_graceful_shutdown=_GRACE_S,
    )


def _serve(server: _Server, listener: socket.socket) -> None:
    try:
        server.run(sockets=[listener])
    finally:
        server.settled.set()  # also when it could not start
        listener.close()
