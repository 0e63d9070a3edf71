from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from playwright.sync_api import BrowserContext

from api.app import create_app
from api.client import ApiClient
from api.options import STATIC_DIRECTORY, ApiOptions
from api.server import ApiServer
from emulator.options import EmulatorOptions
from fleet.clock import SystemClock
from fleet.topology import FleetMap, trn3_datacenter
from isotherm.up.embedded import EmbeddedDatacenter, EmbeddedOptions
from tests.dashboard.site import Opened, Site
from tests.support.chromium import chromium
from tests.support.components import require, required

JOBS = (("chat", "llama-3-70b", 96, 4), ("code", "llama-3-8b", 64, 1))
"""Name, model, chips, tensor parallelism: one on each UltraServer, so that neither is whole, and
enough stays free to move a gang and to add one."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One data center on the real clock for all tests of the page, which share it in any order."""
    if not (STATIC_DIRECTORY / "index.html").is_file():
        require("dashboard build", f"no page in {STATIC_DIRECTORY.name}/; run `make dashboard`")
    clock = SystemClock()
    with ExitStack() as stack:
        options = EmbeddedOptions(
            state_dir=tmp_path_factory.mktemp("datacenter"),
            emulator=EmulatorOptions(settle_s=30.0),
        )
        datacenter = EmbeddedDatacenter(options, FleetMap(trn3_datacenter()), clock)
        stack.callback(datacenter.close)
        api_options = ApiOptions(port=0)
        app = create_app(api_options, datacenter.fleet_map, datacenter.store, datacenter.bus, clock)
        server = ApiServer(app, api_options)
        datacenter.start()
        stack.callback(datacenter.stop)
        server.start()
        stack.callback(server.stop)
        api = stack.enter_context(closing(ApiClient(server.url)))
        for name, model, chips, tensor_parallel in JOBS:
            api.submit(name=name, model=model, chips=chips, tensor_parallel=tensor_parallel)
        yield Site(datacenter=datacenter, clock=clock, url=server.url, api=api)


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    """One for each module, since starting one takes longer than most of these tests."""
    with ExitStack() as stack:
        with required():
            context = stack.enter_context(chromium())
        yield context


@pytest.fixture
def unloaded(browser: BrowserContext) -> Iterator[Opened]:
    """A new tab; what it kept for the next visit is forgotten with it."""
    page = browser.new_page()
    yield Opened(page=page)
    page.evaluate("localStorage.clear()")
    page.close()


@pytest.fixture
def opened(unloaded: Opened, site: Site) -> Opened:
    """The page of `site` with its first live frame."""
    unloaded.load(site.url)
    return unloaded
