"""Frames of many agents, packed into few messages; each frame keeps its own name."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec
import structlog

from agent.publish import parcel, unpack
from agent.spool import Record, Thinned
from agent.thin import Thinner
from fleet.clock import NS_PER_S
from fleet.codec import MAX_FRAMES, Compression, Message, decode_message, encode_message
from fleet.errors import MalformedMessageError
from fleet.events import LossReason, Tombstone
from fleet.frame import Frame
from fleet.topics import TELEMETRY

_log: Final = structlog.get_logger("isotherm.agent")
_FRAME_BYTES: Final = 96
"""What the envelope says of a frame, with a long id."""

_Window = tuple[str, int]
"""Cooling loop and number of the span."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How frames become messages."""

    compression: Compression
    max_message_bytes: int

    def pack(self, frames: Iterable[tuple[str, Frame]]) -> Iterator[bytes]:
        """Parcels for the spool from (loop, frame) pairs; order within a loop is kept.

        A message is of one loop, and no larger than the limit, unless one frame alone is.
        """
        by_loop: dict[str, list[Frame]] = {}
        for loop, frame in frames:
            by_loop.setdefault(loop, []).append(frame)
        for loop, together in by_loop.items():
            for part in self._split(together):
                yield parcel(TELEMETRY, loop, encode_message(loop, part, self.compression))

    def _split(self, frames: Sequence[Frame]) -> Iterator[Sequence[Frame]]:
        first, held_bytes = 0, 0
        for place, frame in enumerate(frames):
            frame_bytes = frame.values.nbytes + frame.counters.nbytes + _FRAME_BYTES
            full = held_bytes + frame_bytes > self.max_message_bytes
            if place > first and (full or place - first >= MAX_FRAMES):
                yield frames[first:place]
                first, held_bytes = place, 0
            held_bytes += frame_bytes
        yield frames[first:]


class TelemetryContents:
    """What a spool of telemetry holds, and how the loss of any of it is told.

    `lives` are the agents here with their epochs; `tell` keeps a tombstone durably. Not safe
    between threads but for `dropped`.
    """

    def __init__(
        self,
        packing: Packing,
        thinner: Thinner,
        lives: Mapping[str, int],
        tell: Callable[[Sequence[Tombstone]], None],
    ) -> None:
        self._packing = packing
        self._thinner = thinner
        self._lives = lives
        self._tell = tell
        self._untold: dict[tuple[str, int], Tombstone] = {}
        """Of what only memory had: told once there is a place for it again."""

    def span_s(self, payload: bytes) -> float:
        frames = _frames(payload)
        return frames[0].dt_ns / NS_PER_S if frames else 0.0

    def thin(self, records: Sequence[Record], span_s: float) -> Thinned | None:
        span_ns = round(span_s * NS_PER_S)
        kept: list[Record] = []
        windows: dict[_Window, list[tuple[Record, Message]]] = {}
        for record in records:
            message = _message(record.payload)
            window = self._window(message, span_ns)
            if message is None or window is None:
                kept.append(record)
            else:
                windows.setdefault(window, []).append((record, message))
        merged: list[Frame] = []
        for held in windows.values():
            smaller, gone = self._merged(held, span_ns)
            kept += smaller
            merged += gone
        if not merged:
            return None
        stones = _stones(merged, LossReason.THINNED)
        return Thinned(
            records=sorted(kept, key=lambda record: record.index),
            declare=partial(self._tell, stones),
        )

    def dropped(self, payloads: Sequence[bytes], *, durable: bool) -> None:
        stones = _stones([f for p in payloads for f in _frames(p)], LossReason.DROPPED)
        if durable:
            self._tell(stones)
            return
        for stone in stones:
            name = (stone.agent, stone.epoch)
            before = self._untold.get(name, stone)
            self._untold[name] = msgspec.structs.replace(
                before, last_seq=stone.last_seq, t1_unix_ns=stone.t1_unix_ns
            )

    def tell_what_memory_lost(self) -> None:
        """Call it when the disk takes messages again, or when none are left."""
        if self._untold:
            untold, self._untold = self._untold, {}
            self._tell(list(untold.values()))

    def torn(self, last: bytes | None) -> None:
        newest = {frame.agent: frame for frame in (_frames(last) if last else ())}
        stones = [
            Tombstone(
                agent=agent,
                epoch=frame.epoch if (frame := newest.get(agent)) else epoch - 1,
                first_seq=frame.seq + 1 if frame else 0,
                last_seq=0,
                t0_unix_ns=frame.t0_unix_ns if frame else 0,
                t1_unix_ns=0,
                reason=LossReason.TORN,
            )
            for agent, epoch in self._lives.items()
        ]
        self._tell(stones)

    def _window(self, message: Message | None, span_ns: int) -> _Window | None:
        if message is None or not all(self._thinner.fits(f, span_ns) for f in message.frames):
            return None
        return message.loop, message.frames[0].t0_unix_ns // span_ns

    def _merged(
        self, held: Sequence[tuple[Record, Message]], span_ns: int
    ) -> tuple[list[Record], list[Frame]]:
        """Records that stand for those held, and the frames that went into them."""
        records = [record for record, _ in held]
        loop = held[0][1].loop
        frames = [frame for _, message in held for frame in message.frames]
        smaller = list(
            self._packing.pack((loop, one) for one in self._thinner.merge(frames, span_ns))
        )
        won = sum(map(len, smaller)) < sum(len(record.payload) for record in records)
        if not won or len(smaller) > len(records):
            return records, []
        indexes = [record.index for record in records[-len(smaller) :]]
        return [Record(*pair) for pair in zip(indexes, smaller, strict=True)], frames


def _stones(frames: Iterable[Frame], reason: LossReason) -> list[Tombstone]:
    """One for each life of an agent."""
    lives: dict[tuple[str, int], list[Frame]] = {}
    for frame in frames:
        lives.setdefault((frame.agent, frame.epoch), []).append(frame)
    return [
        Tombstone(
            agent=agent,
            epoch=epoch,
            first_seq=min(frame.seq for frame in lost),
            last_seq=max(frame.seq for frame in lost),
            t0_unix_ns=min(frame.t0_unix_ns for frame in lost),
            t1_unix_ns=max(frame.t0_unix_ns + frame.ticks * frame.dt_ns for frame in lost),
            reason=reason,
        )
        for (agent, epoch), lost in lives.items()
    ]


def _frames(payload: bytes) -> tuple[Frame, ...]:
    message = _message(payload)
    return () if message is None else message.frames


def _message(payload: bytes) -> Message | None:
    try:
        return decode_message(unpack(payload).value)
    except (MalformedMessageError, msgspec.DecodeError) as error:
        # Its checksum was right, so another version wrote it; it is kept as it is.
        _log.warning("spooled message not understood", error=str(error))
        return None
