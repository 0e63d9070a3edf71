from dataclasses import dataclass
from typing import Annotated

import structlog
from fastapi import Depends, Request

from api.counters import Counters
from api.hub import LiveHub
from api.live import LiveViews
from api.options import ApiOptions
from api.problems import request_id
from controller.history.places import HistoryPlaces
from controller.store import Store, Transaction
from controller.store.audit import AuditEntry
from fleet.bus import Bus
from fleet.clock import Clock
from fleet.errors import BusError
from fleet.events import Event, EventKind, encode_event
from fleet.topics import EVENTS
from fleet.topology import FleetMap


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Desk:
    """Everything a route may use. The desk holds no state of its own but what it has heard."""

    options: ApiOptions
    fleet_map: FleetMap
    history: HistoryPlaces
    store: Store
    bus: Bus
    clock: Clock
    live: LiveViews
    hub: LiveHub
    counters: Counters


def desk_of(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


AtDesk = Annotated[Desk, Depends(desk_of)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A person's change of desired state; `action` and `subject` go to the audit log."""

    action: str
    subject: str
    actor: str = "api"
    reason: str = ""


def record(desk: Desk, transaction: Transaction, wish: Wish, request: Request) -> None:
    """Write the audit row of a wish in the wish's own transaction."""
    transaction.audit.write(
        AuditEntry(
            at_unix_ns=desk.clock.unix_ns(),
            actor=wish.actor,
            action=wish.action,
            subject=wish.subject,
            reason=wish.reason,
            cause=request_id(request),
        )
    )


def nudge(desk: Desk, wish: Wish, request: Request) -> None:
    """Have the controller look at once. The wish is in the store already: a lost nudge costs one
    cycle, so it is counted and not told to the caller.
    """
    event = Event(
        id=request_id(request),
        kind=EventKind.DESIRED_CHANGED,
        subject=wish.subject,
        at_unix_ns=desk.clock.unix_ns(),
        cause=request_id(request),
        detail={"action": wish.action},
    )
    try:
        sent = desk.bus.publish(EVENTS, key=wish.subject, value=encode_event(event))
    except BusError as error:
        _lost(desk, error)
        return
    sent.add_done_callback(lambda future: _lost(desk, future.exception()))


def _lost(desk: Desk, error: BaseException | None) -> None:
    if error is not None:
        desk.counters.nudges_failed += 1
        structlog.get_logger(__name__).warning("nudge was lost", error=str(error))
