import secrets
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Request, Response

from api.desk import AtDesk, Wish, nudge, record
from api.pagination import Paged
from api.problems import FieldProblem, RefusedRequestError
from api.routes.parameters import RowId
from api.schemas.page import Page
from api.schemas.webhooks import (
    DeliveryOut,
    NewWebhookOut,
    WebhookIn,
    WebhookOut,
    delivery_out,
    new_webhook_out,
    webhook_out,
)
from controller.notify.address import parse_receiver
from controller.notify.compose import trial
from controller.notify.signature import new_secret
from controller.store import Transaction
from controller.store.webhooks import Webhook
from fleet.errors import ConfigurationError, UnknownIdError

MAX_PORT: Final = 65535

router = APIRouter(prefix="/webhooks", tags=["webhooks"])


@router.post("", status_code=HTTPStatus.CREATED, summary="Add a receiver of notifications")
def add(body: WebhookIn, desk: AtDesk, request: Request, response: Response) -> NewWebhookOut:
    """The secret is in this answer only: receivers need it to check who sent a notification."""
    _check(body.url)
    webhook = Webhook(
        id=f"wh-{secrets.token_hex(6)}",
        name=body.name,
        url=body.url,
        secret=new_secret(),
        created_at_unix_ns=desk.clock.unix_ns(),
    )
    wish = Wish(action="add_webhook", subject=webhook.id)
    with desk.store.begin() as transaction:
        transaction.webhooks.add(webhook)
        record(desk, transaction, wish, request)
    nudge(desk, wish, request)
    response.headers["Location"] = f"{request.url.path}/{webhook.id}"
    return new_webhook_out(webhook)


@router.get("", summary="Receivers, oldest first")
def webhooks(desk: AtDesk, paged: Paged) -> Page[WebhookOut]:
    with desk.store.read() as transaction:
        found = transaction.webhooks.all()
    part, next_cursor = paged.rows(range(len(found)))
    return Page(items=[webhook_out(found[row]) for row in part], next_cursor=next_cursor)


@router.get("/{webhook_id:path}/deliveries", summary="What a receiver was told, newest first")
def deliveries(webhook_id: RowId, desk: AtDesk, paged: Paged) -> Page[DeliveryOut]:
    with desk.store.read() as transaction:
        _found(transaction, webhook_id)
        kept = transaction.outbox.of_webhook(webhook_id, limit=desk.options.max_page_limit)
    part, next_cursor = paged.rows(range(len(kept)))
    return Page(items=[delivery_out(kept[row]) for row in part], next_cursor=next_cursor)


@router.post(
    "/{webhook_id:path}/test",
    status_code=HTTPStatus.ACCEPTED,
    summary="Send a receiver a test notification",
)
def test(webhook_id: RowId, desk: AtDesk, request: Request) -> DeliveryOut:
    """It is sent by the controller; `/deliveries` says what came of it."""
    wish = Wish(action="test_webhook", subject=webhook_id)
    with desk.store.begin() as transaction:
        webhook = _found(transaction, webhook_id)
        if not webhook.enabled:
            raise RefusedRequestError(
                HTTPStatus.CONFLICT,
                f"webhook {webhook_id!r} is disabled: {webhook.disabled_reason}",
                kind="webhook-disabled",
            )
        delivery = trial(
            webhook, external_url=desk.options.public_url, at_unix_ns=desk.clock.unix_ns()
        )
        transaction.outbox.add(delivery)
        record(desk, transaction, wish, request)
    nudge(desk, wish, request)
    return delivery_out(delivery)


@router.delete("/{webhook_id:path}", status_code=HTTPStatus.NO_CONTENT, summary="Remove a receiver")
def remove(webhook_id: RowId, desk: AtDesk, request: Request) -> None:
    """What waited for it is dropped."""
    wish = Wish(action="remove_webhook", subject=webhook_id)
    with desk.store.begin() as transaction:
        if not transaction.webhooks.remove(webhook_id):
            raise UnknownIdError("webhook", webhook_id)
        record(desk, transaction, wish, request)
    nudge(desk, wish, request)


def _found(transaction: Transaction, webhook_id: str) -> Webhook:
    webhook = transaction.webhooks.get(webhook_id)
    if webhook is None:
        raise UnknownIdError("webhook", webhook_id)
    return webhook


def _check(url: str) -> None:
    try:
        port = parse_receiver(url).port
        if port is not None and port > MAX_PORT:
            raise ConfigurationError(f"webhook: port {port} is above {MAX_PORT}")
    except ConfigurationError as error:
        raise RefusedRequestError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            str(error),
            kind="invalid-request",
            errors=[FieldProblem(location="body", pointer="#/url", detail=str(error))],
        ) from error
