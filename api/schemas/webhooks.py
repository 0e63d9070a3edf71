from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.schemas.values import Name, when, when_or_none
from controller.store.outbox import Delivery
from controller.store.webhooks import Webhook

Url = Annotated[
    str,
    StringConstraints(
        max_length=2000, pattern=r"^https?://[^\x00-\x20\x7f/?#@]+([/?#][^\x00-\x20\x7f]*)?$"
    ),
]


class WebhookIn(BaseModel):
    """A receiver of notifications in Alertmanager's webhook format, version 4."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Name, Field(examples=["on-call"])]
    url: Annotated[Url, Field(examples=["https://alerts.example.org/isotherm"])]


class WebhookOut(BaseModel):
    id: str
    name: str
    url: str
    created_at: datetime
    enabled: bool
    disabled_reason: str


class NewWebhookOut(WebhookOut):
    """The only answer that ever shows the secret."""

    secret: str = Field(
        description="Standard Webhooks signing secret",
        examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"],
    )


class DeliveryOut(BaseModel):
    """One notification to one receiver; the id is its `webhook-id` header."""

    id: str
    incident_id: str | None
    kind: str = Field(examples=["firing"])
    state: str = Field(examples=["delivered"])
    created_at: datetime
    attempts: int
    finished_at: datetime | None
    last_status: int | None
    last_error: str


def webhook_out(webhook: Webhook) -> WebhookOut:
    return WebhookOut.model_validate(_fields(webhook))


def new_webhook_out(webhook: Webhook) -> NewWebhookOut:
    return NewWebhookOut.model_validate(_fields(webhook) | {"secret": webhook.secret})


def delivery_out(delivery: Delivery) -> DeliveryOut:
    return DeliveryOut(
        id=delivery.id,
        incident_id=delivery.incident_id,
        kind=delivery.kind.value,
        state=delivery.state.value,
        created_at=when(delivery.created_at_unix_ns),
        attempts=delivery.attempts,
        finished_at=when_or_none(delivery.finished_at_unix_ns),
        last_status=delivery.last_status,
        last_error=delivery.last_error,
    )


def _fields(webhook: Webhook) -> dict[str, object]:
    return {
        "id": webhook.id,
        "name": webhook.name,
        "url": webhook.url,
        "created_at": when(webhook.created_at_unix_ns),
        "enabled": webhook.enabled,
        "disabled_reason": webhook.disabled_reason,
    }
