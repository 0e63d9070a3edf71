import struct
from dataclasses import replace

import crc32c
import msgspec
import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from fleet.codec import MAX_BODY_BYTES, Compression, decode_message, encode_message
from fleet.errors import MalformedMessageError
from fleet.frame import MISSING_COUNT, Frame

SCHEMA = "0123456789abcdef"


def make_frame(ticks: int = 1, columns: int = 43, counters: int = 18, seed: int = 1) -> Frame:
    rng = np.random.default_rng(seed)
    values = rng.normal(60, 5, (ticks, columns)).astype(np.float32)
    values[0, 0] = np.nan
    counts = rng.integers(0, 2**63, (ticks, counters), dtype=np.uint64)
    counts[0, 0] = MISSING_COUNT
    return Frame(
        agent="h1/us01/r1/s01",
        epoch=3,
        seq=77,
        schema_id=SCHEMA,
        t0_unix_ns=1_760_000_000_000_000_000,
        dt_ns=1_000_000_000,
        values=values,
        counters=counts,
    )


def sealed(envelope: dict[str, object], body: bytes) -> bytes:
    """A message whose outer form is right, whatever the envelope claims."""
    packed = msgspec.msgpack.encode(envelope)
    message = struct.pack("<4sI", b"ISO2", len(packed)) + packed + body
    return message + struct.pack("<I", crc32c.crc32c(message))


def envelope(**changes: object) -> dict[str, object]:
    header = [SCHEMA, 1, 1, 2, 1, ["a"], [1], [1], [1]]
    full: dict[str, object] = {
        "loop": "h1/loop01",
        "compression": "none",
        "body_bytes": 16,
        "slabs": [header],
    }
    return full | changes


def slab(field: int, value: object) -> dict[str, object]:
    """An envelope with one field of its slab's header changed."""
    header: list[object] = [SCHEMA, 1, 1, 2, 1, ["a"], [1], [1], [1]]
    header[field] = value
    return envelope(slabs=[header])


@given(
    ticks=st.integers(1, 60),
    columns=st.integers(0, 50),
    counters=st.integers(0, 20),
    frames=st.integers(1, 5),
    compression=st.sampled_from(Compression),
)
def test_what_goes_in_comes_out(
    ticks: int, columns: int, counters: int, frames: int, compression: Compression
) -> None:
    sent = [
        make_frame(ticks, max(columns, 1), max(counters, 1), seed=number)
        for number in range(frames)
    ]
    message = decode_message(encode_message("h1/loop01", sent, compression))
    assert message.loop == "h1/loop01"
    for before, after in zip(sent, message.frames, strict=True):
        assert (after.agent, after.epoch, after.seq) == (before.agent, before.epoch, before.seq)
        assert (after.t0_unix_ns, after.dt_ns) == (before.t0_unix_ns, before.dt_ns)
        np.testing.assert_array_equal(after.values, before.values)
        np.testing.assert_array_equal(after.counters, before.counters)


