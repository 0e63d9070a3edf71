from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.values import Name, Text, number, when, when_or_none
from controller.anomaly.finding import Finding
from controller.incidents.incident import Incident
from controller.store.incidents import IncidentEvent


class AckIn(BaseModel):
    """A person takes an incident."""

    model_config = ConfigDict(extra="forbid")

    actor: Annotated[Name, Field(examples=["ana"])]
    comment: Annotated[Text, Field(examples=["on my way"])] = ""


class FindingOut(BaseModel):
    rule: str
    severity: str
    subject: str
    value: float | None
    limit: float | None
    text: str
    consequence: str
    action: str = Field(description="what to do")
    cause: str = Field(description="id of the frame that showed it")
    at: datetime


class IncidentEventOut(BaseModel):
    at: datetime
    kind: str
    actor: str
    text: str
    cause: str


class IncidentOut(BaseModel):
    """Findings that belong together."""

    id: str
    state: str = Field(examples=["open"])
    severity: str = Field(examples=["critical"])
    rule: str
    subject: str
    loop_id: str
    sled_id: str | None
    title: str
    opened_at: datetime
    updated_at: datetime
    resolved_at: datetime | None
    acknowledged_by: str | None
    findings: list[FindingOut]
    inhibited_count: int = Field(description="subjects whose findings this incident explains")
    cause: str


class IncidentStoryOut(IncidentOut):
    """An incident and what happened to it, oldest first."""

    events: list[IncidentEventOut]


def incident_out(incident: Incident) -> IncidentOut:
    return IncidentOut.model_validate(_fields(incident))


def incident_story_out(incident: Incident, story: Iterable[IncidentEvent]) -> IncidentStoryOut:
    events = [
        IncidentEventOut(
            at=when(event.at_unix_ns),
            kind=event.kind,
            actor=event.actor,
            text=event.text,
            cause=event.cause,
        )
        for event in story
    ]
    return IncidentStoryOut.model_validate(_fields(incident) | {"events": events})


def _fields(incident: Incident) -> dict[str, object]:
    return {
        "id": incident.id,
        "state": incident.state.value,
        "severity": incident.severity.value,
        "rule": incident.rule,
        "subject": incident.subject,
        "loop_id": incident.loop_id,
        "sled_id": incident.sled_id,
        "title": incident.title,
        "opened_at": when(incident.opened_at_unix_ns),
        "updated_at": when(incident.updated_at_unix_ns),
        "resolved_at": when_or_none(incident.resolved_at_unix_ns),
        "acknowledged_by": incident.acknowledged_by,
        "findings": [_finding_out(finding) for finding in incident.findings],
        "inhibited_count": incident.inhibited_count,
        "cause": incident.cause,
    }


def _finding_out(finding: Finding) -> FindingOut:
    return FindingOut(
        rule=finding.rule,
        severity=finding.severity.value,
        subject=finding.subject,
        value=number(finding.value),
        limit=number(finding.limit),
        text=finding.text,
        consequence=finding.consequence,
        action=finding.action,
        cause=finding.cause,
        at=when(finding.at_unix_ns),
    )
