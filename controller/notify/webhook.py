"""One try: a signed POST, and what came back."""

from typing import Final

import httpx

from controller.notify.address import Target, parse_receiver, resolve
from controller.notify.outbox import Answer, retry_after_s
from controller.notify.signature import signed_headers
from controller.store.outbox import Delivery
from controller.store.webhooks import Webhook
from fleet.errors import ConfigurationError

TIMEOUT_S: Final = 15.0
"""Standard Webhooks advises 15 to 30 s."""
MAX_ANSWER_BYTES: Final = 1024
"""As much of an answer's body as is worth keeping for a person to read."""


def new_client() -> httpx.Client:
    """No redirects, no proxies from the environment: only what was checked is connected to."""
    return httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False)


def post(
    client: httpx.Client,
    webhook: Webhook,
    delivery: Delivery,
    *,
    at_unix_ns: int,
    allow_private: bool,
) -> Answer:
    """Never raises: whatever goes wrong is the answer."""
    try:
        target = resolve(parse_receiver(webhook.url), allow_private=allow_private)
        return _post(client, target, _headers(webhook, delivery, at_unix_ns), delivery, at_unix_ns)
    except (ConfigurationError, httpx.HTTPError, OSError, UnicodeError, ValueError) as error:
        return Answer(status=None, error=f"{type(error).__name__}: {error}")


def _headers(webhook: Webhook, delivery: Delivery, at_unix_ns: int) -> dict[str, str]:
    signed = signed_headers(
        webhook.secret, message_id=delivery.id, body=delivery.body, at_unix_ns=at_unix_ns
    )
    return {"content-type": "application/json", "user-agent": "isotherm", **signed}


def _post(
    client: httpx.Client,
    target: Target,
    headers: dict[str, str],
    delivery: Delivery,
    at_unix_ns: int,
) -> Answer:
    headers["host"] = target.url.netloc.decode()
    with client.stream(
        "POST",
        target.connect_url,
        content=delivery.body,
        headers=headers,
        extensions={"sni_hostname": target.url.host},
    ) as response:
        error = ""
        if not response.is_success:
            error = f"HTTP {response.status_code}: {_beginning(response)}".rstrip(": ")
        return Answer(
            status=response.status_code,
            error=error,
            retry_after_s=retry_after_s(response.headers.get("retry-after"), at_unix_ns=at_unix_ns),
        )


def _beginning(response: httpx.Response) -> str:
    # Raw bytes: a body that unpacks to gigabytes is not unpacked.
    for chunk in response.iter_raw(MAX_ANSWER_BYTES):
        return chunk[:MAX_ANSWER_BYTES].decode(errors="replace").strip()
    return ""
