import errno
import socket
import threading
from typing import Final

import uvicorn
from fastapi import FastAPI

from api.options import ApiOptions
from fleet.errors import ConfigurationError, IsothermError

START_TIMEOUT_S: Final = 5.0


class ApiServer:
    """An app on its own thread, answering HTTP and WebSocket between `start` and `stop`."""

    def __init__(self, app: FastAPI, options: ApiOptions) -> None:
        self._app = app
        self._options = options
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.port = options.port

    @property
    def url(self) -> str:
        host = f"[{self._options.host}]" if ":" in self._options.host else self._options.host
        return f"http://{host}:{self.port}"

    def start(self) -> None:
        """Returns when it answers. Raises ConfigurationError when the port can not be had."""
        listener = listen(self._options.host, self._options.port)
        self.port = listener.getsockname()[1]
        self._server = _server(self._app, self._options)
        self._thread = threading.Thread(
            target=_run, args=(self._server, listener), name="api-server", daemon=True
        )
        self._thread.start()
        self._server.settled.wait(START_TIMEOUT_S)
        if not self._server.started:
            self.stop()
            raise IsothermError(f"the API at {self.url} did not start; its log says why")

    def stop(self) -> None:
        """Ends all connections; returns within 5 s."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(self._options.stop_timeout_s)
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join(1.0)
        self._server = self._thread = None


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; ConfigurationError in one line when the address can not be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigurationError(f"host {host!r} is not an address of this machine") from error
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        if error.errno == errno.EADDRINUSE:
            reason = "the port is in use; choose another with --port, or 0 for any free one"
        raise ConfigurationError(f"can not listen on {host} port {port}: {reason}") from error
    return listener


class _Server(uvicorn.Server):
    """Tells when it has started or failed to, so that nobody has to poll."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settled.set()


def _server(app: FastAPI, options: ApiOptions) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            log_config=None,  # the process has set up its own logging
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="websockets-sansio",
            ws_max_size=options.max_message_bytes,
            ws_per_message_deflate=False,  # planes are small, and are encoded once for all
            timeout_graceful_shutdown=2,
            lifespan="on",
        )
    )


def _run(server: _Server, listener: socket.socket) -> None:
    try:
        server.run(sockets=[listener])
    finally:
        server.settled.set()  # also when it could not start
        listener.close()
