from http import HTTPStatus

from fastapi import APIRouter, Request

from api.desk import AtDesk, Desk, Wish, nudge, record
from api.pagination import Paged
from api.routes.parameters import FleetId
from api.schemas.loops import LoopOut, LoopResetIn, loop_out
from api.schemas.page import Page
from controller.cooling.control import TripReset

router = APIRouter(prefix="/loops", tags=["cooling"])


@router.get("", summary="Cooling loops")
def loops(desk: AtDesk, paged: Paged) -> Page[LoopOut]:
    ids = desk.fleet_map.loop_ids
    part, next_cursor = paged.rows(range(len(ids)))
    return Page(items=[_loop(desk, ids[row]) for row in part], next_cursor=next_cursor)


@router.post(
    "/{loop_id:path}/reset",
    status_code=HTTPStatus.ACCEPTED,
    summary="Ask for a loop's latched trips to be lifted",
)
def reset(loop_id: FleetId, body: LoopResetIn, desk: AtDesk, request: Request) -> LoopOut:
    """The controller lifts those whose reason is gone; the others stay."""
    found = _loop(desk, loop_id)
    wish = Wish(action="reset_trips", subject=loop_id, actor=body.actor, reason=body.reason)
    order = TripReset(loop_id=loop_id, actor=body.actor, reason=body.reason)
    with desk.store.begin() as transaction:
        transaction.interlocks.request_reset(order, at_unix_ns=desk.clock.unix_ns())
        record(desk, transaction, wish, request)
    nudge(desk, wish, request)
    return found


@router.get("/{loop_id:path}", summary="One cooling loop")
def loop(loop_id: FleetId, desk: AtDesk) -> LoopOut:
    return _loop(desk, loop_id)


def _loop(desk: Desk, loop_id: str) -> LoopOut:
    row = desk.fleet_map.loop(loop_id)
    heard = desk.live.loop(loop_id)
    return loop_out(desk.fleet_map, row, heard, desk.live.view_age_s(loop_id))
