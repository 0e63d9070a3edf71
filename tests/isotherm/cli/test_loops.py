"""`isotherm loop` and `isotherm explain loop` against an API that runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.app import create_app
from api.client import ApiClient
from api.options import ApiOptions
from api.server import ApiServer
from controller.store import Store
from fleet.bus import InMemoryBus
from fleet.clock import ManualClock
from fleet.topology import FleetMap, trn3_datacenter
from isotherm.__main__ import app
from tests.api.builders import LOOP, Running
from tests.api.test_routes_loops import shown


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Running]:
    options = ApiOptions(port=0, static_directory=tmp_path / "not-built")
    store, fleet_map = Store(f"sqlite:///{tmp_path}/isotherm.db"), FleetMap(trn3_datacenter())
    clock = ManualClock()
    with InMemoryBus() as bus:
        served = create_app(options, fleet_map, store, bus, clock)
        server = ApiServer(served, options)
        server.start()
        try:
            with ApiClient(server.url) as client:
                yield Running(
                    desk=served.state.desk,
                    server=server,
                    client=client,
                    store=store,
                    bus=bus,
                    clock=clock,
                    fleet_map=fleet_map,
                )
        finally:
            server.stop()
            store.close()


def said(api: Running, *arguments: str) -> str:
    ended = CliRunner().invoke(app, [*arguments, "--api", api.server.url])
    assert ended.exit_code == 0, ended.output
    return ended.output


def test_set_override_release_and_reset(api: Running) -> None:
    shown(api)
    told = said(api, "loop", "set", LOOP, "--supply-c", "38", "--reason", "hot", "--actor", "ana")
    assert f"{LOOP}: auto supply_c 38 until" in told
    told = said(api, "loop", "override", LOOP, "--pumps", "0.8", "--reason", "noise")
    assert "manual pump_ratio 0.8" in told
    said(api, "loop", "release", LOOP, "--reason", "done")
    assert api.client.loop(LOOP)["override"] is None
    assert "will be reset" in said(api, "loop", "reset", LOOP, "--reason", "looked")


def test_a_refusal_names_the_limit_and_the_effect(api: Running) -> None:
    shown(api)
    for asked, limit in (
        (("--supply-c", "55", "--reason", "hot"), "supply_c 17..45 °C"),
        (("--supply-c", "38", "--reason", ""), "supply_c 17..45 °C, valve_ratio 0..1"),
    ):
        ended = CliRunner().invoke(app, ["loop", "set", LOOP, *asked, "--api", api.server.url])
        assert ended.exit_code == 1
        told = " ".join(ended.output.split() or str(ended.exception).split())
        assert limit in told
        assert "predicted effect: the worst chip would reach" in told


def test_explain_tells_why_and_what_if(api: Running) -> None:
    shown(api)
    told = said(api, "explain", "loop", LOOP, "--pumps-out", "2", "--seconds", "20")
    assert f"{LOOP} is in auto" in told
    assert "the worst chip would reach" in told
    assert "DEW MARGIN K" in told
