import socket
from collections.abc import Iterator
from contextlib import contextmanager

from api.server import listen


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def listening(host: str, port: int) -> Iterator[None]:
    """Raises ConfigurationError now when the port can not be had later."""
    listen(host, port).close()
    yield
