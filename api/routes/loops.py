from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from api.desk import AtDesk, Desk, Wish, nudge, record
from api.pagination import Paged
from api.problems import RefusedRequestError
from api.routes.parameters import FleetId
from api.schemas.loops import (
    LoopOut,
    LoopResetIn,
    OverrideIn,
    OverrideMode,
    ReleaseIn,
    SetpointIn,
    WhatIfIn,
    WhatIfOut,
    forecast_out,
    loop_out,
)
from api.schemas.page import Page
from api.steering import SteeredLoop, check_order, check_version, steered_loop, with_effect
from controller.cooling.control import ManualOrder, TripReset
from controller.cooling.whatif import Supposition
from fleet.clock import NS_PER_S
from fleet.errors import ConfigurationError

router = APIRouter(prefix="/loops", tags=["cooling"])

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=200,
        description="the loop's ETag as last seen: an order is for the loop that was looked at",
    ),
]


@router.get("", summary="Cooling loops")
def loops(desk: AtDesk, paged: Paged) -> Page[LoopOut]:
    ids = desk.fleet_map.loop_ids
    part, next_cursor = paged.rows(range(len(ids)))
    orders = _orders(desk)
    return Page(items=[_loop(desk, ids[row], orders) for row in part], next_cursor=next_cursor)


@router.post(
    "/{loop_id:path}/reset",
    status_code=HTTPStatus.ACCEPTED,
    summary="Ask for a loop's latched trips to be lifted",
)
def reset(loop_id: FleetId, body: LoopResetIn, desk: AtDesk, request: Request) -> LoopOut:
    """The controller lifts those whose reason is gone; the others stay."""
    found = _loop(desk, loop_id, _orders(desk))
    wish = Wish(action="reset_trips", subject=loop_id, actor=body.actor, reason=body.reason)
    order = TripReset(loop_id=loop_id, actor=body.actor, reason=body.reason)
    with desk.store.begin() as transaction:
        transaction.interlocks.request_reset(order, at_unix_ns=desk.clock.unix_ns())
        record(desk, transaction, wish, request)
    nudge(desk, wish, request)
    return found


@router.post(
    "/{loop_id:path}/override",
    status_code=HTTPStatus.ACCEPTED,
    summary="Steer a loop by hand, or to full cooling, for a while",
)
def override(
    loop_id: FleetId, body: OverrideIn, desk: AtDesk, request: Request, if_match: IfMatch = None
) -> LoopOut:
    """Refused with the limit in force and the predicted effect. It replaces an earlier override,
    and ends by itself; interlocks, limits and slew hold for it as for the law.
    """
    now_ns = desk.clock.unix_ns()
    order = ManualOrder(
        valve_ratio=body.valve_ratio,
        pump_ratio=body.pump_ratio,
        supply_c=body.supply_c,
        failsafe=body.mode is OverrideMode.FAILSAFE,
        actor=body.actor,
        reason=body.reason,
        since_unix_ns=now_ns,
        until_unix_ns=now_ns + round(body.for_s * NS_PER_S),
    )
    return _take(desk, loop_id, order, request, if_match, action=f"override_{order.mode.value}")


@router.patch(
    "/{loop_id:path}",
    status_code=HTTPStatus.ACCEPTED,
    summary="Give a loop another set-point for a while",
)
def set_point(
    loop_id: FleetId, body: SetpointIn, desk: AtDesk, request: Request, if_match: IfMatch = None
) -> LoopOut:
    """The law goes on and holds it; the set-point moves by at most 2 K a minute."""
    now_ns = desk.clock.unix_ns()
    order = ManualOrder(
        supply_c=body.supply_c,
        actor=body.actor,
        reason=body.reason,
        since_unix_ns=now_ns,
        until_unix_ns=now_ns + round(body.for_s * NS_PER_S),
    )
    return _take(desk, loop_id, order, request, if_match, action="set_point")


@router.post(
    "/{loop_id:path}/release",
    status_code=HTTPStatus.ACCEPTED,
    summary="End a person's override of a loop",
)
def release(
    loop_id: FleetId, body: ReleaseIn, desk: AtDesk, request: Request, if_match: IfMatch = None
) -> LoopOut:
    """Nothing happens where there is none."""
    desk.fleet_map.loop(loop_id)
    wish = Wish(action="release_loop", subject=loop_id, actor=body.actor, reason=body.reason)
    with desk.store.begin() as transaction:
        if if_match is not None:
            standing = transaction.loop_orders.get(loop_id)
            check_version(if_match, loop_id, desk.live.loop(loop_id), standing)
        ended = transaction.loop_orders.end(loop_id)
        if ended:
            record(desk, transaction, wish, request)
    if ended:
        nudge(desk, wish, request)
    return _loop(desk, loop_id, _orders(desk))


