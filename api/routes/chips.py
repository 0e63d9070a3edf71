from typing import Annotated

from fastapi import APIRouter, Query

from api.desk import AtDesk, Desk
from api.pagination import Paged
from api.places import look
from api.routes.parameters import FleetId
from api.schemas.chips import ChipOut
from api.schemas.page import Page

router = APIRouter(prefix="/chips", tags=["fleet"])


@router.get("", summary="Chips, in the order of the fleet")
def chips(
    desk: AtDesk,
    paged: Paged,
    sled: Annotated[str | None, Query(max_length=200)] = None,
    ultraserver: Annotated[str | None, Query(max_length=200)] = None,
) -> Page[ChipOut]:
    rows = _chosen(desk, sled, ultraserver)
    part, next_cursor = paged.rows(rows)
    places = look(desk.fleet_map, desk.live, desk.store)
    return Page(items=[places.chip(row) for row in part], next_cursor=next_cursor)


@router.get("/{chip_id:path}", summary="One chip")
def chip(chip_id: FleetId, desk: AtDesk) -> ChipOut:
    row = desk.fleet_map.chip(chip_id)
    return look(desk.fleet_map, desk.live, desk.store).chip(row)


def _chosen(desk: Desk, sled: str | None, ultraserver: str | None) -> range:
    fleet_map = desk.fleet_map
    start, stop = 0, fleet_map.chips
    if ultraserver is not None:
        sleds = fleet_map.sleds_in_ultraserver(fleet_map.ultraserver(ultraserver))
        start = fleet_map.chips_in_sled(sleds.start).start
        stop = fleet_map.chips_in_sled(sleds.stop - 1).stop
    if sled is not None:
        part = fleet_map.chips_in_sled(fleet_map.sled(sled))
        start, stop = max(start, part.start), min(stop, part.stop)
    return range(start, max(start, stop))
