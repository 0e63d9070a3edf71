"""The registry of routes: one file a resource, one line here."""

from typing import Final

from fastapi import APIRouter

from api.routes import (
    chips,
    exposition,
    fleet,
    health,
    history,
    incidents,
    jobs,
    live,
    loops,
    sleds,
    telemetry,
    webhooks,
)

API_PREFIX: Final = "/api/v1"

API_ROUTERS: Final[tuple[APIRouter, ...]] = (
    fleet.router,
    loops.router,
    sleds.router,
    chips.router,
    jobs.router,
    incidents.router,
    webhooks.router,
    history.router,
    telemetry.router,
    live.router,
)
"""Under `API_PREFIX`."""

ROOT_ROUTERS: Final[tuple[APIRouter, ...]] = (health.router, exposition.router)
"""For machines that watch the process."""
