from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request

from api.desk import AtDesk, Desk, Wish, nudge, record
from api.pagination import Paged
from api.places import look
from api.problems import RefusedRequestError
from api.routes.parameters import FleetId
from api.schemas.cordons import CordonIn
from api.schemas.guards import GuardResetIn
from api.schemas.page import Page
from api.schemas.sleds import EnrolIn, SledOut
from api.schemas.values import Name
from controller.anomaly.finding import Family
from controller.enrolment.compare import approved
from controller.placement.job import Cordon
from controller.store import Transaction
from controller.store.guards import GuardReset

router = APIRouter(prefix="/sleds", tags=["fleet"])


@router.get("", summary="Sleds, in the order of the fleet")
def sleds(
    desk: AtDesk,
    paged: Paged,
    ultraserver: Annotated[str | None, Query(max_length=200)] = None,
    loop: Annotated[str | None, Query(max_length=200)] = None,
) -> Page[SledOut]:
    rows = _chosen(desk, ultraserver, loop)
    part, next_cursor = paged.rows(rows)
    places = look(desk.fleet_map, desk.live, desk.store, part)
    return Page(items=[places.sled(row) for row in part], next_cursor=next_cursor)


@router.put("/{sled_id:path}/cordon", summary="Keep new work off a sled")
def cordon(sled_id: FleetId, body: CordonIn, desk: AtDesk, request: Request) -> SledOut:
    row = desk.fleet_map.sled(sled_id)
    wish = Wish(action="cordon", subject=sled_id, actor=body.actor, reason=body.reason)
    order = Cordon(sled_id=sled_id, reason=body.reason, since_unix_ns=desk.clock.unix_ns())
    with desk.store.begin() as transaction:
        transaction.cordons.put(order)
        record(desk, transaction, wish, request)
    nudge(desk, wish, request)
    return _told(desk, row)


@router.delete(
    "/{sled_id:path}/cordon",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Let new work onto a sled again",
)
def uncordon(
    sled_id: FleetId, desk: AtDesk, request: Request, actor: Annotated[Name, Query()] = "api"
) -> None:
    """Nothing happens when it is not cordoned."""
    desk.fleet_map.sled(sled_id)
    wish = Wish(action="uncordon", subject=sled_id, actor=actor)
    with desk.store.begin() as transaction:
        lifted = transaction.cordons.lift(sled_id)
        if lifted:
            record(desk, transaction, wish, request)
    if lifted:
        nudge(desk, wish, request)


@router.post(
    "/{sled_id:path}/guard/reset",
    status_code=HTTPStatus.ACCEPTED,
    summary="Ask for what a sled's guard has latched to be lifted",
)
def reset_guard(sled_id: FleetId, body: GuardResetIn, desk: AtDesk, request: Request) -> SledOut:
    """The sled's agent lifts it, and powers the sled on, unless the danger is still measured."""
    row = desk.fleet_map.sled(sled_id)
    wish = Wish(action="reset_guard", subject=sled_id, actor=body.actor, reason=body.reason)
    order = GuardReset(sled_id=sled_id, actor=body.actor, reason=body.reason)
    with desk.store.begin() as transaction:
        transaction.guards.request(order, at_unix_ns=desk.clock.unix_ns())
        record(desk, transaction, wish, request)
    nudge(desk, wish, request)
    return _told(desk, row)


@router.post("/{sled_id:path}/enrol", summary="Approve what stands in a sled's place")
def enrol(sled_id: FleetId, body: EnrolIn, desk: AtDesk, request: Request) -> SledOut:
    """A cordon that its mismatch asked for is lifted; others stay."""
    row = desk.fleet_map.sled(sled_id)
    wish = Wish(action="enrol", subject=sled_id, actor=body.actor, reason=body.reason)
    with desk.store.begin() as transaction:
        found = transaction.enrolments.of([sled_id]).get(sled_id)
        if found is None:
            raise RefusedRequestError(
                HTTPStatus.CONFLICT,
                f"{sled_id} has not announced itself: there is nothing to approve",
                kind="not-announced",
            )
        transaction.enrolments.save(approved(found, actor=body.actor))
        cordon = transaction.cordons.get(sled_id)
        if cordon is not None and _asked_by_identity(transaction, cordon):
            transaction.cordons.lift(sled_id)
        record(desk, transaction, wish, request)
    nudge(desk, wish, request)
    return _told(desk, row)


@router.get("/{sled_id:path}", summary="One sled")
def sled(sled_id: FleetId, desk: AtDesk) -> SledOut:
    row = desk.fleet_map.sled(sled_id)
    return _told(desk, row)


def _asked_by_identity(transaction: Transaction, cordon: Cordon) -> bool:
    incident = transaction.incidents.get(cordon.incident_id) if cordon.incident_id else None
    return incident is not None and incident.family is Family.IDENTITY


def _told(desk: Desk, row: int) -> SledOut:
    return look(desk.fleet_map, desk.live, desk.store, [row]).sled(row)


def _chosen(desk: Desk, ultraserver: str | None, loop: str | None) -> range:
    start, stop = 0, desk.fleet_map.sleds
    if ultraserver is not None:
        part = desk.fleet_map.sleds_in_ultraserver(desk.fleet_map.ultraserver(ultraserver))
        start, stop = max(start, part.start), min(stop, part.stop)
    if loop is not None:
        part = desk.fleet_map.sleds_in_loop(desk.fleet_map.loop(loop))
        start, stop = max(start, part.start), min(stop, part.stop)
    return range(start, max(start, stop))
