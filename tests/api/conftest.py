from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from api.app import create_app
from api.client import ApiClient
from api.options import ApiOptions
from api.server import ApiServer
from controller.store import Store
from fleet.bus import InMemoryBus
from fleet.clock import ManualClock
from fleet.topology import FleetMap, trn3_datacenter
from tests.api.builders import Running


@pytest.fixture
def fleet_map() -> FleetMap:
    return FleetMap(trn3_datacenter())


@pytest.fixture
def bus() -> Iterator[InMemoryBus]:
    with InMemoryBus() as bus:
        yield bus


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path}/isotherm.db")
    yield store
    store.close()


@pytest.fixture
def options(tmp_path: Path) -> ApiOptions:
    return ApiOptions(port=0, tick_s=0.02, static_directory=tmp_path / "not-built")


@pytest.fixture
def api(
    options: ApiOptions, fleet_map: FleetMap, store: Store, bus: InMemoryBus
) -> Iterator[Running]:
    with _running(options, fleet_map, store, bus) as running:
        yield running


@pytest.fixture(scope="module")
def quiet_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """For tests that change nothing: one API for all of a module."""
    folder = tmp_path_factory.mktemp("quiet")
    options = ApiOptions(port=0, tick_s=0.02, static_directory=folder / "not-built")
    store = Store(f"sqlite:///{folder}/isotherm.db")
    fleet_map = FleetMap(trn3_datacenter())
    with InMemoryBus() as bus, _running(options, fleet_map, store, bus) as running:
        yield running
    store.close()


@pytest.fixture
def http(api: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=api.server.url, trust_env=False) as client:
        yield client


@pytest.fixture
def quiet_http(quiet_api: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=quiet_api.server.url, trust_env=False) as client:
        yield client


@contextmanager
def _running(
    options: ApiOptions, fleet_map: FleetMap, store: Store, bus: InMemoryBus
) -> Iterator[Running]:
    clock = ManualClock()
    app = create_app(options, fleet_map, store, bus, clock)
    server = ApiServer(app, options)
    server.start()
    try:
        with ApiClient(server.url) as client:
            yield Running(
                desk=app.state.desk,
                server=server,
                client=client,
                store=store,
                bus=bus,
                clock=clock,
                fleet_map=fleet_map,
            )
    finally:
        server.stop()
