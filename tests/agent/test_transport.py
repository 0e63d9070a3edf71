import pytest

from agent.transport import HttpTransport, NoAnswerError, address, get_json, json_object, send_json
from fleet.errors import ConfigurationError, DeviceError
from tests.agent.devices import SYSTEM, SledBmc
from tests.agent.server import served


def test_a_device_over_http_gives_the_same_as_in_process() -> None:
    bmc = SledBmc()
    with served({"s01/bmc": bmc}) as url:
        transport = HttpTransport(f"{url}/devices/s01/bmc", timeout_s=5.0)
        assert get_json(transport, SYSTEM) == get_json(bmc, SYSTEM)
        send_json(transport, "PATCH", f"{SYSTEM}/x", {"SetPoint": 1})
        transport.close()
    assert bmc.written == [("PATCH", f"{SYSTEM}/x", {"SetPoint": 1})]


def test_a_port_without_a_server_is_no_answer() -> None:
    with served({}) as url:
        pass
    transport = HttpTransport(url.replace("http://", "http://root:secret@"))
    with pytest.raises(NoAnswerError, match="does not answer") as caught:
        transport.request("GET", "/")
    assert "secret" not in str(caught.value)
    transport.close()


def test_a_refusal_carries_the_words_of_the_device() -> None:
    with pytest.raises(DeviceError, match="HTTP 404: no resource at /redfish/v1/Nothing"):
        get_json(SledBmc(), "/redfish/v1/Nothing")


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[1]", b"1", b"[" * 100_000])
def test_what_is_no_json_object_is_a_device_error(data: bytes) -> None:
    with pytest.raises(DeviceError):
        json_object(data, "here")


@pytest.mark.parametrize("url", ["", "h1/us01", "ftp://host/", "http://", "http://[::1"])
def test_what_is_no_address_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError):
        address(url)
