import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from emulator.app_server import listen
from emulator.datacenter import World
from emulator.devices.catalogue import Devices
from emulator.endpoints import EmulatorServer
from emulator.options import EmulatorOptions
from emulator.readings import JobSpec
from fleet.clock import ManualClock
from fleet.errors import ConfigurationError, UnknownIdError
from fleet.topology import FleetMap, trn3_datacenter

SLED = "h1/us01/r2/s07"
CDU = "h1/cdu01"
EXPAND = "?$expand=*($levels=1)"
SENSORS = f"/redfish/v1/Chassis/Sled/Sensors{EXPAND}"


class Bench:
    """A world that stands still, served; and a client of it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        fleet_map = FleetMap(trn3_datacenter(ultraservers=1))
        rng = np.random.default_rng(0)
        self.world = World(EmulatorOptions(), fleet_map, rng, self.clock)
        self.devices = Devices(self.world, self.clock)
        self.alive = True
        self.server = EmulatorServer(self.world, self.devices, alive=lambda: self.alive)
        self.server.start()
        self.client = httpx.Client(base_url=self.server.url, trust_env=False)

    def close(self) -> None:
        self.client.close()
        assert self.server.stop()


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    served = Bench()
    yield served
    served.close()


@pytest.mark.parametrize(
    ("method", "owner", "path", "body"),
    [
        ("GET", SLED, SENSORS, None),
        ("GET", SLED, "/redfish/v1/", None),
        ("GET", SLED, "/redfish/v1/Nothing", None),
        ("DELETE", SLED, "/redfish/v1/Chassis", None),
        ("PATCH", SLED, "/redfish/v1/Chassis/Sled/Controls/TRN1_Power_Limit", b'{"SetPoint":700}'),
        ("PATCH", SLED, "/redfish/v1/Chassis/Sled/Controls/TRN1_Power_Limit", b'{"SetPoint":7}'),
        (
            "POST",
            SLED,
            "/redfish/v1/Systems/Sled/Actions/ComputerSystem.Reset",
            b'{"ResetType":"On"}',
        ),
        ("GET", CDU, f"/redfish/v1/ThermalEquipment/CDUs/1/Pumps{EXPAND}", None),
        ("PATCH", CDU, "/redfish/v1/ThermalEquipment/CDUs/1/Pumps/1", b"nonsense"),
    ],
)
def test_http_carries_the_same_bytes_as_the_process(
    bench: Bench, method: str, owner: str, path: str, body: bytes | None
) -> None:
    device = bench.devices.cdu(CDU) if owner == CDU else bench.devices.sled_bmc(SLED)
    answer = bench.client.request(method, f"/devices/{owner}/bmc{path}", content=body)
    assert (answer.status_code, answer.content) == device.request(method, path, body)
    if answer.content:
        assert answer.headers["content-type"] == "application/json"
    assert ("allow" in answer.headers) == (answer.status_code == 405)


def test_jobs_start_and_stop_over_http(bench: Bench) -> None:
    share = {
        "attempt": 1,
        "model": "llama-3-8b",
        "chips": [0],
        "tensor_parallel": 1,
        "gang": [SLED],
    }
    url = f"/devices/{SLED}/runtime/v1/jobs"
    assert bench.client.put(f"{url}/a%2Fb", json=share).status_code == 201
    row = bench.world.fleet_map.sled(SLED)
    assert list(bench.world.sled_requests(row).jobs) == ["a/b"]
    assert [job["job_id"] for job in bench.client.get(url).json()["jobs"]] == ["a/b"]
    stopped = bench.client.delete(f"{url}/a%2Fb")
    assert (stopped.status_code, stopped.content) == (204, b"")
    assert "content-length" not in stopped.headers


def test_the_stream_carries_the_lines_of_the_tool(bench: Bench) -> None:
    [expected] = bench.devices.neuron_monitor(SLED).read_lines()
    with bench.client.stream("GET", f"/devices/{SLED}/neuron-monitor") as response:
        assert response.headers["content-type"] == "application/x-ndjson"
        assert next(response.iter_lines()) + "\n" == expected.decode()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_stream_follows_the_configuration_of_its_reader(bench: Bench, method: str) -> None:
    config = '{"system_metrics": [{"type": "memory_info"}]}'
    how: dict[str, Any] = (
        {"params": {"config": config}} if method == "GET" else {"content": config.encode()}
    )
    with bench.client.stream(method, f"/devices/{SLED}/neuron-monitor", **how) as response:
        report = json.loads(next(response.iter_lines()))
    assert list(report["system_data"]) == ["memory_info"]
    assert report["neuron_runtime_data"] == []


def test_the_listing_names_every_device(bench: Bench) -> None:
    listing = bench.client.get("/devices").json()
    assert listing["cdus"] == [CDU]
    assert len(listing["sleds"]) == 36
    assert SLED in listing["sleds"]
    assert listing["loops"][SLED] == listing["loops"][CDU] == "h1/loop01"
    assert (listing["chips"][SLED], listing["air"]) == (4, [])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/devices/h9/us01/r1/s01/bmc/redfish/v1/", 404),
        ("GET", f"/devices/{CDU}/runtime/v1/jobs", 404),
        ("GET", f"/devices/{CDU}/neuron-monitor", 404),
        ("GET", f"/devices/{SLED}/neuron-monitor/more", 404),
        ("DELETE", f"/devices/{SLED}/neuron-monitor", 405),
        ("GET", f"/devices/{SLED}/neuron-monitor?config=%7B%22period%22%3A5%7D", 422),
        ("GET", f"/devices/{SLED}/other", 404),
        ("POST", "/devices", 405),
        ("DELETE", "/faults", 405),
        ("GET", f"/faults/leak/{SLED}", 405),
        ("DELETE", f"/faults/nonsense/{SLED}", 404),
    ],
)
def test_unknown_places_are_one_clear_answer(
    bench: Bench, method: str, path: str, status: int
) -> None:
    answer = bench.client.request(method, path)
    assert answer.status_code == status
    assert answer.json()["status"] == status
    assert answer.json()["detail"]


def test_a_body_that_is_too_large_is_refused(bench: Bench) -> None:
    for path in ("/load", f"/devices/{SLED}/bmc/redfish/v1/"):
        assert bench.client.put(path, content=b" " * 70_000).status_code == 413


def test_faults_are_injected_shown_and_cleared(bench: Bench) -> None:
    fault = {"kind": "pump_trip", "place": f"{CDU}#pump1"}
    created = bench.client.post("/faults", json=fault)
    assert created.status_code == 201
    assert bench.client.get("/faults").json() == {"items": [created.json()]}
    assert bench.client.delete(f"/faults/pump_trip/{CDU}%23pump1").status_code == 204
    assert bench.client.get("/faults").json() == {"items": []}


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"kind": "pump_trip", "place": "h1/cdu77#1"}, 404),
        ({"kind": "leak", "place": SLED, "severity": 1e9}, 422),
        ({"kind": "meteor", "place": SLED}, 422),
        ({"kind": "leak", "place": SLED, "since": 1}, 422),
        ({"kind": "leak"}, 422),
        ([], 422),
    ],
)
def test_a_fault_that_can_not_be_is_refused(bench: Bench, fault: object, status: int) -> None:
    answer = bench.client.post("/faults", json=fault)
    assert (answer.status_code, bench.world.faults()) == (status, ())


def test_the_load_can_be_set_within_its_span(bench: Bench) -> None:
    assert bench.client.put("/load", json={"load_ratio": 0.8}).json() == {"load_ratio": 0.8}
    assert bench.world.load_ratio == 0.8
    for body, status in ((b'{"load_ratio":3}', 422), (b'{"load_ratio":"a"}', 422), (b"{", 400)):
        assert bench.client.put("/load", content=body).status_code == status
    assert bench.client.get("/load").json() == {"load_ratio": 0.8}


def test_livez_tells_whether_the_world_moves(bench: Bench) -> None:
    assert bench.client.get("/livez").status_code == 200
    bench.alive = False
    assert bench.client.get("/livez").status_code == 503
    bench.alive = True


def test_devices_of_unknown_ids_are_refused(bench: Bench) -> None:
    for device in (
        bench.devices.sled_bmc,
        bench.devices.sled_runtime,
        bench.devices.neuron_monitor,
        bench.devices.cdu,
    ):
        with pytest.raises(UnknownIdError):
            device("h1/nowhere")


def test_a_port_in_use_is_one_clear_error(bench: Bench) -> None:
    with pytest.raises(ConfigurationError, match=f"port {bench.server.port}: the port is in use"):
        EmulatorServer(bench.world, bench.devices, port=bench.server.port).start()
    with pytest.raises(ConfigurationError, match="can not listen"):
        listen(99_999)


def test_stop_ends_open_streams_within_five_seconds() -> None:
    served = Bench()
    with served.client.stream("GET", f"/devices/{SLED}/neuron-monitor") as response:
        lines = response.iter_lines()
        next(lines)
        started_s = time.monotonic()
        assert served.server.stop()
        assert time.monotonic() - started_s < 5.0
        assert list(lines) == []
    served.client.close()


def test_answers_are_not_held_up_by_delayed_acknowledgements() -> None:
    with listen(0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_metrics_say_what_is_served_and_spent(bench: Bench) -> None:
    requests = bench.world.sled_requests(0)
    requests.start_job(
        JobSpec(
            job_id="j1",
            attempt=1,
            model="llama-3-8b",
            chips=(0, 1, 2, 3),
            tensor_parallel=4,
            gang=("h1/us01/r1/s01",),
        )
    )
    for _ in range(5):
        bench.clock.advance(1.0)
        bench.world.step(1.0)
    answer = bench.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    shown = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    report = bench.world.serving_report()
    assert report.completed > 0
    model = "llama-3-8b"
    assert shown["isotherm_serving_requests_total", model, "completed"] == report.completed
    assert shown["isotherm_serving_ttft_seconds", model, "0.99"] == report.ttft.p99_s
    assert shown["isotherm_serving_energy_joules_total", "plant"] == report.spent.plant_j
    dear = shown["isotherm_serving_usd_per_million_tokens", "plant"]
    assert dear > shown["isotherm_serving_usd_per_million_tokens", "chips"] > 0.0