@router.post("/{loop_id:path}/whatif", summary="What a loop would do, without touching it")
def what_if(loop_id: FleetId, body: WhatIfIn, desk: AtDesk) -> WhatIfOut:
    """The controller's own cycle on its own model from now on: a set-point, a pump out, a load."""
    loop = _steered(desk, loop_id)
    order = ManualOrder(
        supply_c=body.supply_c,
        valve_ratio=body.valve_ratio,
        pump_ratio=body.pump_ratio,
        actor="what if",
    )
    supposed = Supposition(
        order=order,
        pumps_out=body.pumps_out,
        load_ratio=body.load_ratio,
        facility_c=body.facility_c,
        dew_point_c=body.dew_point_c,
    )
    try:
        told = loop.predict(supposed, body.horizon_s)
    except ConfigurationError as error:
        raise RefusedRequestError(
            HTTPStatus.CONFLICT, str(error), kind="nothing-to-predict"
        ) from error
    return forecast_out(loop_id, told)


@router.get("/{loop_id:path}", summary="One cooling loop")
def loop(loop_id: FleetId, desk: AtDesk, response: Response) -> LoopOut:
    found = _loop(desk, loop_id, _orders(desk))
    response.headers["ETag"] = f'"{found.version}"'
    return found


def _take(
    desk: Desk,
    loop_id: str,
    order: ManualOrder,
    request: Request,
    if_match: str | None,
    *,
    action: str,
) -> LoopOut:
    steered = _steered(desk, loop_id)
    check_order(steered, order)
    _check_seen(desk, steered, order, if_match)
    reason = f"{order.reason} ({_asked(order)}, until {order.until_unix_ns // NS_PER_S})"
    wish = Wish(action=action, subject=loop_id, actor=order.actor, reason=reason)
    with desk.store.begin() as transaction:
        # Inside the transaction, so that of two who have seen the same loop only one is taken.
        standing = _in_force(desk, transaction.loop_orders.get(loop_id))
        check_version(if_match, loop_id, desk.live.loop(loop_id), standing)
        transaction.loop_orders.put(loop_id, order)
        record(desk, transaction, wish, request)
    nudge(desk, wish, request)
    return _loop(desk, loop_id, {loop_id: order})


def _check_seen(desk: Desk, steered: SteeredLoop, order: ManualOrder, if_match: str | None) -> None:
    """Before the transaction, which a prediction would hold up."""
    heard = desk.live.loop(steered.id)
    try:
        check_version(if_match, steered.id, heard, _in_force(desk, _orders(desk).get(steered.id)))
    except RefusedRequestError as refused:
        raise with_effect(refused, steered, order) from refused


def _asked(order: ManualOrder) -> str:
    asked = {
        "supply_c": order.supply_c,
        "valve_ratio": order.valve_ratio,
        "pump_ratio": order.pump_ratio,
    }
    named = [f"{name} {value:g}" for name, value in asked.items() if value is not None]
    return ", ".join(named) or order.mode.value


def _steered(desk: Desk, loop_id: str) -> SteeredLoop:
    row = desk.fleet_map.loop(loop_id)
    kind, chips = desk.fleet_map.kind_of_loop[row], desk.fleet_map.chips_in_loop(row)
    return steered_loop(loop_id, desk.live.loop(loop_id), chips.stop - chips.start, kind)


def _orders(desk: Desk) -> dict[str, ManualOrder]:
    with desk.store.read() as transaction:
        return transaction.loop_orders.all()


def _in_force(desk: Desk, order: ManualOrder | None) -> ManualOrder | None:
    late = order is not None and order.until_unix_ns <= desk.clock.unix_ns()
    return None if late else order


def _loop(desk: Desk, loop_id: str, orders: Mapping[str, ManualOrder]) -> LoopOut:
    row = desk.fleet_map.loop(loop_id)
    heard = desk.live.loop(loop_id)
    order = _in_force(desk, orders.get(loop_id))
    return loop_out(desk.fleet_map, row, heard, desk.live.view_age_s(loop_id), order)
