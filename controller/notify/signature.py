"""Standard Webhooks 1.0.0: what a receiver checks to know who sent a body, and when."""

import base64
import secrets
from datetime import UTC, datetime
from typing import Final

from standardwebhooks.webhooks import Webhook as Signer

from fleet.clock import NS_PER_S

SECRET_BYTES: Final = 32
"""The standard asks for 24 to 64."""


def new_secret() -> str:
    """`whsec_` and base64, from the operating system's generator."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signed_headers(secret: str, *, message_id: str, body: bytes, at_unix_ns: int) -> dict[str, str]:
    """The three headers; the id stays the same on every try, the time is that of this try."""
    seconds = at_unix_ns // NS_PER_S
    signature: str = Signer(secret).sign(
        msg_id=message_id, timestamp=datetime.fromtimestamp(seconds, UTC), data=body.decode()
    )
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": signature,
    }
