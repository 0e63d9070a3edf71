"""Prometheus remote write 0.1 as bytes: a snappy-compressed protobuf `WriteRequest`.

Source: prometheus/prometheus, prompb/remote.proto and types.proto; Prometheus remote-write
specification 1.0.
"""

import struct
from collections.abc import Iterable, Mapping
from typing import Final

import cramjam

HEADERS: Final = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


def encode_labels(name: str, labels: Mapping[str, str]) -> bytes:
    """The labels of a series, sorted as the specification wants; an empty value is no label."""
    pairs = sorted({"__name__": name, **labels}.items())
    return b"".join(
        _field(1, _field(1, key.encode()) + _field(2, value.encode()))
        for key, value in pairs
        if value
    )


def encode_series(labels: bytes, value: float, at_unix_ms: int) -> bytes:
    """One `TimeSeries` of a request, with one sample; `labels` as `encode_labels` gives them."""
    sample = b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(at_unix_ms)
    return _field(1, labels + _field(2, sample))


def encode_request(series: Iterable[bytes]) -> bytes:
    """The body to be posted, of what `encode_series` gave."""
    return bytes(cramjam.snappy.compress_raw(b"".join(series)))


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
