"""Frames to bytes and back.

    magic "ISO1" | u32 length of the envelope | envelope, msgpack | body | u32 CRC-32C of all before

The envelope names every frame of the message; the body holds, frame by frame, its float32 block
and its u64 block, little-endian, row-major. The decoder is strict: it bounds every size before it
allocates, and gives nothing of a message that is wrong anywhere.
"""

import struct
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final

import crc32c
import lz4.block
import msgspec
import numpy as np
import zstandard

from fleet.errors import MalformedMessageError
from fleet.frame import MAX_COLUMNS, Frame

MAGIC: Final = b"ISO1"
MAX_MESSAGE_BYTES: Final = 8 * 2**20
MAX_BODY_BYTES: Final = 64 * 2**20
MAX_FRAMES: Final = 4096
MAX_TICKS: Final = 3600
_HEAD: Final = struct.Struct("<4sI")
_TAIL: Final = struct.Struct("<I")


class Compression(StrEnum):
    NONE = "none"  # loopback and small fleets
    LZ4 = "lz4"  # little CPU
    ZSTD = "zstd"  # little network


_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class FrameHeader(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    agent: _Name
    epoch: _Count
    seq: _Count
    schema_id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    t0_unix_ns: _Count
    dt_ns: _Count
    ticks: Annotated[int, msgspec.Meta(ge=1, le=MAX_TICKS)]
    columns: Annotated[int, msgspec.Meta(ge=0, le=MAX_COLUMNS)]
    counters: Annotated[int, msgspec.Meta(ge=0, le=MAX_COLUMNS)]

    @property
    def body_bytes(self) -> int:
        return self.ticks * (4 * self.columns + 8 * self.counters)


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    loop: _Name
    compression: Compression
    body_bytes: Annotated[int, msgspec.Meta(ge=0, le=MAX_BODY_BYTES)]
    frames: Annotated[tuple[FrameHeader, ...], msgspec.Meta(min_length=1, max_length=MAX_FRAMES)]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """The frames of one cooling loop that travelled together."""

    loop: str
    frames: tuple[Frame, ...]


_decoder: Final = msgspec.msgpack.Decoder(Envelope)
_encoder: Final = msgspec.msgpack.Encoder()


def encode_message(
    loop: str, frames: Sequence[Frame], compression: Compression = Compression.NONE
) -> bytes:
    headers = tuple(
        FrameHeader(
            frame.agent,
            frame.epoch,
            frame.seq,
            frame.schema_id,
            frame.t0_unix_ns,
            frame.dt_ns,
            frame.ticks,
            frame.values.shape[1],
            frame.counters.shape[1],
        )
        for frame in frames
    )
    body = b"".join(
        block
        for frame in frames
        for block in (
            frame.values.astype("<f4", copy=False).tobytes(),
            frame.counters.astype("<u8", copy=False).tobytes(),
        )
    )
    envelope = _encoder.encode(
        Envelope(loop=loop, compression=compression, body_bytes=len(body), frames=headers)
    )
    message = b"".join((_HEAD.pack(MAGIC, len(envelope)), envelope, _compress(body, compression)))
    return message + _TAIL.pack(crc32c.crc32c(message))


def decode_message(data: bytes) -> Message:
    """Raises MalformedMessageError, saying what is wrong; the arrays are views of `data`."""
    envelope, body = _open(data)
    wanted = sum(header.body_bytes for header in envelope.frames)
    if wanted != envelope.body_bytes or wanted != len(body):
        raise MalformedMessageError(
            f"body of {len(body)} bytes where the frame headers name {wanted}"
        )
    frames = []
    offset = 0
    for header in envelope.frames:
        frames.append(_frame(header, body, offset))
        offset += header.body_bytes
    return Message(loop=envelope.loop, frames=tuple(frames))


def _open(data: bytes) -> tuple[Envelope, bytes | memoryview]:
    if not _HEAD.size + _TAIL.size <= len(data) <= MAX_MESSAGE_BYTES:
        raise MalformedMessageError(f"a message of {len(data)} bytes is outside the allowed sizes")
    magic, envelope_bytes = _HEAD.unpack_from(data)
    if magic != MAGIC:
        raise MalformedMessageError(f"starts with {magic!r}, not with {MAGIC!r}")
    end = len(data) - _TAIL.size
    if envelope_bytes > end - _HEAD.size:
        raise MalformedMessageError(f"envelope of {envelope_bytes} bytes does not fit: truncated")
    view = memoryview(data)
    if crc32c.crc32c(view[:end]) != _TAIL.unpack_from(data, end)[0]:
        raise MalformedMessageError("checksum does not match: truncated or changed on the way")
    try:
        envelope = _decoder.decode(view[_HEAD.size : _HEAD.size + envelope_bytes])
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise MalformedMessageError(f"envelope: {error}") from error
    body = view[_HEAD.size + envelope_bytes : end]
    return envelope, _decompress(body, envelope.compression, envelope.body_bytes)


def _frame(header: FrameHeader, body: bytes | memoryview, offset: int) -> Frame:
    values = header.ticks * header.columns
    counters = header.ticks * header.counters
    return Frame(
        agent=header.agent,
        epoch=header.epoch,
        seq=header.seq,
        schema_id=header.schema_id,
        t0_unix_ns=header.t0_unix_ns,
        dt_ns=header.dt_ns,
        values=np.frombuffer(body, "<f4", values, offset).reshape(header.ticks, header.columns),
        counters=np.frombuffer(body, "<u8", counters, offset + 4 * values).reshape(
            header.ticks, header.counters
        ),
    )


def _compress(body: bytes, compression: Compression) -> bytes:
    match compression:
        case Compression.NONE:
            return body
        case Compression.LZ4:
            compressed: bytes = lz4.block.compress(body, store_size=False)
            return compressed
        case Compression.ZSTD:
            return zstandard.ZstdCompressor(level=1).compress(body)


def _decompress(body: memoryview, compression: Compression, body_bytes: int) -> bytes | memoryview:
    try:
        match compression:
            case Compression.NONE:
                return body
            case Compression.LZ4:
                opened: bytes = lz4.block.decompress(body, uncompressed_size=body_bytes)
                return opened
            case Compression.ZSTD:
                # The size in the zstd frame is the sender's word too; never allocate by it.
                if zstandard.frame_content_size(body) != body_bytes:
                    raise MalformedMessageError("compressed body: its size is not the envelope's")
                return zstandard.ZstdDecompressor().decompress(body)
    except (lz4.block.LZ4BlockError, zstandard.ZstdError, ValueError) as error:
        raise MalformedMessageError(f"compressed body: {error}") from error
