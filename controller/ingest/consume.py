"""Telemetry, acknowledgements and events, from the bus into columns and lists."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from controller.ingest.agents import loop_of_agents
from controller.ingest.dead_letter import Reason, set_aside
from controller.ingest.schemas import Parking, SchemaBook, Waiting
from controller.ingest.sequence import Arrival, Sequences
from controller.state.columns import FleetColumns
from controller.store import Store
from fleet.bus import Bus, Reader, Record, Start
from fleet.clock import Clock
from fleet.codec import decode_message
from fleet.commands import Ack, decode_ack
from fleet.errors import MalformedMessageError, UnknownIdError
from fleet.events import Event, decode_event
from fleet.frame import Frame, Schema, decode_schema, schema_id
from fleet.topics import ACKS, EVENTS, SCHEMAS, TELEMETRY, Topic
from fleet.topology import FleetMap


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """Bounds of what is held back and of one round."""

    parked_frames: int = 2000
    parked_s: float = 60.0
    """A frame whose schema has not come after this long is set aside."""
    batch: int = 500
    round_s: float = 0.5
    """A backlog is read in rounds of at most this long, so that the cycle goes on meanwhile."""


class Consumer:
    """Reads the partitions of `loops`. One thread uses it.

    What was read is kept in the store by `save`, offsets and marks in one transaction; after a
    crash the messages since then are read again and known as duplicates or applied again.
    """

    def __init__(
        self,
        bus: Bus,
        store: Store,
        fleet_map: FleetMap,
        clock: Clock,
        *,
        loops: Iterable[str],
        settings: IngestSettings | None = None,
    ) -> None:
        self.columns = FleetColumns(fleet_map)
        self._bus = bus
        self._store = store
        self._clock = clock
        self._settings = settings or IngestSettings()
        self._loops = frozenset(loops)
        self._loop_of_agent = loop_of_agents(fleet_map)
        self._schemas = SchemaBook()
        self._parking = Parking(
            capacity=self._settings.parked_frames, patience_s=self._settings.parked_s
        )
        with store.read() as tx:
            self._sequences = Sequences(
                mark
                for mark in tx.marks.all()
                if self._loop_of_agent.get(mark.agent) in self._loops
            )
            kept = {topic.name: tx.marks.offsets(topic.name) for topic in (TELEMETRY, ACKS)}
        self._schema_reader = bus.reader(SCHEMAS, start=Start.BEGINNING)
        self._telemetry = self._resume(TELEMETRY, kept)
        self._ack_reader = self._resume(ACKS, kept)
        self._event_reader = bus.reader(EVENTS, start=Start.END)
        self._acks: list[Ack] = []
        self._events: list[Event] = []
        self.counts: dict[str, Counter[str]] = {
            loop: Counter() for loop in ("", *fleet_map.loop_ids)
        }
        """By loop ("" when a message does not say a known one): frames, malformed, duplicates,
        late, gaps, parked, dead_letters, foreign.
        """
        self.behind = False
        """Whether the last round ended with messages left to read."""

    def _resume(self, topic: Topic, kept: Mapping[str, Mapping[int, int]]) -> Reader:
        partitions = sorted({topic.partition_of(loop) for loop in self._loops})
        edge = self._bus.reader(topic, start=Start.END, partitions=partitions)
        ends = edge.positions()
        edge.close()
        # Past the end: the topic was made anew since, and is read from its beginning.
        offsets = {p: at for p, at in kept[topic.name].items() if at <= ends.get(p, -1)}
        return self._bus.reader(
            topic, start=Start.BEGINNING, partitions=partitions, offsets=offsets
        )

    def poll(self, timeout_s: float = 0.0) -> int:
        """Read telemetry for one round, waiting at most `timeout_s` for the first; how many
        messages that were.
        """
        self._each(self._schema_reader, self._take_schema)
        deadline_s = self._clock.monotonic_s() + self._settings.round_s
        taken = 0
        batch = self._telemetry.poll(timeout_s, self._settings.batch)
        while batch:
            for record in batch:
                self._take_telemetry(record)
            taken += len(batch)
            self.behind = self._clock.monotonic_s() >= deadline_s
            batch = [] if self.behind else self._telemetry.poll(0.0, self._settings.batch)
        self._give_up_waiting()
        return taken

    def poll_answers(self) -> None:
        """Read acknowledgements and events."""
        self._each(self._ack_reader, self._take_ack)
        self._each(self._event_reader, self._take_event)

    def take_acks(self) -> list[Ack]:
        """Acknowledgements since the last call."""
        taken, self._acks = self._acks, []
        return taken

    def take_events(self) -> list[Event]:
        """Events since the last call."""
        taken, self._events = self._events, []
        return taken

    def save(self) -> None:
        """Keep how far was read. A message with a frame that still waits is not passed."""
        offsets = dict(self._telemetry.positions())
        for partition, offset in self._parking.first_offsets().items():
            offsets[partition] = min(offsets.get(partition, offset), offset)
        changed = self._sequences.changed()
        with self._store.begin() as tx:
            tx.marks.save_offsets(TELEMETRY.name, offsets)
            tx.marks.save_offsets(ACKS.name, self._ack_reader.positions())
            tx.marks.save(changed)
        self._sequences.saved()

    def close(self) -> None:
        readers = (self._telemetry, self._schema_reader, self._ack_reader, self._event_reader)
        for reader in readers:
            reader.close()

    def _each(self, reader: Reader, take: Callable[[Record], None]) -> None:
        while batch := reader.poll(0.0, self._settings.batch):
            for record in batch:
                take(record)

    def _take_telemetry(self, record: Record) -> None:
        try:
            message = decode_message(record.value)
        except MalformedMessageError as error:
            self._dead(record, Reason.MALFORMED, str(error))
            return
        if message.loop not in self.counts or not message.loop:
            self._dead(record, Reason.UNKNOWN_LOOP, f"the fleet has no loop {message.loop!r}")
        elif message.loop not in self._loops:
            self.counts[message.loop]["foreign"] += 1  # another shard's, in the same partition
        else:
            for frame in message.frames:
                self._take_frame(record, message.loop, frame)

    def _take_frame(self, record: Record, loop_id: str, frame: Frame) -> None:
        if self._loop_of_agent.get(frame.agent) != loop_id:
            self._dead(record, Reason.UNKNOWN_AGENT, f"{loop_id} has no agent {frame.agent!r}")
            return
        schema = self._schemas.get(frame.schema_id)
        if schema is None:
            self.counts[loop_id]["parked"] += 1
            now_s = self._clock.monotonic_s()
            self._parking.park(Waiting(record=record, loop_id=loop_id, frame=frame, since_s=now_s))
            return
        self._apply(record, loop_id, frame, schema)

    def _apply(self, record: Record, loop_id: str, frame: Frame, schema: Schema) -> None:
        columns = (frame.values.shape[1], frame.counters.shape[1])
        if columns != (len(schema.columns), len(schema.counters)):
            text = f"frame {frame.id} has not the columns of its schema {frame.schema_id}"
            self._dead(record, Reason.MALFORMED, text)
            return
        arrival, missed = self._sequences.take(frame.agent, frame.epoch, frame.seq)
        counts = self.counts[loop_id]
        if arrival is Arrival.DUPLICATE:
            counts["duplicates"] += 1
            return
        try:
            self.columns.apply(frame, schema)
        except UnknownIdError as error:
            self._dead(record, Reason.UNKNOWN_AGENT, str(error))
            return
        counts["frames"] += 1
        counts["gaps"] += missed
        if arrival is Arrival.LATE:
            counts["late"] += 1

    def _take_schema(self, record: Record) -> None:
        try:
            schema = decode_schema(record.value)
        except MalformedMessageError as error:
            self._dead(record, Reason.MALFORMED, str(error))
            return
        # Addressed by content: the key is only the sender's word.
        found = schema_id(record.value)
        if self._schemas.add(found, schema):
            for held in self._parking.release(found):
                self._apply(held.record, held.loop_id, held.frame, schema)

    def _take_ack(self, record: Record) -> None:
        try:
            ack = decode_ack(record.value)
        except MalformedMessageError as error:
            self._dead(record, Reason.MALFORMED, str(error))
            return
        if self._loop_of_agent.get(ack.target) in self._loops:
            self._acks.append(ack)

    def _take_event(self, record: Record) -> None:
        try:
            self._events.append(decode_event(record.value))
        except MalformedMessageError as error:
            self._dead(record, Reason.MALFORMED, str(error))

    def _give_up_waiting(self) -> None:
        for held in self._parking.expire(self._clock.monotonic_s()):
            text = f"no document of schema {held.frame.schema_id} came for {held.frame.id}"
            self._dead(held.record, Reason.UNKNOWN_SCHEMA, text)

    def _dead(self, record: Record, reason: Reason, detail: str) -> None:
        counts = self.counts.get(record.key, self.counts[""])
        counts["dead_letters"] += 1
        if reason is Reason.MALFORMED:
            counts["malformed"] += 1
        set_aside(self._bus, record, reason, detail)
