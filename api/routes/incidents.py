from enum import StrEnum
from http import HTTPStatus

from fastapi import APIRouter, Request

from api.desk import AtDesk, Wish, nudge, record
from api.pagination import Paged, TimePosition
from api.problems import RefusedRequestError
from api.routes.parameters import RowId
from api.schemas.incidents import (
    AckIn,
    IncidentOut,
    IncidentStoryOut,
    incident_out,
    incident_story_out,
)
from api.schemas.page import Page
from controller.incidents.incident import Acknowledgement, IncidentState
from fleet.errors import UnknownIdError

router = APIRouter(prefix="/incidents", tags=["incidents"])


class Shown(StrEnum):
    """Which incidents a list shows."""

    OPEN = "open"  # not resolved, acknowledged ones too
    ALL = "all"  # resolved ones too


@router.get("", summary="Incidents, newest first")
def incidents(desk: AtDesk, paged: Paged, state: Shown = Shown.OPEN) -> Page[IncidentOut]:
    with desk.store.read() as transaction:
        found = transaction.incidents.page(
            unresolved_only=state is Shown.OPEN, limit=paged.limit + 1, after=paged.after()
        )
    shown = found[: paged.limit]
    next_cursor = None
    if len(found) > len(shown):
        next_cursor = paged.next(TimePosition(shown[-1].opened_at_unix_ns, shown[-1].id))
    return Page(items=[incident_out(incident) for incident in shown], next_cursor=next_cursor)


@router.post("/{incident_id:path}/ack", summary="Take an incident")
def acknowledge(
    incident_id: RowId, body: AckIn, desk: AtDesk, request: Request
) -> IncidentStoryOut:
    """The first person counts; who comes later sees who that was."""
    wish = Wish(action="acknowledge", subject=incident_id, actor=body.actor, reason=body.comment)
    ack = Acknowledgement(incident_id=incident_id, actor=body.actor, comment=body.comment)
    with desk.store.begin() as transaction:
        taken = transaction.incidents.acknowledge(ack)
        if taken:
            record(desk, transaction, wish, request)
        found = transaction.incidents.get(incident_id)
        story = transaction.incidents.story(incident_id)
    if found is None:
        raise UnknownIdError("incident", incident_id)
    if taken:
        nudge(desk, wish, request)
    elif found.state is IncidentState.RESOLVED:
        raise RefusedRequestError(
            HTTPStatus.CONFLICT, f"incident {incident_id!r} is resolved already", kind="resolved"
        )
    return incident_story_out(found, story)


@router.get("/{incident_id:path}", summary="One incident and its story")
def incident(incident_id: RowId, desk: AtDesk) -> IncidentStoryOut:
    with desk.store.read() as transaction:
        found = transaction.incidents.get(incident_id)
        story = transaction.incidents.story(incident_id)
    if found is None:
        raise UnknownIdError("incident", incident_id)
    return incident_story_out(found, story)
