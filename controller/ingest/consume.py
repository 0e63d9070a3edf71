"""Telemetry, acknowledgements and events, from the bus into columns, history and lists."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from controller.history.window import Sealed, Window
from controller.history.windows import HistorySettings, Windows
from controller.ingest.dead_letter import Reason, set_aside
from controller.ingest.schemas import Parking, SchemaBook, Waiting
from controller.ingest.sequence import Sequences
from controller.state.columns import FleetColumns
from controller.state.roster import Roster
from controller.store import Store, Transaction
from controller.store.marks import Mark
from fleet.bus import Bus, Reader, Record, Start
from fleet.clock import NS_PER_S, Clock
from fleet.codec import decode_message
from fleet.commands import Ack, decode_ack
from fleet.errors import MalformedMessageError
from fleet.events import Event, decode_event
from fleet.frame import Reporter, Schema, Slab, decode_schema, schema_id
from fleet.topics import ACKS, EVENTS, SCHEMAS, TELEMETRY, Topic
from fleet.topology import FleetMap

_SCHEMA_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """Bounds of what is held back and of one round."""

    parked_frames: int = 2000
    parked_s: float = 60.0
    """A frame whose schema has not come after this long is set aside."""
    batch: int = 500
    round_s: float = 0.5
    """A backlog is read in rounds of at most this long, so that the cycle goes on meanwhile."""
    schemas_s: float = 10.0
    """The documents that are there already are waited for so long at the start."""
    ahead_s: float = 3600.0
    """A tick further ahead of this clock is not believed, and not kept as history."""
    behind_s: float = 7 * 86_400.0
    """The same, for the past; spools keep a day."""
    history: HistorySettings = field(default_factory=HistorySettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What `save` has put into the store."""

    windows: int = 0
    samples: int = 0
    bytes: int = 0


