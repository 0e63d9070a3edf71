"""What agents tell and only one controller writes down: that they began, losses declared, hardware
announced.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import structlog

from controller.enrolment.attest import Attestor
from controller.enrolment.compare import enrol
from controller.enrolment.enrolment import EnrolmentState
from controller.enrolment.settings import EnrolmentSettings
from controller.ingest.agents import loop_of_agents
from controller.ingest.dead_letter import Reason, set_aside
from controller.store import Store, Transaction
from controller.store.audit import AuditEntry
from controller.store.gaps import Gap, GapState
from controller.store.starts import AgentStart
from fleet.bus import Bus, Reader, Record, Start
from fleet.clock import Clock
from fleet.errors import MalformedMessageError
from fleet.events import Event, EventKind, Tombstone, decode_event, tombstone_of
from fleet.identity import Announcement, announcement_of
from fleet.topics import EVENTS
from fleet.topology import FleetMap

_BATCH: Final = 200
_MOST_CHECKS: Final = 200
"""Signatures of one turn: each takes 2 ms (P-384), and the cycle waits for them."""
_log = structlog.get_logger(__name__)


class Saved(NamedTuple):
    """How many declarations and announcements were taken that were not known."""

    declared: int = 0
    announced: int = 0


class _Heard(NamedTuple):
    """An announcement with what was found of its signature; None: that was not asked for."""

    event: Event
    announcement: Announcement
    doubt: str | None


class ToldByAgents:
    """Reads events from where the store says, so that nothing told is passed while no controller
    leads. One thread uses it.
    """

    def __init__(
        self,
        bus: Bus,
        store: Store,
        fleet_map: FleetMap,
        clock: Clock,
        settings: EnrolmentSettings | None = None,
    ) -> None:
        self._bus = bus
        self._store = store
        self._clock = clock
        self._settings = settings or EnrolmentSettings()
        self._attestor = Attestor(self._settings.roots_pem)
        self._loop_of = loop_of_agents(fleet_map)
        self._sleds = frozenset(fleet_map.sled_ids)
        self._reader: Reader | None = None

    def save(self, check: Callable[[Transaction], None] = lambda _: None) -> Saved:
        """Take what came; it and how far was read go into one transaction, which `check` may
        refuse. StoreError and BusError: it is read again next time.
        """
        reader = self._reader or self._resume()
        stones: list[tuple[Tombstone, int]] = []
        heard: list[_Heard] = []
        starts: list[AgentStart] = []
        taken = 0
        while len(heard) < _MOST_CHECKS and (batch := reader.poll(0.0, _BATCH)):
            taken += len(batch)
            for record in batch:
                self._take(record, stones, heard, starts)
        if not taken:
            return Saved()
        try:
            with self._store.begin() as tx:
                check(tx)
                declared = sum(tx.gaps.declare(_gap(stone, at)) for stone, at in stones)
                self._enrol(tx, heard)
                tx.starts.save(starts)
                tx.marks.save_offsets(EVENTS.name, reader.positions())
        except BaseException:
            self.start_over()
            raise
        return Saved(declared=declared, announced=len(heard))

    def start_over(self) -> None:
        """Another controller may have read on meanwhile."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _resume(self) -> Reader:
        with self._store.read() as tx:
            kept = tx.marks.offsets(EVENTS.name)
        edge = self._bus.reader(EVENTS, start=Start.END)
        ends = edge.positions()
        edge.close()
        # Past the end: the topic was made anew since, and is read from its beginning.
        offsets = {p: at for p, at in kept.items() if at <= ends.get(p, -1)}
        self._reader = self._bus.reader(EVENTS, start=Start.BEGINNING, offsets=offsets)
        return self._reader

    def _take(
        self,
        record: Record,
        stones: list[tuple[Tombstone, int]],
        heard: list[_Heard],
        starts: list[AgentStart],
    ) -> None:
        try:
            event = decode_event(record.value)
        except MalformedMessageError as error:
            # Ingest reads the same topic and sets it aside.
            _log.warning("event_malformed", error=str(error))
            return
        try:
            if event.kind is EventKind.FRAMES_DECLARED:
                stones.append((tombstone_of(event), event.at_unix_ns))
            elif event.kind is EventKind.SLED_ANNOUNCED and self._may_say(record, event):
                heard.append(self._checked(event))
            elif event.kind is EventKind.AGENT_STARTED and event.subject in self._loop_of:
                starts.append(_start(event))
        except MalformedMessageError as error:
            set_aside(self._bus, record, Reason.MALFORMED, str(error))

    def _may_say(self, record: Record, event: Event) -> bool:
        """An agent speaks for the sleds of the loop under whose key it publishes, and no others."""
        if event.subject not in self._sleds:
            text = f"{event.subject!r} announces itself, and the fleet has no such sled"
            set_aside(self._bus, record, Reason.UNKNOWN_AGENT, text)
            return False
        loop_id = self._loop_of[event.subject]
        if record.key != loop_id:
            text = f"{event.subject} of {loop_id} is announced under the key {record.key!r}"
            set_aside(self._bus, record, Reason.WRONG_KEY, text)
            return False
        return True

    def _checked(self, event: Event) -> _Heard:
        announcement = announcement_of(event)
        if not self._attestor.asks:
            return _Heard(event, announcement, None)
        now = self._clock.unix_ns()
        return _Heard(event, announcement, self._attestor.doubt(event.subject, announcement, now))

    def _enrol(self, tx: Transaction, heard: Sequence[_Heard]) -> None:
        """One after another: what one sled has given up is free for the next."""
        known = tx.enrolments.of(one.event.subject for one in heard)
        for event, announcement, doubt in heard:
            before = known.get(event.subject)
            after = enrol(
                event.subject,
                announcement,
                before=before,
                holders=tx.enrolments.holders(announcement.identity.serials.values()),
                doubt=doubt,
                settings=self._settings,
                cause=event.id,
                at_unix_ns=event.at_unix_ns,
            )
            known[event.subject] = after
            tx.enrolments.save(after)
            if before is None or before.state is not after.state:
                tx.audit.write(
                    AuditEntry(
                        at_unix_ns=self._clock.unix_ns(),
                        actor="controller",
                        action="enrol" if after.state is EnrolmentState.ENROLLED else "refuse",
                        subject=event.subject,
                        reason="; ".join(one.text for one in after.mismatches)
                        or f"serial {announcement.identity.serial}",
                        cause=event.id,
                    )
                )


def _start(event: Event) -> AgentStart:
    """MalformedMessageError when it does not say what a start must."""
    try:
        epoch, loss_window_s = int(event.detail["epoch"]), float(event.detail["loss_window_s"])
    except (KeyError, ValueError) as error:
        raise MalformedMessageError(f"event {event.id}: {error!r}") from error
    if not (0 < epoch < 2**63 and 0 <= loss_window_s < float("inf")):
        raise MalformedMessageError(f"event {event.id}: epoch {epoch}, window {loss_window_s} s")
    return AgentStart(
        agent=event.subject,
        epoch=epoch,
        loss_window_s=loss_window_s,
        at_unix_ns=event.at_unix_ns,
    )


def _gap(stone: Tombstone, at_unix_ns: int) -> Gap:
    return Gap(
        agent=stone.agent,
        epoch=stone.epoch,
        first_seq=stone.first_seq,
        last_seq=stone.last_seq,
        state=GapState.DECLARED,
        reason=stone.reason.value,
        noted_at_unix_ns=at_unix_ns,
    )
