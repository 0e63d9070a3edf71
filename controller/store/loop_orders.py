from typing import Final

import msgspec
from sqlalchemy import Connection, delete, select

from controller.cooling.control import ManualOrder
from controller.store.tables import LOOP_ORDERS
from controller.store.upsert import upsert

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(ManualOrder)


class LoopOrders:
    """People's overrides, one a loop; those that have run out stay until a controller says so."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, loop_id: str, order: ManualOrder) -> None:
        row = {
            "loop_id": loop_id,
            "until_unix_ns": order.until_unix_ns,
            "document": _encoder.encode(order),
        }
        upsert(self._connection, LOOP_ORDERS, [row])

    def get(self, loop_id: str) -> ManualOrder | None:
        return self.all().get(loop_id)

    def all(self) -> dict[str, ManualOrder]:
        """By loop id."""
        rows = self._connection.execute(select(LOOP_ORDERS))
        return {row.loop_id: _decoder.decode(row.document) for row in rows}

    def end(self, loop_id: str) -> bool:
        """Whether there was one."""
        mine = delete(LOOP_ORDERS).where(LOOP_ORDERS.c.loop_id == loop_id)
        return self._connection.execute(mine).rowcount > 0

    def end_late(self, loop_id: str, *, now_unix_ns: int) -> bool:
        """The same for one that has run out; a newer one that does not is left alone."""
        late = delete(LOOP_ORDERS).where(
            LOOP_ORDERS.c.loop_id == loop_id, LOOP_ORDERS.c.until_unix_ns <= now_unix_ns
        )
        return self._connection.execute(late).rowcount > 0
