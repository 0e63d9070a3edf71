"""Domain objects with defaults, for tests."""

from typing import Any

from controller.anomaly.finding import Family, Finding, Place, Severity
from controller.incidents.incident import Incident, IncidentState
from controller.placement.job import Job
from controller.store.outbox import Delivery, DeliveryKind
from controller.store.webhooks import Webhook

AT = 1_760_000_000_000_000_000
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def make_finding(**changed: Any) -> Finding:
    fields: dict[str, Any] = {
        "rule": "junction_hot",
        "family": Family.COOLING,
        "severity": Severity.CRITICAL,
        "subject": "h1/us01/r1/s07/c2",
        "scope": Place.CHIP,
        "loop_id": "h1/loop01",
        "sled_id": "h1/us01/r1/s07",
        "value": 96.5,
        "limit": 95.0,
        "text": "h1/us01/r1/s07/c2 is at 96.5 °C",
        "consequence": "The chip throttles.",
        "action": "Look at its cold plate.",
        "cause": "h1/us01/r1/s07@3.1041",
        "at_unix_ns": AT,
    }
    return Finding(**{**fields, **changed})


def make_incident(**changed: Any) -> Incident:
    finding = make_finding()
    fields: dict[str, Any] = {
        "id": "0123456789abcdef-1",
        "key": "thermal/h1/us01/r1/s07",
        "fingerprint": "0123456789abcdef",
        "state": IncidentState.OPEN,
        "severity": Severity.CRITICAL,
        "family": finding.family,
        "rule": finding.rule,
        "subject": finding.subject,
        "scope": finding.scope,
        "loop_id": finding.loop_id,
        "sled_id": finding.sled_id,
        "title": finding.text,
        "cause": finding.cause,
        "findings": (finding,),
        "inhibited_count": 0,
        "opened_at_unix_ns": AT,
        "updated_at_unix_ns": AT,
        "last_found_at_unix_ns": AT,
    }
    return Incident(**{**fields, **changed})


def make_job(**changed: Any) -> Job:
    fields: dict[str, Any] = {
        "id": "job-1",
        "name": "chat",
        "model": "llama-70b",
        "chips": 16,
        "tensor_parallel": 4,
        "priority": 0,
        "submitted_at_unix_ns": AT,
    }
    return Job(**{**fields, **changed})


def make_webhook(**changed: Any) -> Webhook:
    fields: dict[str, Any] = {
        "id": "hook-1",
        "name": "on-call",
        "url": "https://alerts.example.org/isotherm",
        "secret": SECRET,
        "created_at_unix_ns": AT,
    }
    return Webhook(**{**fields, **changed})


def make_delivery(**changed: Any) -> Delivery:
    fields: dict[str, Any] = {
        "id": "msg_1",
        "webhook_id": "hook-1",
        "incident_id": "0123456789abcdef-1",
        "subject_key": "0123456789abcdef-1/0/firing/critical",
        "kind": DeliveryKind.FIRING,
        "urgent": True,
        "body": b"{}",
        "created_at_unix_ns": AT,
        "next_attempt_at_unix_ns": AT,
    }
    return Delivery(**{**fields, **changed})