def test_frames_of_one_form_travel_as_one_slab_and_keep_their_order() -> None:
    long = make_frame(ticks=2)
    sent = [make_frame(seed=1), make_frame(seed=2), long, make_frame(seed=3)]

    message = decode_message(encode_message("h1/loop01", sent))

    assert [len(slab) for slab in message.slabs] == [2, 1, 1]
    assert [frame.ticks for frame in message.frames] == [1, 1, 2, 1]
    alone = message.slabs[0].take([1])
    np.testing.assert_array_equal(alone.frame(0).values, sent[1].values)


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_decoder(data: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        decode_message(data)


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(place: int, bit: int) -> None:
    message = bytearray(encode_message("h1/loop01", [make_frame()]))
    message[place % len(message)] ^= 1 << bit
    with pytest.raises(MalformedMessageError):
        decode_message(bytes(message))


@given(st.integers(0, 10_000))
def test_any_truncation_is_noticed(length: int) -> None:
    message = encode_message("h1/loop01", [make_frame()])
    with pytest.raises(MalformedMessageError):
        decode_message(message[: length % len(message)])


@pytest.mark.parametrize(
    "hostile",
    [
        sealed(envelope(body_bytes=MAX_BODY_BYTES + 1), b"\0" * 16),
        sealed(envelope(slabs=[]), b""),
        sealed(slab(2, 3600), b"\0"),
        sealed(slab(2, 10**9), b"\0" * 16),
        sealed(slab(0, -1), b"\0" * 16),
        sealed(slab(0, "../../../passwd"), b"\0" * 16),
        sealed(slab(5, ["a", "b"]), b"\0" * 16),
        sealed(slab(6, [-1]), b"\0" * 16),
        sealed(slab(7, [1, 2]), b"\0" * 16),
        sealed(envelope(slabs=[[SCHEMA, 1, 1, 0, 0, ["a"] * 4096, *[[1] * 4096] * 3]] * 2), b""),
        sealed(envelope(body_bytes=15), b"\0" * 15),
        sealed(envelope(surprise=1), b"\0" * 16),
        sealed(envelope(compression="gzip"), b"\0" * 16),
        sealed(envelope(compression="lz4"), b"\xff" * 16),
        sealed(envelope(compression="zstd"), b"\xff" * 16),
        # A bomb: 32 MiB of zeros behind an envelope that owns up to 16 bytes only.
        sealed(envelope(compression="zstd"), zstandard.ZstdCompressor().compress(bytes(2**25))),
    ],
)
def test_hostile_envelopes_are_refused(hostile: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        decode_message(hostile)


def test_the_hand_made_envelope_is_otherwise_right() -> None:
    assert decode_message(sealed(envelope(), b"\0" * 16)).frames[0].values.shape == (1, 2)


def test_blocks_in_another_order_or_type_travel_as_the_same_numbers() -> None:
    plain = make_frame(ticks=4)
    fortran = replace(
        plain, values=np.asfortranarray(plain.values), counters=np.asfortranarray(plain.counters)
    )
    swapped = replace(plain, values=plain.values.astype(">f4"), counters=plain.counters[::-1])
    wide = replace(plain, values=plain.values.astype(np.float64))
    sent = [plain, fortran, swapped, wide]
    message = decode_message(encode_message("h1/loop01", sent))
    assert [len(slab) for slab in message.slabs] == [2, 1, 1]
    for frame, came in zip(sent, message.frames, strict=True):
        np.testing.assert_array_equal(came.values, frame.values.astype(np.float32))
        np.testing.assert_array_equal(came.counters, frame.counters)


def test_lists_that_were_said_before_are_not_taken_for_others() -> None:
    for epoch in (3, 4, 3):
        for names in (("a", "b"), ("a", "c"), ("a", "b")):
            sent = [replace(make_frame(), agent=name, epoch=epoch) for name in names]
            (slab,) = decode_message(encode_message("h1/loop01", sent)).slabs
            assert slab.agents == names
            assert slab.epochs.tolist() == [epoch] * 2


@pytest.mark.parametrize("field", [5, 6])
@pytest.mark.parametrize("wrong", [[], None, 7, [None], ["a" * 201], [2**63], [-1], [[1]], {}])
def test_a_wrong_list_is_refused_each_time_it_comes(field: int, wrong: object) -> None:
    hostile = sealed(slab(field, wrong), b"\0" * 16)
    for _ in range(2):
        with pytest.raises(MalformedMessageError):
            decode_message(hostile)


def test_a_slab_that_shares_what_was_said_before_can_not_be_written_to() -> None:
    (slab,) = decode_message(encode_message("h1/loop01", [make_frame()])).slabs
    with pytest.raises(ValueError, match="read-only"):
        slab.epochs[0] = 9


def test_more_senders_than_are_remembered_are_all_understood() -> None:
    for number in (*range(1200), 0, 1):
        frame = replace(make_frame(columns=1, counters=1), agent=f"sled{number}", epoch=number)
        (came,) = decode_message(encode_message("h1/loop01", [frame])).frames
        assert (came.agent, came.epoch) == (f"sled{number}", number)
