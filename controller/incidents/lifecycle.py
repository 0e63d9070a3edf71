"""The life of incidents: opened by findings, taken by people, resolved by quiet."""

import hashlib
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Self

from controller.anomaly.finding import Finding, Severity
from controller.incidents.cordon import cordons_due
from controller.incidents.correlate import Group, by_key, group
from controller.incidents.incident import (
    Acknowledgement,
    Change,
    Incident,
    IncidentEffect,
    IncidentState,
    OpenIncident,
    ResolveIncident,
    UpdateIncident,
)
from controller.incidents.settings import IncidentSettings
from fleet.clock import NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentBook:
    """Every incident that is open or was resolved lately, by key."""

    incidents: Mapping[str, Incident] = field(default_factory=dict)

    @classmethod
    def of(cls, incidents: Iterable[Incident]) -> Self:
        """The book as a store kept it; of incidents with one key the newest counts."""
        newest = sorted(incidents, key=lambda incident: incident.opened_at_unix_ns)
        return cls(incidents={incident.key: incident for incident in newest})

    @property
    def open(self) -> tuple[Incident, ...]:
        return tuple(
            incident
            for incident in self.incidents.values()
            if incident.state is not IncidentState.RESOLVED
        )


def step(
    book: IncidentBook,
    findings: Iterable[Finding],
    *,
    at_unix_ns: int,
    acks: Iterable[Acknowledgement] = (),
    cordoned: Set[str] = frozenset(),
    sleds: int = 0,
    settings: IncidentSettings,
) -> tuple[IncidentBook, tuple[IncidentEffect, ...]]:
    """One cycle. `cordoned` are the sleds under a cordon now, `sleds` how many the fleet has
    (0: unknown, then only `cordon_always` limits cordons).

    An acknowledgement of an incident that is not open is passed over.
    """
    groups = by_key(group(findings, storm_sleds=settings.storm_sleds))
    incidents = dict(book.incidents)
    effects: list[IncidentEffect] = []
    for key, found in groups.items():
        incident, effect = _found(incidents.get(key), found, at_unix_ns, settings)
        incidents[key] = incident
        effects += effect
    effects += _acknowledge(incidents, acks, at_unix_ns)
    effects += _quiet(incidents, groups, at_unix_ns, settings)
    effects += cordons_due(incidents, cordoned=cordoned, sleds=sleds, settings=settings)
    return IncidentBook(incidents=incidents), tuple(effects)


def fingerprint(key: str) -> str:
    """16 hexadecimal digits that are the same for a key for ever."""
    return hashlib.blake2b(key.encode(), digest_size=8).hexdigest()


def _found(
    held: Incident | None, found: Group, at_unix_ns: int, settings: IncidentSettings
) -> tuple[Incident, list[IncidentEffect]]:
    if held is None or _is_past(held, at_unix_ns, settings):
        incident = _opened(found, at_unix_ns)
        return incident, [OpenIncident(incident=incident, cause=incident.cause)]
    seen = _seen(held, found, at_unix_ns)
    if held.state is IncidentState.RESOLVED:
        again = replace(
            seen,
            state=IncidentState.OPEN,
            resolved_at_unix_ns=None,
            acknowledged_by=None,
            cordoned_sleds=(),
            reopened_total=held.reopened_total + 1,
        )
        return again, [
            UpdateIncident(incident=again, change=Change.REOPENED, cause=found.lead.cause)
        ]
    change = _change(held, seen)
    if change is None:
        return seen, []
    return seen, [UpdateIncident(incident=seen, change=change, cause=found.lead.cause)]


def _is_past(held: Incident, at_unix_ns: int, settings: IncidentSettings) -> bool:
    """Whether an incident was resolved too long ago to be opened again."""
    resolved = held.resolved_at_unix_ns
    return resolved is not None and at_unix_ns - resolved > settings.reopen_s * NS_PER_S


