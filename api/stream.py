"""Live viewers: what is sent is made once a tick and given to all of them."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Literal, Protocol

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.counters import Counters

SUBPROTOCOL: Final = "isotherm.v1"
UNSUPPORTED_DATA: Final = 1003
POLICY_VIOLATION: Final = 1008


class PaintedTick(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A viewer's word that it has painted every plane up to `tick`."""

    type: Literal["ack"]
    tick: int


_decoder: Final = msgspec.json.Decoder(PaintedTick)


class ExpelledViewerError(Exception):
    """A viewer broke the protocol; `reason` names how, for counting."""

    def __init__(self, code: int, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.reason = reason
        self.detail = detail


class Viewer:
    """What one viewer is still to be sent: one slot a subject, in which the latest wins.

    So a viewer that does not read holds one message of each subject and one plane of each metric,
    however long it stalls. Planes wait while `max_unacked` ticks are not painted.
    """

    def __init__(self, max_unacked: int, wake: Callable[[], None]) -> None:
        self._max_unacked = max_unacked
        self._wake = wake
        self._texts: dict[str, str] = {}
        self._planes: dict[int, bytes] = {}
        self._planes_tick = 0
        self._unacked: list[int] = []
        self._last_sent = 0

    def offer_texts(self, texts: Mapping[str, str]) -> None:
        self._texts.update(texts)
        self._wake()

    def offer_planes(self, tick: int, planes: Mapping[int, bytes]) -> int:
        """How many planes that were never sent were replaced."""
        replaced = len(self._planes.keys() & planes.keys())
        self._planes.update(planes)
        self._planes_tick = tick
        self._wake()
        return replaced

    def acknowledge(self, tick: int) -> None:
        if tick > self._last_sent:
            raise ExpelledViewerError(
                POLICY_VIOLATION, "ack", f"acknowledges tick {tick}, which was never sent"
            )
        self._unacked = [waiting for waiting in self._unacked if waiting > tick]
        self._wake()

    def take(self) -> list[str | bytes]:
        """What may be sent now; texts first, since they name what planes show."""
        due: list[str | bytes] = list(self._texts.values())
        self._texts.clear()
        if self._planes and len(self._unacked) < self._max_unacked:
            due.extend(self._planes.values())
            self._planes.clear()
            self._unacked.append(self._planes_tick)
            self._last_sent = self._planes_tick
        return due

    @property
    def held_bytes(self) -> int:
        """What waits in the slots."""
        return sum(map(len, self._texts.values())) + sum(map(len, self._planes.values()))


class Source(Protocol):
    """Where viewers come from and what they are shown."""

    async def join(self, viewer: Viewer) -> None: ...

    def leave(self, viewer: Viewer) -> None: ...


async def serve_viewer(
    socket: WebSocket, source: Source, counters: Counters, max_unacked: int
) -> None:
    """Feed an accepted socket until either side ends it."""
    due = asyncio.Event()
    viewer = Viewer(max_unacked, due.set)
    await source.join(viewer)
    sending = asyncio.create_task(_send(socket, viewer, due, counters))
    try:
        await _receive(socket, viewer)
    except ExpelledViewerError as error:
        counters.sockets_expelled[error.reason] += 1
        # The sender must be silent before the close, or it would write after it.
        await _end(sending)
        await socket.close(error.code, error.detail[:120])
    except WebSocketDisconnect:
        pass
    finally:
        source.leave(viewer)
        await _end(sending)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _send(socket: WebSocket, viewer: Viewer, due: asyncio.Event, counters: Counters) -> None:
    while True:
        await due.wait()
        due.clear()
        for item in viewer.take():
            # Waits while the socket is full; meanwhile only the slots change.
            if isinstance(item, str):
                await socket.send_text(item)
            else:
                await socket.send_bytes(item)
                counters.planes_sent += 1


async def _receive(socket: WebSocket, viewer: Viewer) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        if text is None:
            raise ExpelledViewerError(
                UNSUPPORTED_DATA, "binary", "viewers send text frames of JSON only"
            )
        viewer.acknowledge(parse_painted(text))


def parse_painted(text: str) -> int:
    """The tick of an acknowledgement; ExpelledViewerError for anything else."""
    try:
        painted = _decoder.decode(text)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeError) as error:
        raise ExpelledViewerError(
            POLICY_VIOLATION, "garbage", f'expected {{"type":"ack","tick":n}}: {error}'
        ) from error
    if painted.tick < 0:
        raise ExpelledViewerError(POLICY_VIOLATION, "ack", f"tick {painted.tick} is negative")
    return painted.tick
