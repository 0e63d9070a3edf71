import json
from collections.abc import Iterator
from typing import Any

import pytest

from emulator.devices.cdu_redfish import CduRedfish
from emulator.devices.redfish import RedfishService
from emulator.devices.sled_bmc import SledBmc
from fleet.clock import ManualClock
from tests.emulator.devices.builders import HandHall

SENSORS = "/redfish/v1/Chassis/Sled/Sensors"
SERVICES = ("sled", "cdu")


def service(kind: str) -> RedfishService:
    if kind == "sled":
        return SledBmc(HandHall(), 0).service
    return CduRedfish(HandHall(), 0, ManualClock()).service


def get(device: RedfishService, path: str) -> Any:
    status, body = device.request("GET", path)
    assert status == 200, path
    return json.loads(body)


def links(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "@odata.id" in value:
            yield value["@odata.id"]
        for inner in value.values():
            yield from links(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from links(inner)


@pytest.mark.parametrize("kind", SERVICES)
def test_walk_from_the_service_root_finds_every_resource(kind: str) -> None:
    device = service(kind)
    found, waiting = set[str](), ["/redfish/v1/"]
    while waiting:
        path = waiting.pop()
        document = get(device, path)
        assert document["@odata.id"] == path
        assert document["@odata.type"].startswith("#")
        assert document["Name"]
        assert "Id" in document or "Members" in document
        found.add(path.rstrip("/"))
        waiting += [link for link in links(document) if link.rstrip("/") not in found]
    assert found == set(device.paths) - {"/redfish"}


@pytest.mark.parametrize("kind", SERVICES)
def test_members_are_the_same_alone_and_expanded(kind: str) -> None:
    device = service(kind)
    collections = 0
    for path in device.paths:
        document = get(device, path)
        if "Members" not in document:
            continue
        collections += 1
        expanded = get(device, f"{path}?$expand=*($levels=1)")["Members"]
        assert document["Members@odata.count"] == len(expanded) > 0
        assert all(set(member) == {"@odata.id"} for member in document["Members"])
        for member, whole in zip(document["Members"], expanded, strict=True):
            assert get(device, member["@odata.id"]) == whole
    assert collections >= 5


@pytest.mark.parametrize(
    "query", ["$expand=*($levels=1)", "%24expand=%2A%28%24levels%3D1%29", "$expand=.", "$expand=*"]
)
def test_expansion_in_every_spelling(query: str) -> None:
    assert "Reading" in get(service("sled"), f"{SENSORS}?{query}")["Members"][0]


@pytest.mark.parametrize(
    ("query", "status"),
    [("$expand=*($levels=2)", 400), ("$expand=~", 400), ("$filter=x", 501), ("vendor=1", 200)],
)
def test_queries_that_are_not_understood_are_refused(query: str, status: int) -> None:
    assert service("sled").request("GET", f"{SENSORS}?{query}")[0] == status


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/redfish/v1/Chassis/Other", 404, "ResourceMissingAtURI"),
        ("GET", "/", 404, "ResourceMissingAtURI"),
        ("GET", "//[", 404, "ResourceMissingAtURI"),
        ("DELETE", SENSORS, 405, "OperationNotAllowed"),
        ("PATCH", SENSORS, 405, "OperationNotAllowed"),
        ("GET", "/redfish/v1/Systems/Sled/Actions/ComputerSystem.Reset", 405, "OperationNotAll"),
        ("PATCH", "/redfish/v1/Chassis/Sled/Controls/TRN0_Power_Limit", 400, "MalformedJSON"),
    ],
)
def test_errors_have_the_redfish_form(method: str, path: str, status: int, message: str) -> None:
    answer = service("sled").handle(method, path)
    assert answer.status == status
    assert (status == 405) == any(name == "Allow" for name, _ in answer.headers)
    error = json.loads(answer.body)["error"]
    assert error["code"].startswith(f"Base.1.18.{message}")
    [extended] = error["@Message.ExtendedInfo"]
    assert extended["MessageId"] == error["code"]
    assert extended["Message"] == error["message"]


def test_a_trailing_slash_is_the_same_resource() -> None:
    device = service("sled")
    assert device.request("GET", SENSORS) == device.request("GET", f"{SENSORS}/")
    assert get(device, "/redfish") == {"v1": "/redfish/v1/"}
