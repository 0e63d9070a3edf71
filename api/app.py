import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI

from api.boundary import Boundary
from api.counters import Counters
from api.dashboard_files import DashboardHeaders, install_dashboard
from api.desk import Desk
from api.hub import LiveHub
from api.live import LiveViews
from api.openapi import with_problems
from api.options import ApiOptions
from api.problems import install_problems
from api.routes import API_PREFIX, API_ROUTERS, ROOT_ROUTERS
from controller.history.places import HistoryPlaces
from controller.state.roster import Roster
from controller.store import Store
from fleet.bus import Bus
from fleet.clock import Clock
from fleet.topology import FleetMap


def create_app(
    options: ApiOptions, fleet_map: FleetMap, store: Store, bus: Bus, clock: Clock
) -> FastAPI:
    """The API over a store and a bus that the caller opened, and closes after the app has ended.

    Raises ConfigurationError for options that can not be used and BusError when LIVE can not be
    read. `app.state.desk` is what the routes work with.
    """
    options.validate()
    counters = Counters()
    live = LiveViews(fleet_map, bus, clock, counters)
    desk = Desk(
        options=options,
        fleet_map=fleet_map,
        history=HistoryPlaces(fleet_map, Roster(fleet_map)),
        store=store,
        bus=bus,
        clock=clock,
        live=live,
        hub=LiveHub(options, fleet_map, store, live, counters),
        counters=counters,
    )
    app = FastAPI(
        title="Isotherm",
        summary="Telemetry, job placement and liquid cooling of an accelerator fleet.",
        version=_version(),
        openapi_url=f"{API_PREFIX}/openapi.json",
        docs_url=None,  # they load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.state.desk = desk
    # The one added last is outermost.
    app.add_middleware(DashboardHeaders)
    app.add_middleware(Boundary, options=options, counters=counters)
    install_problems(app)
    for router in API_ROUTERS:
        app.include_router(router, prefix=API_PREFIX)
    for router in ROOT_ROUTERS:
        app.include_router(router)
    install_dashboard(app, options.static_directory)
    app.__dict__["openapi"] = with_problems(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    desk: Desk = app.state.desk
    loop = asyncio.get_running_loop()

    def wake() -> None:
        loop.call_soon_threadsafe(desk.hub.wake)

    desk.live.listen(wake)
    desk.live.start()
    feeding = asyncio.create_task(desk.hub.run())
    try:
        yield
    finally:
        # The follower first: it wakes the event loop, which is about to close.
        await asyncio.to_thread(desk.live.stop)
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)


def _version() -> str:
    try:
        return version("isotherm")
    except PackageNotFoundError:
        return "0"
