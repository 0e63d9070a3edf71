from fastapi import APIRouter

from api.desired import read_desired
from api.desk import AtDesk
from api.overview import fleet_totals
from api.schemas.fleet import FleetOut, ultraservers_out

router = APIRouter(prefix="/fleet", tags=["fleet"])


@router.get("", summary="What the fleet is made of, and how it is")
def fleet(desk: AtDesk) -> FleetOut:
    return FleetOut(
        hall=desk.fleet_map.datacenter.hall,
        epoch=desk.hub.epoch,
        chips=desk.fleet_map.chips,
        ultraservers=ultraservers_out(desk.fleet_map),
        loops=list(desk.fleet_map.loop_ids),
        totals=fleet_totals(desk.fleet_map, desk.live, read_desired(desk.store)),
    )
