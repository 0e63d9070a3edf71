from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec
from sqlalchemy import Connection, delete, select

from controller.enrolment.enrolment import Enrolment, EnrolmentState
from controller.store.tables import ENROLMENTS, SLED_SERIALS
from controller.store.upsert import upsert

_CHUNK: Final = 500  # SQLite takes 999 parameters and more
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Enrolment)


class Enrolments:
    """What was enrolled for each sled, and which sled holds each serial."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, sled_ids: Iterable[str]) -> dict[str, Enrolment]:
        """Those that have announced themselves, by sled id."""
        found = {}
        for part in _chunks(sled_ids):
            chosen = select(ENROLMENTS.c.document).where(ENROLMENTS.c.sled_id.in_(part))
            for row in self._connection.execute(chosen):
                enrolment = _decoder.decode(row.document)
                found[enrolment.sled_id] = enrolment
        return found

    def refused(self) -> list[Enrolment]:
        """By sled id."""
        chosen = select(ENROLMENTS.c.document).where(
            ENROLMENTS.c.state == EnrolmentState.REFUSED.value
        )
        rows = self._connection.execute(chosen.order_by(ENROLMENTS.c.sled_id))
        return [_decoder.decode(row.document) for row in rows]

    def holders(self, serials: Iterable[str]) -> dict[str, str]:
        """Serial -> the sled that it is enrolled for."""
        found: dict[str, str] = {}
        for part in _chunks(serials):
            chosen = select(SLED_SERIALS).where(SLED_SERIALS.c.serial.in_(part))
            found |= {row.serial: row.sled_id for row in self._connection.execute(chosen)}
        return found

    def save(self, enrolment: Enrolment) -> None:
        """What is enrolled here now is nowhere else, and what was enrolled here is free. Who is
        refused takes nothing and gives nothing up.
        """
        row = {
            "sled_id": enrolment.sled_id,
            "state": enrolment.state.value,
            "document": _encoder.encode(enrolment),
        }
        upsert(self._connection, ENROLMENTS, [row])
        if enrolment.state is EnrolmentState.REFUSED or enrolment.enrolled is None:
            return
        serials = sorted(set(enrolment.enrolled.serials.values()))
        mine = SLED_SERIALS.c.sled_id == enrolment.sled_id
        self._connection.execute(delete(SLED_SERIALS).where(mine))
        rows = [{"serial": serial, "sled_id": enrolment.sled_id} for serial in serials]
        upsert(self._connection, SLED_SERIALS, rows)


def _chunks(names: Iterable[str]) -> Iterator[Sequence[str]]:
    left = iter(sorted(set(names)))
    while part := list(islice(left, _CHUNK)):
        yield part
