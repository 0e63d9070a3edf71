from dataclasses import dataclass
from enum import StrEnum

from controller.anomaly.finding import Family, Finding, Place, Severity


class IncidentState(StrEnum):
    OPEN = "open"  # found, and nobody has taken it
    ACKNOWLEDGED = "acknowledged"  # a person has taken it; it stays until it is quiet
    RESOLVED = "resolved"  # quiet for long enough


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Findings that belong together, with a life of their own.

    `key` is what groups them and `fingerprint` its 16 hexadecimal digits; at most one incident of a
    key is open. `rule`, `subject`, `scope` and `cause` are those of the finding that leads it.
    `inhibited_count` counts subjects whose findings this incident explains and hides.
    """

    id: str
    key: str
    fingerprint: str
    state: IncidentState
    severity: Severity
    family: Family
    rule: str
    subject: str
    scope: Place
    loop_id: str
    sled_id: str | None
    title: str
    cause: str
    findings: tuple[Finding, ...]
    inhibited_count: int
    opened_at_unix_ns: int
    updated_at_unix_ns: int
    last_found_at_unix_ns: int
    resolved_at_unix_ns: int | None = None
    acknowledged_by: str | None = None
    reopened_total: int = 0
    cordoned_sleds: tuple[str, ...] = ()
    """Sleds whose cordon this incident has asked for already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """A person has taken an incident."""

    incident_id: str
    actor: str
    comment: str


class Change(StrEnum):
    """What an update changed."""

    FINDINGS = "findings"  # other rules or subjects than before
    SEVERITY = "severity"  # raised to critical
    ACKNOWLEDGED = "acknowledged"  # a person has taken it
    REOPENED = "reopened"  # came back soon after it was resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIncident:
    incident: Incident
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateIncident:
    incident: Incident
    change: Change
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveIncident:
    incident: Incident
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CordonSled:
    """No new work for a sled and move what runs there; `cause` is the incident's id."""

    sled_id: str
    reason: str
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WithholdCordon:
    """A cordon that was due but would take too much of the fleet; a person must decide."""

    sled_id: str
    reason: str
    cause: str


IncidentEffect = OpenIncident | UpdateIncident | ResolveIncident | CordonSled | WithholdCordon