def _opened(found: Group, at_unix_ns: int) -> Incident:
    lead, mark = found.lead, fingerprint(found.key)
    return Incident(
        id=f"{mark}-{at_unix_ns // 1_000_000:x}",
        key=found.key,
        fingerprint=mark,
        state=IncidentState.OPEN,
        severity=found.severity,
        family=lead.family,
        rule=lead.rule,
        subject=lead.subject,
        scope=lead.scope,
        loop_id=lead.loop_id,
        sled_id=None if found.storm else lead.sled_id,
        title=_title(found),
        cause=lead.cause,
        findings=found.findings,
        inhibited_count=len(found.inhibited),
        opened_at_unix_ns=at_unix_ns,
        updated_at_unix_ns=at_unix_ns,
        last_found_at_unix_ns=at_unix_ns,
    )


def _title(found: Group) -> str:
    if not found.storm:
        return found.lead.text
    sleds = len({finding.sled_id for finding in found.findings})
    return f"{sleds} sleds of {found.lead.loop_id} at once, for example: {found.lead.text}"


def _seen(held: Incident, found: Group, at_unix_ns: int) -> Incident:
    """The incident after another cycle of findings. Its severity only rises while it is open;
    its title follows the likely cause.
    """
    lead = found.lead
    renamed = (lead.rule, lead.subject) != (held.rule, held.subject)
    worst = Severity.CRITICAL in (held.severity, found.severity)
    return replace(
        held,
        severity=Severity.CRITICAL if worst else Severity.WARNING,
        rule=lead.rule,
        subject=lead.subject,
        scope=lead.scope,
        sled_id=None if found.storm else lead.sled_id,
        title=_title(found) if renamed else held.title,
        cause=lead.cause if renamed else held.cause,
        findings=found.findings,
        inhibited_count=len(found.inhibited),
        updated_at_unix_ns=at_unix_ns,
        last_found_at_unix_ns=at_unix_ns,
    )


def _change(held: Incident, seen: Incident) -> Change | None:
    """What is worth telling: values that move every cycle are not."""
    if seen.severity is not held.severity:
        return Change.SEVERITY
    if _names(seen) != _names(held):
        return Change.FINDINGS
    return None


def _names(incident: Incident) -> frozenset[tuple[str, str]]:
    return frozenset((finding.rule, finding.subject) for finding in incident.findings)


def _acknowledge(
    incidents: dict[str, Incident], acks: Iterable[Acknowledgement], at_unix_ns: int
) -> list[IncidentEffect]:
    keys = {incident.id: key for key, incident in incidents.items()}
    effects: list[IncidentEffect] = []
    for ack in acks:
        key = keys.get(ack.incident_id)
        if key is None or incidents[key].state is not IncidentState.OPEN:
            continue
        taken = replace(
            incidents[key],
            state=IncidentState.ACKNOWLEDGED,
            acknowledged_by=ack.actor,
            updated_at_unix_ns=at_unix_ns,
        )
        incidents[key] = taken
        effects.append(
            UpdateIncident(
                incident=taken, change=Change.ACKNOWLEDGED, cause=f"acknowledged by {ack.actor}"
            )
        )
    return effects


def _quiet(
    incidents: dict[str, Incident],
    groups: Mapping[str, Group],
    at_unix_ns: int,
    settings: IncidentSettings,
) -> list[IncidentEffect]:
    """Resolve what was quiet for long enough; forget what can not be reopened any more."""
    effects: list[IncidentEffect] = []
    for key, incident in sorted(incidents.items()):
        if key in groups:
            continue
        if incident.state is IncidentState.RESOLVED:
            if _is_past(incident, at_unix_ns, settings):
                del incidents[key]
        elif at_unix_ns - incident.last_found_at_unix_ns >= settings.quiet_s * NS_PER_S:
            incidents[key] = replace(
                incident,
                state=IncidentState.RESOLVED,
                resolved_at_unix_ns=at_unix_ns,
                updated_at_unix_ns=at_unix_ns,
            )
            cause = f"quiet for {settings.quiet_s:g} s"
            effects.append(ResolveIncident(incident=incidents[key], cause=cause))
    return effects
