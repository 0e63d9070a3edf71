from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, update

from controller.store.tables import IDEMPOTENCY_KEYS
from controller.store.upsert import insert_absent


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An earlier request with the same key; `status` is None while it is still under way."""

    request: str
    status: int | None
    response: bytes


class Idempotency:
    """Which requests were answered already, by the key that the client chose."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def claim(self, key: str, request: str, *, at_unix_ns: int) -> Answered | None:
        """None when the key is new and now this request's; else what the earlier one was.

        `request` is a digest of at most 64 characters of what was asked.
        """
        row: dict[str, object] = {"key": key, "request": request, "created_at_unix_ns": at_unix_ns}
        if insert_absent(self._connection, IDEMPOTENCY_KEYS, row):
            return None
        found = self._connection.execute(
            select(IDEMPOTENCY_KEYS).where(IDEMPOTENCY_KEYS.c.key == key)
        ).one()
        return Answered(
            request=found.request, status=found.status, response=bytes(found.response or b"")
        )

    def answer(self, key: str, *, status: int, response: bytes) -> None:
        self._connection.execute(
            update(IDEMPOTENCY_KEYS)
            .where(IDEMPOTENCY_KEYS.c.key == key)
            .values(status=status, response=response)
        )

    def forget(self, *, before_unix_ns: int) -> int:
        """Drop keys that are older; how many."""
        old = delete(IDEMPOTENCY_KEYS).where(IDEMPOTENCY_KEYS.c.created_at_unix_ns < before_unix_ns)
        return self._connection.execute(old).rowcount
