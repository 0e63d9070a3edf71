"""Frames of many agents, packed into one message a cooling loop."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from agent.publish import parcel, unpack
from fleet.codec import MAX_FRAMES, Compression, decode_message, encode_message
from fleet.errors import MalformedMessageError
from fleet.frame import Frame
from fleet.topics import TELEMETRY


def pack(frames: Iterable[tuple[str, Frame]], compression: Compression) -> Iterator[bytes]:
    """Parcels for the spool from (loop, frame) pairs; order within a loop is kept."""
    by_loop: dict[str, list[Frame]] = {}
    for loop, frame in frames:
        by_loop.setdefault(loop, []).append(frame)
    for loop, together in by_loop.items():
        for first in range(0, len(together), MAX_FRAMES):
            message = encode_message(loop, together[first : first + MAX_FRAMES], compression)
            yield parcel(TELEMETRY, loop, message)


def declare(payloads: Sequence[bytes]) -> list[tuple[str, int, int, int]]:
    """(agent, epoch, first seq, last seq) of what the spool had to drop, for its tombstone."""
    ranges: dict[tuple[str, int], tuple[int, int]] = {}
    for payload in payloads:
        for frame in _frames(payload):
            first, last = ranges.get((frame.agent, frame.epoch), (frame.seq, frame.seq))
            ranges[frame.agent, frame.epoch] = (min(first, frame.seq), max(last, frame.seq))
    return [(agent, epoch, first, last) for (agent, epoch), (first, last) in ranges.items()]


def _frames(payload: bytes) -> tuple[Frame, ...]:
    try:
        return decode_message(unpack(payload).value).frames
    except (MalformedMessageError, msgspec.DecodeError):
        return ()
