"""Sockets of readers of Kafka: the client asks for 4 KiB at a time, a system call for each."""

import socket
from typing import Final

from kafka.net import KafkaNetSocket

WIDE_READS: Final = "wide-reads://"
"""As `proxy_url` of a consumer: no proxy, but sockets that take what is there in large pieces. Over
TLS the client reads as it always does.
"""
_READ_BYTES: Final = 64 * 2**10


class _WideReads(KafkaNetSocket):  # type: ignore[misc]
    """The client makes it for addresses with one of these schemes."""

    SCHEMES = ("wide-reads",)

    def socket(
        self,
        family: int = socket.AF_UNSPEC,
        sock_type: int = socket.SOCK_STREAM,
        proto: int = socket.IPPROTO_TCP,
    ) -> socket.socket:
        return _WideSocket(family, sock_type, proto)


class _WideSocket(socket.socket):
    def recv(self, size: int, flags: int = 0, /) -> bytes:
        return super().recv(max(size, _READ_BYTES), flags)
