import ipaddress
import socket

import httpx
import pytest

from controller.notify.address import Target, is_public, parse_receiver, resolve
from fleet.errors import ConfigurationError


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_inside_the_house(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_outside(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ftp://x/",
        "file:///etc/passwd",
        "//x",
        "http://",
        "http://ana:pw@x/",
        "http://x:99999/",
        "http://" + "x" * 3000,
    ],
)
def test_what_is_never_a_receiver(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_receiver(text)


def test_private_receivers_are_refused_unless_allowed() -> None:
    url = parse_receiver("http://127.0.0.1:9/x")
    with pytest.raises(ConfigurationError, match="not a public address"):
        resolve(url, allow_private=False)
    assert str(resolve(url, allow_private=True).address) == "127.0.0.1"


def test_one_forbidden_address_of_several_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    def two(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", (ip, 443)) for ip in ("8.8.8.8", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with pytest.raises(ConfigurationError):
        resolve(parse_receiver("https://rebind.example.org/"), allow_private=False)


def test_the_checked_address_is_the_one_connected_to() -> None:
    url = httpx.URL("https://alerts.example.org:8443/a?b=c")
    v4 = Target(url=url, address=ipaddress.ip_address("8.8.8.8"))
    v6 = Target(url=url, address=ipaddress.ip_address("2606:4700::1111"))
    assert str(v4.connect_url) == "https://8.8.8.8:8443/a?b=c"
    assert str(v6.connect_url) == "https://[2606:4700::1111]:8443/a?b=c"
