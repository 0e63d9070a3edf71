"""Who is told what: an incident becomes one delivery for each receiver."""

import hashlib
from collections.abc import Iterable

from controller.anomaly.finding import Severity
from controller.incidents.incident import Incident, IncidentState
from controller.notify.body import alertmanager_body, trial_body
from controller.store.outbox import Delivery, DeliveryKind
from controller.store.webhooks import Webhook


def notifications(
    incident: Incident, webhooks: Iterable[Webhook], *, external_url: str, at_unix_ns: int
) -> list[Delivery]:
    """One a receiver that is enabled. The same news of the same incident always gets the same
    `subject_key` and id, so that it is told once even if it is composed again after a crash.
    """
    resolved = incident.state is IncidentState.RESOLVED
    kind = DeliveryKind.RESOLVED if resolved else DeliveryKind.FIRING
    news = f"{incident.id}/{incident.reopened_total}/{kind.value}/{incident.severity.value}"
    return [
        Delivery(
            id=_message_id(news, webhook.id),
            webhook_id=webhook.id,
            incident_id=incident.id,
            subject_key=news,
            kind=kind,
            urgent=incident.severity is Severity.CRITICAL,
            body=alertmanager_body(incident, receiver=webhook.name, external_url=external_url),
            created_at_unix_ns=at_unix_ns,
            next_attempt_at_unix_ns=at_unix_ns,
        )
        for webhook in webhooks
        if webhook.enabled
    ]


def trial(webhook: Webhook, *, external_url: str, at_unix_ns: int) -> Delivery:
    """A person's test of a receiver."""
    news = f"test/{at_unix_ns}"
    return Delivery(
        id=_message_id(news, webhook.id),
        webhook_id=webhook.id,
        incident_id=None,
        subject_key=news,
        kind=DeliveryKind.TEST,
        urgent=True,
        body=trial_body(receiver=webhook.name, external_url=external_url, at_unix_ns=at_unix_ns),
        created_at_unix_ns=at_unix_ns,
        next_attempt_at_unix_ns=at_unix_ns,
    )


def _message_id(news: str, webhook_id: str) -> str:
    digest = hashlib.blake2b(f"{webhook_id}\n{news}".encode(), digest_size=16)
    return f"msg_{digest.hexdigest()}"