class Consumer:
    """Reads the partitions of `loops`. One thread uses it.

    Telemetry is gathered in windows; `save` writes those that are full, together with the
    sequence numbers in them and the offset of the oldest message that still has a frame in an open
    window. After a crash messages are read again from there: what is in the store is known as
    duplicate, the rest fills its windows again.
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
        self._loop_ids = fleet_map.loop_ids
        self._loop_row = {loop: row for row, loop in enumerate(fleet_map.loop_ids)}
        self._roster = Roster(fleet_map)
        self._schemas = SchemaBook()
        self._parking = Parking(
            capacity=self._settings.parked_frames, patience_s=self._settings.parked_s
        )
        self._windows = Windows(self._roster, self._settings.history)
        self._sealed: list[tuple[Window, Sealed]] = []
        """Not written yet, because the store was away."""
        self._grids: dict[str, int] = {}
        with store.read() as tx:
            self._sequences = self._known(tx)
            kept = {topic.name: tx.marks.offsets(topic.name) for topic in (TELEMETRY, ACKS)}
        self._kept = dict(kept[TELEMETRY.name])
        """Offsets of telemetry in the store, as this controller knows them."""
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
        late, gaps, parked, dead_letters, foreign, wrong_clocks.
        """
        self.behind = False
        """Whether the last round ended with messages left to read."""
        self._learn_schemas()

    def _known(self, tx: Transaction) -> Sequences:
        return Sequences(self._roster, tx.marks.all())

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

    def _learn_schemas(self) -> None:
        """All documents that are there already come before the first frame: a backlog has more
        frames than may wait for them.
        """
        edge = self._bus.reader(SCHEMAS, start=Start.END)
        ends = edge.positions()
        edge.close()
        for _ in range(round(self._settings.schemas_s / _SCHEMA_POLL_S)):
            at = self._schema_reader.positions()
            if all(at.get(partition, 0) >= end for partition, end in ends.items()):
                return
            for record in self._schema_reader.poll(_SCHEMA_POLL_S, self._settings.batch):
                self._take_schema(record)

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

    def save(
        self, check: Callable[[Transaction], None] = lambda _: None, *, everything: bool = False
    ) -> Written:
        """Write the windows that are full (`everything`: all), and how far was read, in one
        transaction that `check` may refuse by raising. What was not written goes again next time.
        """
        for window in self._windows.take_due(self._clock.monotonic_s(), all_of_them=everything):
            self._sealed.append((window, self._seal(window)))
        unsealed = self._unsealed()
        agents = sorted({row for _, sealed in self._sealed for row in sealed.agents})
        offsets = self._safe_offsets()
        with self._store.begin() as tx:
            check(tx)
            for _, sealed in self._sealed:
                tx.blocks.append(sealed.blocks)
            marks = self._sequences.marks(agents, unsealed)
            tx.marks.save(marks)
            settled = self._save_gaps(tx, marks)
            tx.marks.save_offsets(TELEMETRY.name, offsets)
            tx.marks.save_offsets(ACKS.name, self._ack_reader.positions())
        self._sequences.settle(settled)
        self._kept = self._kept | offsets
        written = Written(
            windows=len(self._sealed),
            samples=sum(sealed.samples for _, sealed in self._sealed),
            bytes=sum(len(b.body) for _, sealed in self._sealed for b in sealed.blocks),
        )
        self._sealed.clear()
        return written

    def start_over(self) -> None:
        """Where another controller has written meanwhile: forget what was read and not written,
        and read on from where the store says.
        """
        with self._store.read() as tx:
            kept = {TELEMETRY.name: tx.marks.offsets(TELEMETRY.name)}
            if kept[TELEMETRY.name] == self._kept:
                return
            self._sequences = self._known(tx)
        self._kept = kept[TELEMETRY.name]
        self._windows.clear()
        self._parking.clear()
        self._sealed.clear()
        self._telemetry.close()
        self._telemetry = self._resume(TELEMETRY, kept)

    def _save_gaps(self, tx: Transaction, marks: Iterable[Mark]) -> list[tuple[int, int]]:
        """Write down the holes of agents whose windows are written now. A number that fills a hole
        and is not written yet counts as missing in its mark, and so it does here: it is looked at
        again with the next window.
        """
        by_life = {(mark.agent, mark.epoch): mark for mark in marks}
        settled = []
        for row, epoch in self._sequences.unsettled():
            agent = self._roster.agents[row]
            mark = by_life.get((agent, epoch))
            if mark is None:
                continue
            holes = self._sequences.missing(row, epoch)
            if tx.gaps.follow(agent, epoch, holes, mark.missing, at_unix_ns=self._clock.unix_ns()):
                settled.append((row, epoch))
        return settled

    def _seal(self, window: Window) -> Sealed:
        first_row = int(self._roster.first_row[window.group])
        return window.seal(self._roster.group_ids[window.group], first_row, self._grids)

    def _unsealed(self) -> dict[tuple[int, int], list[int]]:
        found: dict[tuple[int, int], list[int]] = {}
        groups = {window.group for window, _ in self._sealed}
        for window in self._windows.open_windows():
            if window.group in groups:
                first_row = int(self._roster.first_row[window.group])
                for (seat, epoch), seqs in window.unsealed().items():
                    found.setdefault((first_row + seat, epoch), []).extend(seqs)
        return {name: sorted(seqs) for name, seqs in found.items()}

    def _safe_offsets(self) -> dict[int, int]:
        """No message with a frame that waits or stands in an open window is passed."""
        offsets = dict(self._telemetry.positions())
        for held in (self._parking.first_offsets(), self._windows.first_offsets()):
            for partition, offset in held.items():
                offsets[partition] = min(offsets.get(partition, offset), offset)
        return offsets

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
            for slab in message.slabs:
                self._take_slab(record, message.loop, slab)

    def _take_slab(self, record: Record, loop_id: str, slab: Slab) -> None:
        here = self._roster.seating(slab.agents).loops == self._loop_row[loop_id]
        if not here.all():
            strangers = [slab.agents[row] for row in np.flatnonzero(~here)]
            text = f"{loop_id} has no agent {', '.join(map(repr, strangers))}"
            self._dead(record, Reason.UNKNOWN_AGENT, text)
            slab = slab.take(np.flatnonzero(here).tolist())
            if not len(slab):
                return
        schema = self._schemas.get(slab.schema_id)
        if schema is None:
            self.counts[loop_id]["parked"] += len(slab)
            now_s = self._clock.monotonic_s()
            self._parking.park(Waiting(record=record, loop_id=loop_id, slab=slab, since_s=now_s))
            return
        self._apply(record, loop_id, slab, schema)

    def _apply(self, record: Record, loop_id: str, slab: Slab, schema: Schema) -> None:
        columns = (slab.values.shape[2], slab.counters.shape[2])
        if columns != (len(schema.columns), len(schema.counters)):
            text = f"frame {slab.frame(0).id} has not the columns of its schema {slab.schema_id}"
            self._dead(record, Reason.MALFORMED, text)
            return
        seating = self._roster.seating(slab.agents)
        if not self._fits(schema, seating.rows):
            text = f"frame {slab.frame(0).id} is of a {schema.reporter}, which its agent is not"
            self._dead(record, Reason.MALFORMED, text)
            return
        counts = self.counts[loop_id]
        taken = self._sequences.take(
            seating.rows, slab.epochs, slab.seqs, distinct=seating.distinct
        )
        counts["gaps"] += taken.missed
        counts["late"] += taken.late
        if not taken.fresh.all():
            counts["duplicates"] += int(np.count_nonzero(~taken.fresh))
            slab = slab.take(np.flatnonzero(taken.fresh).tolist())
            if not len(slab):
                return
        counts["frames"] += len(slab)
        self._show(slab, schema)
        self._keep(record, loop_id, slab, schema)

    def _fits(self, schema: Schema, rows: np.ndarray) -> bool:
        of_sleds = rows < len(self._roster) - len(self._loop_ids)
        return bool((of_sleds == (schema.reporter is Reporter.SLED)).all())

    def _show(self, slab: Slab, schema: Schema) -> None:
        seating = self._roster.seating(slab.agents)
        if seating.distinct:
            self.columns.apply(slab, schema, seating.rows)
            return
        for row in range(len(slab)):
            self.columns.apply(slab.take([row]), schema, seating.rows[row : row + 1])

    def _keep(self, record: Record, loop_id: str, slab: Slab, schema: Schema) -> None:
        """Into history, but for what was measured at a time that can not be."""
        now_ns = self._clock.unix_ns()
        settings = self._settings
        believed = (slab.t0_unix_ns <= now_ns + round(settings.ahead_s * NS_PER_S)) & (
            slab.t0_unix_ns >= now_ns - round(settings.behind_s * NS_PER_S)
        )
        if not believed.all():
            wrong = np.flatnonzero(~believed).tolist()
            self.counts[loop_id]["wrong_clocks"] += len(wrong)
            text = f"the clock of {slab.agents[wrong[0]]} says {int(slab.t0_unix_ns[wrong[0]])} ns"
            self._dead(record, Reason.WRONG_CLOCK, text)
            slab = slab.take(np.flatnonzero(believed).tolist())
            if not len(slab):
                return
        place = (record.partition, record.offset)
        self._windows.add(slab, schema, place, self._clock.monotonic_s())

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
                self._apply(held.record, held.loop_id, held.slab, schema)

    def _take_ack(self, record: Record) -> None:
        try:
            ack = decode_ack(record.value)
        except MalformedMessageError as error:
            self._dead(record, Reason.MALFORMED, str(error))
            return
        row = self._roster.row(ack.target)
        if row is not None and self._loop_ids[self._roster.loop_of_row[row]] in self._loops:
            self._acks.append(ack)

    def _take_event(self, record: Record) -> None:
        try:
            self._events.append(decode_event(record.value))
        except MalformedMessageError as error:
            self._dead(record, Reason.MALFORMED, str(error))

    def _give_up_waiting(self) -> None:
        for held in self._parking.expire(self._clock.monotonic_s()):
            text = f"no document of schema {held.slab.schema_id} came for {held.slab.frame(0).id}"
            self._dead(held.record, Reason.UNKNOWN_SCHEMA, text)

    def _dead(self, record: Record, reason: Reason, detail: str) -> None:
        counts = self.counts.get(record.key, self.counts[""])
        counts["dead_letters"] += 1
        if reason is Reason.MALFORMED:
            counts["malformed"] += 1
        set_aside(self._bus, record, reason, detail)
