from dataclasses import dataclass, replace
from typing import Final

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select, update

from controller.incidents.incident import Acknowledgement, Incident, IncidentState
from controller.store.tables import INCIDENT_EVENTS, INCIDENTS
from controller.store.upsert import upsert

_decoder: Final = msgspec.msgpack.Decoder(Incident)
_encoder: Final = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentEvent:
    """One line of an incident's story; `cause` is the id of what led to it."""

    incident_id: str
    at_unix_ns: int
    kind: str
    actor: str
    text: str
    cause: str


class Incidents:
    """Incidents and their stories."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save(self, incident: Incident) -> None:
        """Write an incident as it is now. One that is no longer OPEN has taken the
        acknowledgement that waited.
        """
        row: dict[str, object] = {
            "id": incident.id,
            "state": incident.state.value,
            "opened_at_unix_ns": incident.opened_at_unix_ns,
            "resolved_at_unix_ns": incident.resolved_at_unix_ns,
            "document": _encoder.encode(incident),
        }
        if incident.state is not IncidentState.OPEN:
            row |= {"ack_actor": None, "ack_comment": None}
        upsert(self._connection, INCIDENTS, [row])

    def acknowledge(self, ack: Acknowledgement) -> bool:
        """Leave a person's acknowledgement for the controller; False when nothing waits for one
        (no such incident, or it is not OPEN). The first person counts.
        """
        asked = (
            update(INCIDENTS)
            .where(
                INCIDENTS.c.id == ack.incident_id,
                INCIDENTS.c.state == IncidentState.OPEN.value,
                INCIDENTS.c.ack_actor.is_(None),
            )
            .values(ack_actor=ack.actor, ack_comment=ack.comment)
        )
        return self._connection.execute(asked).rowcount == 1

    def waiting_acks(self) -> list[Acknowledgement]:
        waiting = select(INCIDENTS.c.id, INCIDENTS.c.ack_actor, INCIDENTS.c.ack_comment).where(
            INCIDENTS.c.ack_actor.is_not(None)
        )
        return [
            Acknowledgement(incident_id=row.id, actor=row.ack_actor, comment=row.ack_comment or "")
            for row in self._connection.execute(waiting)
        ]

    def get(self, incident_id: str) -> Incident | None:
        row = self._connection.execute(
            select(INCIDENTS).where(INCIDENTS.c.id == incident_id)
        ).first()
        return None if row is None else _incident(row)

    def unresolved(self) -> list[Incident]:
        """Open and acknowledged, oldest first."""
        chosen = select(INCIDENTS).where(INCIDENTS.c.state != IncidentState.RESOLVED.value)
        rows = self._connection.execute(chosen.order_by(INCIDENTS.c.opened_at_unix_ns))
        return [_incident(row) for row in rows]

    def resolved_since(self, unix_ns: int) -> list[Incident]:
        chosen = select(INCIDENTS).where(INCIDENTS.c.resolved_at_unix_ns >= unix_ns)
        rows = self._connection.execute(chosen.order_by(INCIDENTS.c.opened_at_unix_ns))
        return [_incident(row) for row in rows]

    def page(
        self, *, unresolved_only: bool, limit: int = 100, after: tuple[int, str] | None = None
    ) -> list[Incident]:
        """Newest first; `after` is (opened_at_unix_ns, id) of the last one of the page before."""
        chosen = select(INCIDENTS).order_by(
            INCIDENTS.c.opened_at_unix_ns.desc(), INCIDENTS.c.id.desc()
        )
        if unresolved_only:
            chosen = chosen.where(INCIDENTS.c.state != IncidentState.RESOLVED.value)
        if after is not None:
            at, incident_id = after
            same = (INCIDENTS.c.opened_at_unix_ns == at) & (INCIDENTS.c.id < incident_id)
            chosen = chosen.where((INCIDENTS.c.opened_at_unix_ns < at) | same)
        return [_incident(row) for row in self._connection.execute(chosen.limit(limit))]

    def forget(self, *, before_unix_ns: int) -> int:
        """Drop incidents that were resolved before, with their stories; how many."""
        old = delete(INCIDENTS).where(INCIDENTS.c.resolved_at_unix_ns < before_unix_ns)
        return self._connection.execute(old).rowcount

    def tell(self, event: IncidentEvent) -> None:
        self._connection.execute(
            insert(INCIDENT_EVENTS).values(
                incident_id=event.incident_id,
                at_unix_ns=event.at_unix_ns,
                kind=event.kind,
                actor=event.actor,
                text=event.text,
                cause=event.cause,
            )
        )

    def story(self, incident_id: str) -> list[IncidentEvent]:
        """In the order in which it was told."""
        chosen = select(INCIDENT_EVENTS).where(INCIDENT_EVENTS.c.incident_id == incident_id)
        return [
            IncidentEvent(
                incident_id=row.incident_id,
                at_unix_ns=row.at_unix_ns,
                kind=row.kind,
                actor=row.actor,
                text=row.text,
                cause=row.cause,
            )
            for row in self._connection.execute(chosen.order_by(INCIDENT_EVENTS.c.id))
        ]


def _incident(row: Row[tuple[object, ...]]) -> Incident:
    incident = _decoder.decode(row.document)
    if row.ack_actor is not None and incident.acknowledged_by is None:
        return replace(incident, acknowledged_by=row.ack_actor)
    return incident
