"""Child processes of the tests: free ports, waiting, an end for sure."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final, Protocol

import typer

from isotherm.servers.components import MissingComponentError

_BIND_ATTEMPTS: Final = 3


class StartError(Exception):
    """A server did not come up; the message holds the tail of its log."""


def free_ports(count: int) -> list[int]:
    """Loopback TCP ports that nobody listens on now. Another process may still take one before
    the caller does, see `start_on_free_ports`.
    """
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(s.getsockname()[1]) for s in sockets]
    for s in sockets:
        s.close()
    return ports


def start_on_free_ports(start: Callable[[], None], stop: Callable[[], None]) -> None:
    """`start` on ports that it picks anew, again where another process took one before it."""
    for attempt in range(1, _BIND_ATTEMPTS + 1):
        try:
            start()
            return
        except StartError as failed:
            stop()
            if "already in use" not in str(failed) or attempt == _BIND_ATTEMPTS:
                raise


def dies_with_parent(command: list[str]) -> list[str]:
    """Lets the kernel end the child when the starting thread is gone, so that a killed test run
    leaves no server behind. Unchanged where util-linux' setpriv is not installed.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", *command] if setpriv else command


def tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def wait_until(
    ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, timeout_s: float
) -> None:
    """Polls `ready`; raises `StartError` when the process ends first or the time is over."""
    deadline_s = time.monotonic() + timeout_s
    while not ready():
        if process.poll() is not None:
            raise StartError(f"ended with code {process.returncode}; log ends:\n{tail(log)}")
        if time.monotonic() > deadline_s:
            raise StartError(f"not ready after {timeout_s:g} s; log ends:\n{tail(log)}")
        time.sleep(0.05)


def end(
    process: subprocess.Popen[bytes], first: signal.Signals = signal.SIGTERM, grace_s: float = 10
) -> None:
    """Asks with `first`, waits `grace_s`, then kills. A stopped (SIGSTOP) process is woken, since
    it could not answer.
    """
    if process.poll() is not None:
        return
    process.send_signal(first)
    process.send_signal(signal.SIGCONT)
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Server(Protocol):
    """What both servers of this folder offer."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def wait(self) -> int: ...


def run_in_foreground(server: Server, greeting: Callable[[], str]) -> None:
    """Serves a person until Ctrl-C or SIGTERM; `greeting` is asked once the server is up."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        server.start()
        typer.echo(f"{greeting()}  (Ctrl-C ends it and deletes its data)")
        server.wait()
    except KeyboardInterrupt:
        typer.echo("stopping")
    except (MissingComponentError, StartError) as failed:
        typer.echo(f"error: {failed}", err=True)
        raise SystemExit(1) from None
    finally:
        server.stop()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
