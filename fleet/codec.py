"""Frames to bytes and back.

    magic "ISO2" | u32 length of the envelope | envelope, msgpack | body | u32 CRC-32C of all before

The envelope names every frame of the message, slab by slab; the body holds for each slab its
float32 block (frames, ticks, columns) and its u64 block (frames, ticks, counters), little-endian,
row-major. The decoder is strict: it bounds every size before it allocates, and gives nothing of a
message that is wrong anywhere.
"""

import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import StrEnum
from functools import cached_property
from itertools import groupby
from typing import Annotated, Any, Final

import crc32c
import lz4.block
import msgspec
import numpy as np
import zstandard

from fleet.errors import MalformedMessageError
from fleet.frame import MAX_COLUMNS, Frame, IntBlock, Slab

MAGIC: Final = b"ISO2"
MAX_MESSAGE_BYTES: Final = 8 * 2**20
MAX_BODY_BYTES: Final = 64 * 2**20
MAX_FRAMES: Final = 4096
MAX_TICKS: Final = 3600
_HEAD: Final = struct.Struct("<4sI")
_TAIL: Final = struct.Struct("<I")
_FLOAT: Final = np.dtype("<f4")
_COUNT: Final = np.dtype("<u8")


class Compression(StrEnum):
    NONE = "none"  # loopback and small fleets
    LZ4 = "lz4"  # little CPU
    ZSTD = "zstd"  # little network


_RAW_KEPT: Final = 512
_LONGEST_RAW_BYTES: Final = 16 * 2**10
"""Lists that senders repeat are decoded once. So many are kept, 16 MiB at the very most; a relay
says the same two in every message, of 1 to 3 KiB.
"""

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_SchemaId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
_Names = Annotated[tuple[_Name, ...], msgspec.Meta(min_length=1, max_length=MAX_FRAMES)]
_Counts = Annotated[tuple[_Count, ...], msgspec.Meta(min_length=1, max_length=MAX_FRAMES)]


