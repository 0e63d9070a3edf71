"""An incident as Alertmanager's webhook body, version 4: receivers for it exist already.

Source: prometheus/alertmanager template/template.go and notify/webhook/webhook.go. All label and
annotation values are strings; the group is firing while any of its alerts is.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from controller.anomaly.finding import Finding
from controller.incidents.incident import Incident, IncidentState
from fleet.clock import NS_PER_S

MAX_ALERTS: Final = 20
"""Keeps a body under the 20 kB that Standard Webhooks advises; the rest is counted."""

_NEVER: Final = "0001-01-01T00:00:00Z"
_encoder: Final = msgspec.json.Encoder()


def alertmanager_body(incident: Incident, *, receiver: str, external_url: str) -> bytes:
    """JSON of one group: the incident; its alerts are the incident's findings."""
    shown = incident.findings[:MAX_ALERTS]
    alerts = [_alert(incident, finding, external_url) for finding in shown]
    group = {"alertname": alert_name(incident.rule), "loop": incident.loop_id}
    status = _status(incident)
    return _encoder.encode(
        {
            "version": "4",
            "groupKey": f"{{}}:{_selector(group)}",
            "truncatedAlerts": len(incident.findings) - len(shown),
            "receiver": receiver,
            "status": status,
            "externalURL": external_url,
            "groupLabels": group,
            "commonLabels": _shared([alert["labels"] for alert in alerts]),
            "commonAnnotations": _shared([alert["annotations"] for alert in alerts]),
            "alerts": alerts,
        }
    )


def trial_body(*, receiver: str, external_url: str, at_unix_ns: int) -> bytes:
    """What a person's test of a receiver sends: one alert that says so."""
    labels = {"alertname": "IsothermTest", "severity": "none"}
    annotations = {"summary": "Test notification", "description": "Someone tries this receiver."}
    return _encoder.encode(
        {
            "version": "4",
            "groupKey": f"{{}}:{_selector({'alertname': 'IsothermTest'})}",
            "truncatedAlerts": 0,
            "receiver": receiver,
            "status": "firing",
            "externalURL": external_url,
            "groupLabels": {"alertname": "IsothermTest"},
            "commonLabels": labels,
            "commonAnnotations": annotations,
            "alerts": [
                {
                    "status": "firing",
                    "labels": labels,
                    "annotations": annotations,
                    "startsAt": rfc3339(at_unix_ns),
                    "endsAt": _NEVER,
                    "generatorURL": external_url,
                    "fingerprint": _fingerprint(labels),
                }
            ],
        }
    )


def alert_name(rule: str) -> str:
    """`chip_hot` -> `ChipHot`, as Prometheus users name their alerts."""
    return "".join(part.capitalize() for part in rule.replace("-", "_").split("_"))


def rfc3339(unix_ns: int) -> str:
    at = datetime.fromtimestamp(unix_ns // NS_PER_S, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{unix_ns % NS_PER_S // 1_000_000:03d}Z"


def _alert(incident: Incident, finding: Finding, external_url: str) -> dict[str, Any]:
    labels = {
        "alertname": alert_name(finding.rule),
        "severity": finding.severity.value,
        "loop": finding.loop_id,
        "scope": finding.scope.value,
        "subject": finding.subject,
        "family": finding.family.value,
    }
    if finding.sled_id is not None:
        labels["sled"] = finding.sled_id
    ended = incident.resolved_at_unix_ns
    return {
        "status": _status(incident),
        "labels": labels,
        "annotations": {
            "summary": incident.title,
            "description": finding.text,
            "consequence": finding.consequence,
            "action": finding.action,
            "cause": finding.cause,
            "incident_id": incident.id,
            "inhibited_count": str(incident.inhibited_count),
        },
        "startsAt": rfc3339(incident.opened_at_unix_ns),
        "endsAt": _NEVER if ended is None else rfc3339(ended),
        "generatorURL": f"{external_url}/api/v1/incidents/{incident.id}",
        "fingerprint": _fingerprint(labels),
    }


def _status(incident: Incident) -> str:
    return "resolved" if incident.state is IncidentState.RESOLVED else "firing"


def _shared(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    if not rows:
        return {}
    return {
        name: value
        for name, value in rows[0].items()
        if all(row.get(name) == value for row in rows[1:])
    }


def _selector(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"


def _fingerprint(labels: Mapping[str, str]) -> str:
    text = "\xff".join(f"{name}\xff{value}" for name, value in sorted(labels.items()))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
