"""Telemetry, acknowledgements and events, from the bus into columns, history and lists."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray

from controller.history.windows import HistorySettings, Windows
from controller.ingest.batch import Batch, Written
from controller.ingest.dead_letter import Reason, set_aside
from controller.ingest.ledger import Ledger
from controller.ingest.runs import Run, Runs
from controller.ingest.schemas import Parking, SchemaBook, Waiting
from controller.ingest.sequence import MAX_EPOCHS, Sequences
from controller.state.columns import FleetColumns
from controller.state.roster import Roster, Rows
from controller.store import Store, Transaction
from fleet.bus import Bus, Reader, Record, Start
from fleet.clock import NS_PER_S, Clock
from fleet.codec import decode_message
from fleet.commands import Ack, decode_ack
from fleet.errors import MalformedMessageError
from fleet.events import Event, decode_event
from fleet.frame import IntBlock, Reporter, Schema, Slab, decode_schema, schema_id
from fleet.topics import ACKS, EVENTS, SCHEMAS, TELEMETRY
from fleet.topology import FleetMap

_SCHEMA_POLL_S: Final = 0.1
_log = structlog.get_logger(__name__)


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
    held_bytes: int = 256 * 2**20
    """While closed windows of so many bytes wait for the store, no telemetry is read: what is not
    read stays on the bus, where nothing is lost. Compressed, that is an hour of 20,000 sleds.
    """
    history: HistorySettings = field(default_factory=HistorySettings)


class Consumer:
    """Reads the partitions that it is given, at first those of `loops`. One thread uses it.

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
        telemetry = bus.laid_out(TELEMETRY)
        self.partition_of: Mapping[str, int] = {
            loop: telemetry.partition_of(loop) for loop in fleet_map.loop_ids
        }
        """Of telemetry, by loop."""
        self._loop_ids = fleet_map.loop_ids
        self._loop_row = {loop: row for row, loop in enumerate(fleet_map.loop_ids)}
        self._roster = Roster(fleet_map)
        self._schemas = SchemaBook()
        self._parking = Parking(
            capacity=self._settings.parked_frames, patience_s=self._settings.parked_s
        )
        self._windows = Windows(self._roster, self._settings.history)
        self.paused = False
        """Whether telemetry is left on the bus until the store takes what waits for it."""
        self._paused_s = 0.0
        self._never = threading.Event()
        self._sequences = Sequences(self._roster)
        self._ledger = Ledger(self._roster, self._sequences)
        self._runs = Runs()
        self._schema_reader = bus.reader(SCHEMAS, start=Start.BEGINNING)
        self._telemetry = bus.reader(TELEMETRY, start=Start.BEGINNING, partitions=[])
        self._ends: dict[int, int] = {}
        """Partition -> where it ended when it was given, until it is read that far."""
        self._ack_reader = bus.reader(ACKS, start=Start.BEGINNING, partitions=[])
        self._event_reader = bus.reader(EVENTS, start=Start.END)
        self._acks: list[Ack] = []
        self._events: list[Event] = []
        self.counts: dict[str, Counter[str]] = {
            loop: Counter() for loop in ("", *fleet_map.loop_ids)
        }
        """By loop ("" when a message does not say a known one): frames, malformed, duplicates,
        late, gaps, parked, dead_letters, wrong_clocks, pauses, resumes.
        """
        self.dead_letters: Counter[Reason] = Counter()
        self.behind = False
        """Whether the last round ended with messages left to read."""
        self._learn_schemas()
        if given := {self.partition_of[loop] for loop in loops}:
            self.gain(given)
            self.hear_answers()

    def gain(self, partitions: Iterable[int]) -> None:
        """Read these partitions too, each from where the store says that it was read to."""
        gained = set(partitions)
        rows = self._rows_of(gained)
        with self._store.read() as tx:
            kept = tx.marks.offsets(TELEMETRY.name)
            marks = tx.marks.of([self._roster.agents[row] for row in rows])
        begin, ends = self._places(self._telemetry, gained, kept)
        self._sequences.learn_again(rows, marks)
        self._telemetry.assign({**self._telemetry.positions(), **begin})
        self._ends |= {p: end for p, end in ends.items() if begin[p] < end}

    def lose(self, partitions: Iterable[int]) -> None:
        """Read these partitions no more, and forget what was read of them and not written."""
        lost = set(partitions)
        kept = {p: at for p, at in self._telemetry.positions().items() if p not in lost}
        self._telemetry.assign(kept)
        self._ends = {p: end for p, end in self._ends.items() if p not in lost}
        rows = self._rows_of(lost)
        groups = frozenset(self._roster.group_of_row[rows].tolist())
        self._windows.drop(groups)
        self._ledger.drop(groups)
        self._parking.drop(lost)
        self._sequences.learn_again(rows, ())

    def positions(self) -> Mapping[int, int]:
        """Partition -> offset of the message that is read next."""
        return self._telemetry.positions()

    def caught_up(self, partition: int) -> bool:
        """Whether all was read that was there when the partition was given."""
        return partition not in self._ends

    def hear_answers(self, *, listen: bool = True) -> None:
        """Read the acknowledgements of the whole fleet from where the store says, or none."""
        begin: dict[int, int] = {}
        if listen:
            with self._store.read() as tx:
                kept = tx.marks.offsets(ACKS.name)
            begin, _ = self._places(
                self._ack_reader, range(self._bus.laid_out(ACKS).partitions), kept
            )
        self._acks.clear()
        self._ack_reader.assign(begin)

    def _places(
        self, reader: Reader, partitions: Iterable[int], kept: Mapping[int, int]
    ) -> tuple[dict[int, int], Mapping[int, int]]:
        """Where each partition is read on, and where it ends."""
        ends = reader.ends(partitions)
        # Past the end: the topic was made anew since, and is read from its beginning.
        return {p: at if (at := kept.get(p, 0)) <= end else 0 for p, end in ends.items()}, ends

    def _rows_of(self, partitions: set[int]) -> Rows:
        """Agents whose telemetry lands in these partitions."""
        loops = [
            row for loop, row in self._loop_row.items() if self.partition_of[loop] in partitions
        ]
        return np.flatnonzero(np.isin(self._roster.loop_of_row, loops))

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
        batch = self._next(timeout_s)
        while batch:
            for record in batch:
                self._take_telemetry(record)
            for run in self._runs.take():
                self._apply_run(run)
            taken += len(batch)
            self.behind = self._clock.monotonic_s() >= deadline_s
            batch = [] if self.behind else self._next(0.0)
        self._give_up_waiting()
        if self._ends:
            at = self._telemetry.positions()
            self._ends = {p: end for p, end in self._ends.items() if at[p] < end}
        return taken

    def _next(self, timeout_s: float) -> list[Record]:
        if self._has_room():
            return self._telemetry.poll(timeout_s, self._settings.batch)
        self._clock.wait(self._never, timeout_s)
        return []

    def _has_room(self) -> bool:
        # What waits is compressed meanwhile: some of its room must be free before reading goes on.
        most_bytes = self._settings.held_bytes // (2 if self.paused else 1)
        full = self.held_bytes() >= most_bytes
        # A store that keeps up takes it with the next batch; that is no pause.
        paused = full and not self._ledger.keeps_up
        if paused != self.paused:
            self.paused = paused
            self._tell_pause()
        return not full

    def held_bytes(self) -> int:
        """Of windows that are closed, or might be, and are not written."""
        return self._ledger.waiting_bytes + self._windows.due_bytes()

    def _tell_pause(self) -> None:
        now_s = self._clock.monotonic_s()
        partitions = sorted(self._telemetry.positions())
        for loop, partition in self.partition_of.items():
            if partition in partitions:
                self.counts[loop]["pauses" if self.paused else "resumes"] += 1
        if self.paused:
            self._paused_s = now_s
            _log.warning("telemetry_paused", partitions=partitions, held_bytes=self.held_bytes())
        else:
            paused_s = round(now_s - self._paused_s, 1)
            _log.info("telemetry_resumed", partitions=partitions, paused_s=paused_s)

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
        batch = self.prepare(everything=everything)
        try:
            written = self.write(self._store, batch, check)
        except BaseException:
            self.failed(batch)
            raise
        self.wrote(batch, written)
        return written

    def prepare(self, *, everything: bool = False) -> Batch:
        """What is to be written now; `wrote` or `failed` comes before the next is prepared."""
        due = self._windows.take_due(self._clock.monotonic_s(), all_of_them=everything)
        return self._ledger.prepare(
            due,
            self._windows.open_windows(),
            {TELEMETRY.name: self._safe_offsets(), ACKS.name: dict(self._ack_reader.positions())},
        )

    def write(self, store: Store, batch: Batch, check: Callable[[Transaction], None]) -> Written:
        """One transaction; another thread than the consumer's may call this."""
        return self._ledger.write(store, batch, check, at_unix_ns=self._clock.unix_ns())

    def wrote(self, batch: Batch, written: Written) -> None:
        """The batch is in the store."""
        self._ledger.wrote(batch, written)

    def failed(self, batch: Batch) -> None:
        """It is not, and goes again with the next."""
        self._ledger.failed(batch)

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
        elif self.partition_of[message.loop] != record.partition:
            text = f"{message.loop} does not belong to partition {record.partition}"
            self._dead(record, Reason.WRONG_KEY, text)
        else:
            for slab in message.slabs:
                self._take_slab(record, message.loop, slab)

    def _take_slab(self, record: Record, loop_id: str, slab: Slab) -> None:
        seating = self._roster.seating(slab.agents)
        loop = self._loop_row[loop_id]
        if seating.loop != loop:
            here = seating.loops == loop
            strangers = [slab.agents[row] for row in np.flatnonzero(~here)]
            text = f"{loop_id} has no agent {', '.join(map(repr, strangers))}"
            self._dead(record, Reason.UNKNOWN_AGENT, text)
            slab = slab.take(np.flatnonzero(here).tolist())
            if not len(slab):
                return
            seating = self._roster.seating(slab.agents)
        schema = self._schemas.get(slab.schema_id)
        if schema is None:
            self.counts[loop_id]["parked"] += len(slab)
            now_s = self._clock.monotonic_s()
            self._parking.park(Waiting(record=record, loop_id=loop_id, slab=slab, since_s=now_s))
            return
        for run in self._runs.add(record, loop_id, slab, schema, seating):
            self._apply_run(run)

    def _apply_run(self, run: Run) -> None:
        """What simply goes on is taken as one, what is strange in any way slab by slab."""
        for part in run.unbroken():
            if self._go_on(part):
                continue
            self._apply_each(part.part(0, 1))
            rest = part.part(1)
            if len(rest) and not self._go_on(rest):
                self._apply_each(rest)

    def _apply_each(self, run: Run) -> None:
        for record, slab in zip(run.records, run.slabs, strict=True):
            self._apply(record, run.loop_id, slab, run.schema)

    def _go_on(self, run: Run) -> bool:
        """Take an unbroken run if all of it is in order, and goes on where its agents were."""
        slabs, schema, rows = run.slabs, run.schema, run.seating.rows
        if not (
            run.seating.distinct
            and _has_columns(slabs[0], schema)
            and self._fits(schema, rows)
            and bool(self._believed(np.array([slab.t0_unix_ns for slab in slabs])).all())
            and self._sequences.go_on(rows, slabs[0].epochs, slabs[0].seqs, len(slabs))
        ):
            return False
        self.counts[run.loop_id]["frames"] += len(slabs) * len(rows)
        self.columns.apply(slabs[-1], schema, rows)
        places = [(record.partition, record.offset) for record in run.records]
        self._windows.add(slabs, schema, places, self._clock.monotonic_s())
        return True

    def _apply(self, record: Record, loop_id: str, slab: Slab, schema: Schema) -> None:
        if not _has_columns(slab, schema):
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
        if taken.forgotten:
            text = f"{taken.forgotten} frames of lives of their agents before the last {MAX_EPOCHS}"
            self._dead(record, Reason.FORGOTTEN_LIFE, text)
        if not taken.fresh.all():
            counts["duplicates"] += int(np.count_nonzero(~taken.fresh)) - taken.forgotten
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
        believed = self._believed(slab.t0_unix_ns)
        if not believed.all():
            wrong = np.flatnonzero(~believed).tolist()
            self.counts[loop_id]["wrong_clocks"] += len(wrong)
            text = f"the clock of {slab.agents[wrong[0]]} says {int(slab.t0_unix_ns[wrong[0]])} ns"
            self._dead(record, Reason.WRONG_CLOCK, text)
            slab = slab.take(np.flatnonzero(believed).tolist())
            if not len(slab):
                return
        place = (record.partition, record.offset)
        self._windows.add([slab], schema, [place], self._clock.monotonic_s())

    def _believed(self, t0_unix_ns: IntBlock) -> NDArray[np.bool_]:
        now_ns = self._clock.unix_ns()
        newest_ns = now_ns + round(self._settings.ahead_s * NS_PER_S)
        oldest_ns = now_ns - round(self._settings.behind_s * NS_PER_S)
        return (t0_unix_ns <= newest_ns) & (t0_unix_ns >= oldest_ns)

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
        if self._roster.row(ack.target) is not None:
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
        self.dead_letters[reason] += 1
        if reason is Reason.MALFORMED:
            counts["malformed"] += 1
        set_aside(self._bus, record, reason, detail)


def _has_columns(slab: Slab, schema: Schema) -> bool:
    found = (slab.values.shape[2], slab.counters.shape[2])
    return found == (len(schema.columns), len(schema.counters))
