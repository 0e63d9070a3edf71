import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Final

import structlog

from fleet.bus import Bus, Position, Reader, Start
from fleet.errors import BusUnavailableError, IsothermError
from fleet.topics import Topic

_log: Final = structlog.get_logger("isotherm.agent")
_RETRY_S: Final = 2.0


class LateBus:
    """A bus that may not be there yet: calls fail, and so are spooled, until a thread has
    connected. An agent must start, and protect its sled, without one.
    """

    def __init__(self, connect: Callable[[], Bus], laid_out: Callable[[Topic], Topic]) -> None:
        self._connect = connect
        self._laid_out = laid_out
        self._bus: Bus | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bus-connect", daemon=True)
        self._thread.start()

    def laid_out(self, topic: Topic) -> Topic:
        return self._laid_out(topic)

    def publish(self, topic: Topic, *, key: str, value: bytes) -> Future[Position]:
        if self._bus is None:
            future: Future[Position] = Future()
            future.set_exception(_away())
            return future
        return self._bus.publish(topic, key=key, value=value)

    def reader(
        self,
        topic: Topic,
        *,
        start: Start,
        group: str | None = None,
        partitions: Sequence[int] | None = None,
        offsets: Mapping[int, int] | None = None,
    ) -> Reader:
        if self._bus is None:
            raise _away()
        return self._bus.reader(
            topic, start=start, group=group, partitions=partitions, offsets=offsets
        )

    def flush(self, timeout_s: float) -> None:
        if self._bus is None:
            raise _away()
        self._bus.flush(timeout_s)

    def close(self) -> None:
        self._closed.set()
        if self._bus is not None:
            self._bus.close()

    def _run(self) -> None:
        told = ""
        while not self._closed.is_set():
            try:
                self._bus = self._connect()
            except IsothermError as error:
                # A wrong password or layout too: it may be put right while the sled is watched.
                if told != str(error):
                    _log.warning("no bus yet; frames wait in the spool", error=str(error))
                told = str(error)
                self._closed.wait(_RETRY_S)
            else:
                _log.info("bus connected")
                break
        if self._closed.is_set() and self._bus is not None:
            self._bus.close()


def _away() -> BusUnavailableError:
    return BusUnavailableError("the bus is not connected yet")
