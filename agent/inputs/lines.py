"""Where the lines of a neuron-monitor stream come from: a command, a recording, an address."""

import shlex
import socket
import subprocess
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import IO, Final, Protocol

from agent.transport import Endpoint
from fleet.errors import ConfigurationError, DeviceError

MAX_LINE_BYTES: Final = 2**20
_KEPT_LINES: Final = 64
_LONGEST_WAIT_S: Final = 30.0
_END_WAIT_S: Final = 1.0


class LineSource(Protocol):
    def read_lines(self) -> list[bytes]:
        """Complete lines since the last call; never blocks. DeviceError if the source is away."""


class FileLines:
    """A recorded stream, one report a call; DeviceError once it has ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise ConfigurationError(
                f"recording {path} can not be read: {error.strerror}"
            ) from error

    def read_lines(self) -> list[bytes]:
        try:
            line = self._file.readline(MAX_LINE_BYTES)
        except (OSError, ValueError) as error:
            raise DeviceError(f"recording {self._path}: {error}") from error
        if not line:
            raise DeviceError(f"recording {self._path} has ended")
        return [line]

    def close(self) -> None:
        self._file.close()


class _Stream(ABC):
    """Lines that a thread reads; opened again, with growing waits, whenever it ends."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lines: deque[bytes] = deque(maxlen=_KEPT_LINES)
        self._trouble: str | None = f"{name}: no line yet"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name[:15], daemon=True)
        self._thread.start()

    def read_lines(self) -> list[bytes]:
        taken: list[bytes] = []
        with suppress(IndexError):
            while True:
                taken.append(self._lines.popleft())
        if not taken and self._trouble is not None:
            raise DeviceError(self._trouble)
        return taken

    def close(self) -> None:
        self._stopping.set()
        self._interrupt()
        self._thread.join(2 * _END_WAIT_S)

    @abstractmethod
    def _pieces(self) -> Iterator[bytes]:
        """Bytes as they come until the stream ends; DeviceError says why it could not start."""

    @abstractmethod
    def _interrupt(self) -> None:
        """Make a blocked `_pieces` return."""

    def _run(self) -> None:
        wait_s = 1.0
        while not self._stopping.is_set():
            ended = f"{self.name} has ended"
            try:
                if self._drain(self._pieces()):
                    wait_s = 1.0
            except DeviceError as error:
                ended = str(error)
            self._trouble = f"{ended}; trying again in {wait_s:.0f} s"
            self._stopping.wait(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _drain(self, pieces: Iterator[bytes]) -> bool:
        """Whether at least one line came."""
        came = False
        for line in split_lines(pieces):
            self._lines.append(line)
            self._trouble = None
            came = True
        return came


def split_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Complete lines; of one longer than MAX_LINE_BYTES its first part, which no parser takes."""
    kept = b""
    skipping = False
    for piece in pieces:
        *complete, kept = (kept + piece).split(b"\n")
        for line in complete:
            if not skipping:
                yield line
            skipping = False
        if len(kept) > MAX_LINE_BYTES:
            if not skipping:
                yield kept[:MAX_LINE_BYTES]
            kept, skipping = b"", True


class CommandLines(_Stream):
    """Standard output of a command such as `neuron-monitor -c FILE`, started again if it ends."""

    def __init__(self, argv: Sequence[str]) -> None:
        if not argv:
            raise ConfigurationError("the neuron-monitor command is empty")
        self._argv = tuple(argv)
        self._process: subprocess.Popen[bytes] | None = None
        super().__init__(shlex.join(argv))

    def _pieces(self) -> Iterator[bytes]:
        try:
            process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise DeviceError(f"{self.name} can not be started: {error.strerror}") from error
        self._process = process
        if self._stopping.is_set():
            process.terminate()
        with process:
            if process.stdout is not None:
                yield from _blocks(process.stdout)
        raise DeviceError(f"{self.name} ended with code {process.returncode}")

    def _interrupt(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(_END_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _blocks(output: IO[bytes]) -> Iterator[bytes]:
    while block := output.read(65536):
        yield block


class HttpLines(_Stream):
    """A stream of JSON lines at an address, connected again if it ends."""

    def __init__(self, url: str, *, silence_s: float = 10.0) -> None:
        self._endpoint = Endpoint(url)
        self._silence_s = silence_s
        self._socket: socket.socket | None = None
        super().__init__(self._endpoint.name)

    def _pieces(self) -> Iterator[bytes]:
        with closing(self._endpoint.connection(self._silence_s)) as connection:
            try:
                connection.connect()
                self._socket = connection.sock
                if self._stopping.is_set():
                    return
                connection.request("GET", self._endpoint.whole, headers=self._endpoint.headers)
                with connection.getresponse() as response:
                    if response.status != HTTPStatus.OK:
                        raise DeviceError(f"{self.name}: HTTP {response.status}")
                    while piece := response.read1(65536):
                        yield piece
            except (OSError, HTTPException, ValueError) as error:
                reason = str(error) or type(error).__name__
                raise DeviceError(f"{self.name} does not answer: {reason}") from error

    def _interrupt(self) -> None:
        if self._socket is not None:
            # Closing a response that another thread reads is not safe; ending its connection is.
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
