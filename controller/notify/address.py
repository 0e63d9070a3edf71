"""Where a receiver may be: not inside the house, unless the operator says so.

An address is resolved once, checked, and connected to as it was checked, so that a name that
changes its answer in between (DNS rebinding) gains nothing.
"""

import ipaddress
import socket
from dataclasses import dataclass
from typing import Final

import httpx

from fleet.errors import ConfigurationError

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_MAX_URL: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A receiver whose address was checked: connect to `address`, speak to `url`."""

    url: httpx.URL
    address: IpAddress

    @property
    def connect_url(self) -> httpx.URL:
        return self.url.copy_with(host=str(self.address))


def parse_receiver(text: str) -> httpx.URL:
    """Raises ConfigurationError for what can never be a receiver."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError, TypeError) as error:
        raise ConfigurationError(f"webhook: not an address: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host or len(text) > _MAX_URL:
        raise ConfigurationError("webhook: the address must be http://HOST/... or https://HOST/...")
    if url.port is not None and not 0 < url.port < 65536:
        raise ConfigurationError(f"webhook: there is no port {url.port}")
    if url.userinfo:
        raise ConfigurationError("webhook: no user and password in the address, please")
    return url


def resolve(url: httpx.URL, *, allow_private: bool) -> Target:
    """Look the host up once. Raises ConfigurationError when any of its addresses is forbidden and
    OSError when it has none.
    """
    found = socket.getaddrinfo(
        url.host, url.port or (443 if url.scheme == "https" else 80), type=socket.SOCK_STREAM
    )
    addresses = [ipaddress.ip_address(str(place[4][0]).partition("%")[0]) for place in found]
    for address in addresses:
        if not allow_private and not is_public(address):
            raise ConfigurationError(
                f"webhook: {url.host} is at {address}, which is not a public address; "
                "allow private receivers in the controller's options if that is meant"
            )
    return Target(url=url, address=addresses[0])


def is_public(address: IpAddress) -> bool:
    """False for loopback, link-local, private, multicast and reserved addresses, also when they
    hide inside an IPv6 one.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or _nat64(address)
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


def _nat64(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
