from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, insert, select, update

from controller.store.tables import WEBHOOKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A receiver of notifications; `secret` is `whsec_` and base64, as Standard Webhooks has it."""

    id: str
    name: str
    url: str
    secret: str = field(repr=False)
    created_at_unix_ns: int
    enabled: bool = True
    disabled_reason: str = ""


class Webhooks:
    """Receivers of notifications."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, webhook: Webhook) -> None:
        self._connection.execute(
            insert(WEBHOOKS).values(
                id=webhook.id,
                name=webhook.name,
                url=webhook.url,
                secret=webhook.secret,
                enabled=webhook.enabled,
                disabled_reason=webhook.disabled_reason,
                created_at_unix_ns=webhook.created_at_unix_ns,
            )
        )

    def get(self, webhook_id: str) -> Webhook | None:
        chosen = select(WEBHOOKS).where(WEBHOOKS.c.id == webhook_id)
        row = self._connection.execute(chosen).mappings().first()
        return None if row is None else Webhook(**row)

    def all(self) -> list[Webhook]:
        """Oldest first."""
        ordered = select(WEBHOOKS).order_by(WEBHOOKS.c.created_at_unix_ns, WEBHOOKS.c.id)
        return [Webhook(**row) for row in self._connection.execute(ordered).mappings()]

    def disable(self, webhook_id: str, reason: str) -> None:
        self._connection.execute(
            update(WEBHOOKS)
            .where(WEBHOOKS.c.id == webhook_id)
            .values(enabled=False, disabled_reason=reason)
        )

    def remove(self, webhook_id: str) -> bool:
        """Its deliveries go with it; False when there is no such webhook."""
        gone = delete(WEBHOOKS).where(WEBHOOKS.c.id == webhook_id)
        return self._connection.execute(gone).rowcount == 1
