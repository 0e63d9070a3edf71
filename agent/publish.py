"""From the spool to the bus: in order, each once, and never in the way of a tick."""

from collections import Counter, deque
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Final

import msgspec

from agent.spool import Record, Spool
from fleet.bus import Bus, Position
from fleet.clock import Clock
from fleet.topics import SCHEMAS, TOPICS, Topic

_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 5.0
_TOPICS: Final = {topic.name: topic for topic in TOPICS}


class Parcel(msgspec.Struct, frozen=True, array_like=True):
    """What the spool holds: a message and where it goes."""

    topic: str
    key: str
    value: bytes


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Parcel)


def parcel(topic: Topic, key: str, value: bytes) -> bytes:
    return _encoder.encode(Parcel(topic.name, key, value))


def unpack(payload: bytes) -> Parcel:
    """A payload of the spool; its checksum has been verified, so it is one of ours."""
    return _decoder.decode(payload)


class Publisher:
    """Empties one spool. `pump` is called by one thread.

    At most `window` messages are under way. When one is lost, nothing more is sent until the fate
    of all is known; then the lost ones go again, oldest first, after 1, 2, 4, 5 s. `schemas`
    (id -> document) go ahead of the first message, and again whenever the bus was away.
    """

    def __init__(
        self,
        bus: Bus,
        spool: Spool,
        clock: Clock,
        *,
        schemas: Mapping[str, bytes] | None = None,
        window: int = 64,
        burst: int = 1024,
    ) -> None:
        self._bus = bus
        self._spool = spool
        self._clock = clock
        self._schemas = dict(schemas or {})
        self._introduced = not self._schemas
        self._introductions: list[Future[Position]] = []
        self._window = window
        self._burst = burst
        self._flying: deque[tuple[int, Future[Position]]] = deque()
        self._landed: set[int] = set()
        self._sent = 0
        self._wait_s = 0.0
        self._again_s = 0.0
        self.counts: Counter[str] = Counter()

    @property
    def idle(self) -> bool:
        """Whether all that was spooled has been confirmed."""
        return not self._flying and not len(self._spool)

    def pump(self) -> None:
        """Send what is due and settle what has come back; never waits."""
        sent = 0
        while sent < self._burst:
            self._settle()
            if self._clock.monotonic_s() < self._again_s or not self._introduce():
                return
            now_sent = self._send()
            if not now_sent:
                return
            sent += now_sent

    def _settle(self) -> None:
        if any(future.done() and future.exception() for _, future in self._flying):
            self._settle_loss()
            return
        confirmed = 0
        while self._flying and self._flying[0][1].done():
            confirmed, _ = self._flying.popleft()
            self._landed.discard(confirmed)
            self.counts["published"] += 1
            self._wait_s = 0.0
        if confirmed:
            self._spool.confirm(confirmed)

    def _settle_loss(self) -> None:
        if not all(future.done() for _, future in self._flying):
            return
        self._landed.update(index for index, f in self._flying if f.exception() is None)
        lost = [index for index, future in self._flying if future.exception() is not None]
        self._flying.clear()
        # Only a row without holes may be forgotten; the rest is skipped when its turn comes.
        self._spool.confirm(lost[0] - 1)
        self._landed = {index for index in self._landed if index > lost[0]}
        self._sent = lost[0] - 1
        self._fall_back(len(lost))

    def _fall_back(self, lost: int) -> None:
        self.counts["publish_failures"] += lost
        self._wait_s = min(max(2 * self._wait_s, _FIRST_WAIT_S), _LONGEST_WAIT_S)
        self._again_s = self._clock.monotonic_s() + self._wait_s
        self._introduced = not self._schemas

    def _introduce(self) -> bool:
        """Whether the bus has the schema documents."""
        if self._introduced:
            return True
        if not self._introductions:
            self._introductions = [
                self._bus.publish(SCHEMAS, key=name, value=document)
                for name, document in self._schemas.items()
            ]
        if not all(future.done() for future in self._introductions):
            return False
        lost = sum(future.exception() is not None for future in self._introductions)
        self._introductions = []
        if lost:
            self._fall_back(lost)
            return False
        self._introduced = True
        return True

    def _send(self) -> int:
        free = self._window - len(self._flying)
        records = self._spool.read(self._sent, free) if free > 0 else []
        for record in records:
            self._sent = record.index
            self._flying.append((record.index, self._fly(record)))
        return len(records)

    def _fly(self, record: Record) -> Future[Position]:
        if record.index in self._landed:
            there: Future[Position] = Future()
            there.set_result(Position(partition=-1, offset=-1))
            return there
        taken = unpack(record.payload)
        return self._bus.publish(_TOPICS[taken.topic], key=taken.key, value=taken.value)