class SlabHeader(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One slab's share of the envelope; the last four are lists with one entry a frame."""

    schema_id: _SchemaId
    dt_ns: _Count
    ticks: Annotated[int, msgspec.Meta(ge=1, le=MAX_TICKS)]
    columns: Annotated[int, msgspec.Meta(ge=0, le=MAX_COLUMNS)]
    counters: Annotated[int, msgspec.Meta(ge=0, le=MAX_COLUMNS)]
    agents: msgspec.Raw
    """Of names; a list that is said again and again is decoded once."""
    epochs: msgspec.Raw
    """Of counts, alike."""
    seqs: _Counts
    t0_unix_ns: _Counts

    @property
    def body_bytes(self) -> int:
        return len(self.seqs) * self.ticks * (4 * self.columns + 8 * self.counters)


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    loop: _Name
    compression: Compression
    body_bytes: Annotated[int, msgspec.Meta(ge=0, le=MAX_BODY_BYTES)]
    slabs: Annotated[tuple[SlabHeader, ...], msgspec.Meta(min_length=1, max_length=MAX_FRAMES)]


class Message(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The frames of one cooling loop that travelled together."""

    loop: str
    slabs: tuple[Slab, ...]

    @cached_property
    def frames(self) -> tuple[Frame, ...]:
        return tuple(frame for slab in self.slabs for frame in slab.frames())


_decoder: Final = msgspec.msgpack.Decoder(Envelope)
_decode_names: Final = msgspec.msgpack.Decoder(_Names).decode
_decode_counts: Final = msgspec.msgpack.Decoder(_Counts).decode
_encoder: Final = msgspec.msgpack.Encoder()
_names_said: Final[dict[bytes, tuple[str, ...]]] = {}
_epochs_said: Final[dict[bytes, IntBlock]] = {}


def encode_message(
    loop: str, frames: Sequence[Frame], compression: Compression = Compression.NONE
) -> bytes:
    """Frames that follow each other and have one form become one slab; their order is kept."""
    headers: list[SlabHeader] = []
    blocks: list[Any] = []
    for together in _runs(frames):
        headers.append(_header(together))
        blocks += _blocks([frame.values for frame in together], _FLOAT)
        blocks += _blocks([frame.counters for frame in together], _COUNT)
    body_bytes = sum([header.body_bytes for header in headers])
    if compression is not Compression.NONE:
        blocks = [_compress(_joined(blocks), compression)]
    envelope = _encoder.encode(
        Envelope(loop=loop, compression=compression, body_bytes=body_bytes, slabs=tuple(headers))
    )
    # Joined once, as what a message costs is mostly how often its bytes are copied.
    message = _joined([_HEAD.pack(MAGIC, len(envelope)), envelope, *blocks])
    if compression is Compression.NONE and len(message) != _HEAD.size + len(envelope) + body_bytes:
        raise ValueError(f"frames of {loop} that name one schema differ in their columns")
    return message + _TAIL.pack(crc32c.crc32c(message))


def _runs(frames: Sequence[Frame]) -> Iterable[Sequence[Frame]]:
    """Frames that follow each other and have one form."""
    if _alike(frames):
        return (frames,)
    return (list(run) for _, run in groupby(frames, key=_form))


def _alike(frames: Sequence[Frame]) -> bool:
    """Whether all are of one form, as a relay's nearly always are. Column by column, and no more
    than tells: a look at every frame's form would be a third of what a message costs.
    """
    count, first = len(frames), frames[0]
    values = [frame.values for frame in frames]
    return (
        [frame.schema_id for frame in frames].count(first.schema_id) == count
        and [frame.dt_ns for frame in frames].count(first.dt_ns) == count
        and list(map(len, values)).count(first.ticks) == count
        and [block.dtype for block in values].count(_FLOAT) == count
        and [frame.counters.dtype for frame in frames].count(_COUNT) == count
    )


def _form(frame: Frame) -> tuple[object, ...]:
    values, counters = frame.values, frame.counters
    # The types too, so that one look at the first block of a run tells of all.
    form = (values.shape, values.dtype, counters.shape, counters.dtype)
    return frame.schema_id, frame.dt_ns, form


def _header(frames: Sequence[Frame]) -> SlabHeader:
    first = frames[0]
    return SlabHeader(
        first.schema_id,
        first.dt_ns,
        first.ticks,
        first.values.shape[1],
        first.counters.shape[1],
        msgspec.Raw(_encoder.encode([frame.agent for frame in frames])),
        msgspec.Raw(_encoder.encode([frame.epoch for frame in frames])),
        tuple([frame.seq for frame in frames]),
        tuple([frame.t0_unix_ns for frame in frames]),
    )


def _blocks(blocks: list[Any], wanted: np.dtype[Any]) -> list[Any]:
    """Blocks of one type in the type in which they travel."""
    if blocks[0].dtype == wanted:
        return blocks
    return [block.astype(wanted) for block in blocks]


def _joined(parts: list[Any]) -> bytes:
    with suppress(TypeError):  # a block that is not contiguous
        return b"".join(parts)
    return b"".join([part if isinstance(part, bytes) else part.tobytes() for part in parts])


def decode_message(data: bytes) -> Message:
    """Raises MalformedMessageError, saying what is wrong; the arrays are views of `data`."""
    envelope, body = _open(data)
    wanted = sum([header.body_bytes for header in envelope.slabs])
    if wanted != envelope.body_bytes or wanted != len(body):
        raise MalformedMessageError(
            f"body of {len(body)} bytes where the slab headers name {wanted}"
        )
    slabs = []
    offset = 0
    for header in envelope.slabs:
        slabs.append(_slab(header, body, offset))
        offset += header.body_bytes
    return Message(loop=envelope.loop, slabs=tuple(slabs))


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
    if sum([len(header.seqs) for header in envelope.slabs]) > MAX_FRAMES:
        raise MalformedMessageError(f"more than {MAX_FRAMES} frames in one message")
    body = view[_HEAD.size + envelope_bytes : end]
    return envelope, _decompress(body, envelope.compression, envelope.body_bytes)


def _slab(header: SlabHeader, body: bytes | memoryview, offset: int) -> Slab:
    try:
        agents, epochs = _names(header.agents), _epochs(header.epochs)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise MalformedMessageError(f"envelope: {error}") from error
    frames = len(agents)
    if not frames == len(epochs) == len(header.seqs) == len(header.t0_unix_ns):
        raise MalformedMessageError(f"slab of {frames} agents with other numbers of epochs or seqs")
    values = (frames, header.ticks, header.columns)
    counters = (frames, header.ticks, header.counters)
    float_bytes = _FLOAT.itemsize * frames * header.ticks * header.columns
    return Slab(
        schema_id=header.schema_id,
        dt_ns=header.dt_ns,
        agents=agents,
        epochs=epochs,
        seqs=np.fromiter(header.seqs, np.int64, frames),
        t0_unix_ns=np.fromiter(header.t0_unix_ns, np.int64, frames),
        values=np.ndarray(values, _FLOAT, body, offset),
        counters=np.ndarray(counters, _COUNT, body, offset + float_bytes),
    )


def _names(raw: msgspec.Raw) -> tuple[str, ...]:
    data = bytes(raw)
    names = _names_said.get(data)
    if names is None:
        names = _decode_names(data)
        _keep(_names_said, data, names)
    return names


def _epochs(raw: msgspec.Raw) -> IntBlock:
    data = bytes(raw)
    epochs = _epochs_said.get(data)
    if epochs is None:
        epochs = np.array(_decode_counts(data), np.int64)
        epochs.setflags(write=False)  # all messages that say the same share it
        _keep(_epochs_said, data, epochs)
    return epochs


def _keep(said: dict[bytes, Any], data: bytes, value: object) -> None:
    if len(data) > _LONGEST_RAW_BYTES:
        return
    if len(said) >= _RAW_KEPT:
        said.clear()
    said[data] = value


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
