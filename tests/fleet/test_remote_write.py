import struct
from collections.abc import Iterator

import cramjam
from hypothesis import given
from hypothesis import strategies as st

from fleet.remote_write import encode_labels, encode_request, encode_series

NAMES = st.text("abcdefghij_", min_size=1, max_size=20)


def fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Of a protobuf message: number and value."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        else:
            length = 8 if tag & 7 == 1 else varint()
            yield tag >> 3, data[at : at + length]
            at += length


def messages(data: bytes, number: int) -> list[bytes]:
    return [value for found, value in fields(data) if found == number and isinstance(value, bytes)]


@given(
    name=NAMES,
    labels=st.dictionaries(NAMES, st.text(max_size=200), max_size=5),
    value=st.floats(allow_nan=False),
    at_unix_ms=st.integers(0, 2**62),
)
def test_a_series_comes_back_from_the_bytes(
    name: str, labels: dict[str, str], value: float, at_unix_ms: int
) -> None:
    body = encode_request([encode_series(encode_labels(name, labels), value, at_unix_ms)] * 2)
    first, second = messages(bytes(cramjam.snappy.decompress_raw(body)), 1)
    assert first == second
    pairs = [
        tuple(text.decode() for text in (messages(pair, 1)[0], messages(pair, 2)[0]))
        for pair in messages(first, 1)
    ]
    kept = {"__name__": name, **{key: text for key, text in labels.items() if text}}
    assert pairs == sorted(kept.items())
    ((sample),) = messages(first, 2)
    assert dict(fields(sample)) == {1: struct.pack("<d", value), 2: at_unix_ms}


def test_nothing_is_an_empty_request() -> None:
    assert bytes(cramjam.snappy.decompress_raw(encode_request([]))) == b""
