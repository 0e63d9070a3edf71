"""From the spool to the bus: each message once, and never in the way of a tick."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Final

import msgspec

from agent.spool import Record, Spool
from fleet.bus import Bus, Position
from fleet.clock import Clock
from fleet.topics import SCHEMAS, TOPICS, Topic

_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 5.0
_QUIET_S: Final = 1.0
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

    With a `catch_up_ratio` there are two lanes: what is new goes first, and of the backlog (what
    was there before the bus was) at most so many messages for each new one, so that a site that
    comes back does not starve the control of the others; a site that has had nothing new to say
    for a second sends a window of it. Without, all goes in order.

    `settled` is called, on any thread, when the fate of something that was sent is known.
    """

    def __init__(
        self,
        bus: Bus,
        spool: Spool,
        clock: Clock,
        *,
        schemas: Mapping[str, bytes] | None = None,
        catch_up_ratio: float | None = None,
        window: int = 64,
        burst: int = 1024,
        settled: Callable[[], None] = lambda: None,
    ) -> None:
        self._bus = bus
        self._spool = spool
        self._clock = clock
        self._schemas = dict(schemas or {})
        self._introduced = not self._schemas
        self._introductions: list[Future[Position]] = []
        self._window = window
        self._burst = burst
        self._settled = settled
        self._flying: dict[int, Future[Position]] = {}
        self._catch_up_ratio = catch_up_ratio
        self._live = spool.newest
        """Up to here messages are backlog, or were sent as new ones."""
        self._allowed = float(window)
        """Messages of the backlog that may go now."""
        self._allowed_at_s = clock.monotonic_s()
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
            if not self._settle() or not self._introduce():
                return
            now_sent = self._send()
            if not now_sent:
                return
            sent += now_sent

    def _settle(self) -> bool:
        """Whether more may be sent."""
        landed = [index for index, future in self._flying.items() if future.done()]
        lost = [index for index in landed if self._flying[index].exception() is not None]
        if lost and len(landed) < len(self._flying):
            return False
        for index in landed:
            del self._flying[index]
        arrived = sorted({*landed} - {*lost})
        if arrived:
            self.counts["published"] += len(arrived)
            self._spool.confirm(arrived)
        if lost:
            self._spool.give_back(lost)
            self._fall_back(len(lost))
        elif arrived:
            self._wait_s = 0.0
        return self._clock.monotonic_s() >= self._again_s

    def _fall_back(self, lost: int) -> None:
        self.counts["publish_failures"] += lost
        self._wait_s = min(max(2 * self._wait_s, _FIRST_WAIT_S), _LONGEST_WAIT_S)
        self._again_s = self._clock.monotonic_s() + self._wait_s
        self._introduced = not self._schemas
        self._live = self._spool.newest

    def _introduce(self) -> bool:
        """Whether the bus has the schema documents."""
        if self._introduced:
            return True
        if not self._introductions:
            self._introductions = [
                self._publish(SCHEMAS, name, document) for name, document in self._schemas.items()
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
        if self._catch_up_ratio is None:
            return self._fly(self._spool.lend(free))
        new = self._spool.lend(free, after=self._live)
        now_s = self._clock.monotonic_s()
        if new:
            self._live = new[-1].index
            self._allowed = min(self._allowed, self._window) + self._catch_up_ratio * len(new)
            self._allowed_at_s = now_s
        elif free > 0 and now_s - self._allowed_at_s >= _QUIET_S:
            self._allowed = max(self._allowed, self._window)
            self._allowed_at_s = now_s
        # A quarter of the window is never the backlog's, so that what is new finds its place.
        room = min(free - self._window // 4, free - len(new), int(self._allowed))
        late = self._spool.lend(room, until=self._live) if room > 0 else []
        self._allowed -= len(late)
        self.counts["caught_up"] += len(late)
        return self._fly([*new, *late])

    def _fly(self, records: Sequence[Record]) -> int:
        for record in records:
            taken = unpack(record.payload)
            self._flying[record.index] = self._publish(_TOPICS[taken.topic], taken.key, taken.value)
        return len(records)

    def _publish(self, topic: Topic, key: str, value: bytes) -> Future[Position]:
        future = self._bus.publish(topic, key=key, value=value)
        future.add_done_callback(lambda _: self._settled())
        return future
