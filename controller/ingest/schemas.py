"""Schema documents by id, and the frames that wait for one."""

from collections import OrderedDict
from collections.abc import Container, Iterator
from dataclasses import dataclass

from fleet.bus import Record
from fleet.frame import Schema, Slab


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Waiting:
    """Frames whose schema document has not come yet, and the message that carried them."""

    record: Record
    loop_id: str
    slab: Slab
    since_s: float


class Parking:
    """Frames that wait for a schema document; bounded in number and in time."""

    def __init__(self, *, capacity: int, patience_s: float) -> None:
        self._capacity = capacity
        self._patience_s = patience_s
        self._waiting: OrderedDict[int, Waiting] = OrderedDict()
        self._next = 0
        self._frames = 0

    def __len__(self) -> int:
        """How many frames wait."""
        return self._frames

    def park(self, waiting: Waiting) -> None:
        self._waiting[self._next] = waiting
        self._next += 1
        self._frames += len(waiting.slab)

    def release(self, schema_id: str) -> list[Waiting]:
        """Those that waited for this document, in order."""
        ready = [n for n, held in self._waiting.items() if held.slab.schema_id == schema_id]
        return [self._take(number) for number in ready]

    def expire(self, now_s: float) -> Iterator[Waiting]:
        """Those that have waited too long, and the oldest ones beyond the capacity."""
        while self._waiting:
            number, oldest = next(iter(self._waiting.items()))
            over = self._frames > self._capacity
            if not over and now_s - oldest.since_s < self._patience_s:
                return
            yield self._take(number)

    def drop(self, partitions: Container[int]) -> None:
        """Forget what came in these partitions."""
        for number, held in list(self._waiting.items()):
            if held.record.partition in partitions:
                self._take(number)

    def _take(self, number: int) -> Waiting:
        taken = self._waiting.pop(number)
        self._frames -= len(taken.slab)
        return taken

    def first_offsets(self) -> dict[int, int]:
        """Partition -> offset of the oldest message with a frame that waits."""
        first: dict[int, int] = {}
        for held in self._waiting.values():
            partition, offset = held.record.partition, held.record.offset
            first[partition] = min(first.get(partition, offset), offset)
        return first


class SchemaBook:
    """Documents seen so far."""

    def __init__(self) -> None:
        self._known: dict[str, Schema] = {}

    def get(self, schema_id: str) -> Schema | None:
        return self._known.get(schema_id)

    def add(self, schema_id: str, schema: Schema) -> bool:
        """False when it was known."""
        if schema_id in self._known:
            return False
        self._known[schema_id] = schema
        return True
