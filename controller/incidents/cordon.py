"""Which sleds a critical incident takes out of service, and when that would be too many."""

from collections.abc import Set
from dataclasses import replace

from controller.anomaly.finding import Severity
from controller.incidents.incident import (
    CordonSled,
    Incident,
    IncidentState,
    WithholdCordon,
)
from controller.incidents.settings import IncidentSettings


def cordons_due(
    incidents: dict[str, Incident],
    *,
    cordoned: Set[str],
    sleds: int,
    settings: IncidentSettings,
) -> list[CordonSled | WithholdCordon]:
    """Cordons that open incidents ask for now; each incident asks once for each sled.

    Incidents whose cause is the loop's ask for none: a bad loop must not empty the fleet. The
    book `incidents` is brought up to date in place.
    """
    most = max(settings.cordon_always, int(settings.cordon_share_limit * sleds))
    taken = set(cordoned)
    effects: list[CordonSled | WithholdCordon] = []
    for key, incident in sorted(incidents.items()):
        new = [sled for sled in _sleds_in_danger(incident) if sled not in incident.cordoned_sleds]
        if not new:
            continue
        incidents[key] = replace(incident, cordoned_sleds=(*incident.cordoned_sleds, *new))
        for sled in new:
            if sled in cordoned:
                continue
            effects.append(_cordon(incident, sled, allowed=len(taken) < most))
            taken.add(sled)
    return effects


def _sleds_in_danger(incident: Incident) -> list[str]:
    if incident.state is IncidentState.RESOLVED or incident.sled_id is None:
        return []
    return sorted(
        {
            finding.sled_id
            for finding in incident.findings
            if finding.severity is Severity.CRITICAL and finding.sled_id is not None
        }
    )


def _cordon(incident: Incident, sled_id: str, *, allowed: bool) -> CordonSled | WithholdCordon:
    if allowed:
        return CordonSled(sled_id=sled_id, reason=incident.title, cause=incident.id)
    reason = f"{incident.title}; not cordoned, because too much of the fleet is already"
    return WithholdCordon(sled_id=sled_id, reason=reason, cause=incident.id)
