"""The one door out: everything that the cores decided is executed here and nowhere else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog

from controller.cooling.control import (
    CapLoop,
    ChangeMode,
    CoolingEffect,
    LatchTrip,
    LiftTrips,
    SendCooling,
)
from controller.decide import Desired, Judgement, new_cordon
from controller.incidents.incident import (
    Change,
    CordonSled,
    Incident,
    IncidentEffect,
    OpenIncident,
    ResolveIncident,
    UpdateIncident,
    WithholdCordon,
)
from controller.ingest.agents import loop_of_agents
from controller.notify.compose import notifications
from controller.options import ControllerOptions
from controller.placement.job import Job, JobState
from controller.placement.share import JobChanged, SendShare, ShareAck, ShareAction
from controller.store import Store, Transaction
from controller.store.audit import AuditEntry
from controller.store.guards import GuardReset
from controller.store.incidents import IncidentEvent
from controller.store.leadership import PLACEMENT, Leadership, shard_name
from fleet.bus import Bus
from fleet.clock import NS_PER_S, Clock
from fleet.commands import Ack, Action, CapPower, Command, ResetGuard, StartJob, encode
from fleet.events import Event, EventKind, encode_event
from fleet.topics import COMMANDS, EVENTS, TELEMETRY
from fleet.topology import FleetMap

_log = structlog.get_logger(__name__)

ACTOR = "controller"
_TOLD = frozenset({Change.SEVERITY, Change.REOPENED})
_KEPT_RECORDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fact:
    kind: EventKind
    subject: str
    cause: str
    detail: dict[str, str]


class Effects:
    """Executes effects. Nothing leaves it without the lease that it needs: that of the loop's shard
    for a CDU, that of placement for a sled.
    """

    def __init__(
        self,
        bus: Bus,
        store: Store,
        clock: Clock,
        fleet_map: FleetMap,
        leadership: Leadership,
        options: ControllerOptions,
    ) -> None:
        self._bus = bus
        self._telemetry = bus.laid_out(TELEMETRY)
        self._store = store
        self._clock = clock
        self._leadership = leadership
        self._options = options
        self._loop_of = loop_of_agents(fleet_map)
        self._map = fleet_map
        self._cdu_ids = frozenset(fleet_map.cdu_ids)
        self._seq = 0
        self._unwritten: list[CoolingEffect] = []
        self.commands_total = 0
        self.withheld_total = 0
        """Commands that were not sent because the lease had run out."""

    def cool(self, effects: Iterable[CoolingEffect]) -> None:
        """Send set-points now. What is to be remembered of a loop waits for `commit`, so that a
        database that is away does not stop the cooling.
        """
        for effect in effects:
            if isinstance(effect, SendCooling):
                self._command(effect.cdu_id, effect.action, effect.cause, self._options.command_s)
            elif isinstance(effect, CapLoop):
                self._cap(effect)
            else:
                self._unwritten.append(effect)
        del self._unwritten[:-_KEPT_RECORDS]

    def _cap(self, effect: CapLoop) -> None:
        """To every sled of the loop, by whoever leads placement; others withhold it."""
        rows = self._map.sleds_in_loop(self._map.loop(effect.loop_id))
        action = CapPower(cap_ratio=effect.cap_ratio)
        for sled_id in self._map.sled_ids[rows]:
            good_for_s = self._options.job_command_s
            self._command(sled_id, action, effect.cause, good_for_s, label="cap")
        self._unwritten.append(effect)

    def commit(self, judgement: Judgement, desired: Desired) -> int:
        """Write everything in one transaction, then tell; how many notifications were put in the
        outbox. Raises StoreError with nothing written and nothing told.
        """
        if not (
            self._unwritten
            or judgement.incident_effects
            or judgement.placement_effects
            or desired.reset_numbers
            or desired.guard_resets
            or desired.late_orders
        ):
            return 0
        facts: list[_Fact] = []
        with self._store.begin() as tx:
            self._leadership.limit(tx)
            self._take_resets(tx, desired)
            self._end_late_orders(tx, desired)
            for cooling in self._unwritten:
                facts += self._write_cooling(tx, cooling)
            told = 0
            for effect in judgement.incident_effects:
                found, notified = self._write_incident(tx, effect)
                facts += found
                told += notified
            facts += self._write_jobs(tx, judgement, desired)
            self._leadership.check(tx)
        self._unwritten.clear()
        for number, reset in desired.guard_resets:
            self._reset_guard(number, reset)
        for share in judgement.placement_effects:
            if isinstance(share, SendShare):
                self._send_share(share)
        for fact in facts:
            self._tell(fact)
        return told

    def _take_resets(self, tx: Transaction, desired: Desired) -> None:
        at_unix_ns = self._clock.unix_ns()
        if desired.reset_numbers:
            tx.interlocks.take(desired.reset_numbers, at_unix_ns=at_unix_ns)
        if desired.guard_resets:
            numbers = [number for number, _ in desired.guard_resets]
            tx.guards.take(numbers, at_unix_ns=at_unix_ns)

    def _end_late_orders(self, tx: Transaction, desired: Desired) -> None:
        for loop_id in desired.late_orders:
            if tx.loop_orders.end_late(loop_id, now_unix_ns=self._clock.unix_ns()):
                order = desired.orders[loop_id]
                ended = f"override of {order.actor} ran out: {order.reason}"
                self._audit(tx, "override_expired", loop_id, ended, f"override of {loop_id}")

    def _reset_guard(self, number: int, reset: GuardReset) -> None:
        action = ResetGuard(actor=reset.actor, reason=reset.reason)
        cause = f"guard reset {number}"
        self._command(reset.sled_id, action, cause, self._options.job_command_s, label="guard")

    def _write_cooling(self, tx: Transaction, effect: CoolingEffect) -> list[_Fact]:
        match effect:
            case LatchTrip():
                tx.interlocks.latch(effect.loop_id, effect.trip)
                self._audit(tx, "trip", effect.loop_id, effect.trip.reason.value, effect.cause)
                return []
            case LiftTrips():
                tx.interlocks.lift(effect.loop_id, effect.reasons)
                reasons = ", ".join(reason.value for reason in effect.reasons)
                self._audit(tx, "lift_trips", effect.loop_id, reasons, effect.cause)
                return []
            case ChangeMode():
                words = (
                    f"{effect.mode.value}: {effect.reason}" if effect.reason else effect.mode.value
                )
                self._audit(tx, "mode", effect.loop_id, words, effect.cause)
                detail = {"mode": effect.mode.value, "reason": effect.reason}
                return [_fact(EventKind.LOOP_MODE_CHANGED, effect.loop_id, effect.cause, detail)]
            case CapLoop():
                words = f"chips capped to {effect.cap_ratio:.0%}"
                self._audit(tx, "cap_power", effect.loop_id, words, effect.cause)
                return []
            case SendCooling():
                return []

    def _write_incident(self, tx: Transaction, effect: IncidentEffect) -> tuple[list[_Fact], int]:
        match effect:
            case OpenIncident(incident=incident):
                self._save(tx, incident, "opened", incident.title, effect.cause)
                told = self._notify(tx, incident)
                return [_fact(EventKind.INCIDENT_OPENED, incident.id, effect.cause)], told
            case UpdateIncident(incident=incident):
                self._save(tx, incident, effect.change.value, incident.title, effect.cause)
                told = self._notify(tx, incident) if effect.change in _TOLD else 0
                return _update_facts(effect), told
            case ResolveIncident(incident=incident):
                self._save(tx, incident, "resolved", effect.cause, effect.cause)
                told = self._notify(tx, incident)
                return [_fact(EventKind.INCIDENT_RESOLVED, incident.id, effect.cause)], told
            case CordonSled():
                tx.cordons.put(new_cordon(effect, self._clock.unix_ns()))
                self._audit(tx, "cordon", effect.sled_id, effect.reason, effect.cause)
                self._story(tx, effect.cause, "cordoned", f"{effect.sled_id}: {effect.reason}")
                detail = {"reason": effect.reason}
                return [_fact(EventKind.SLED_CORDONED, effect.sled_id, effect.cause, detail)], 0
            case WithholdCordon():
                self._story(
                    tx, effect.cause, "cordon_withheld", f"{effect.sled_id}: {effect.reason}"
                )
                return [], 0

    def _write_jobs(self, tx: Transaction, judgement: Judgement, desired: Desired) -> list[_Fact]:
        changes = [e for e in judgement.placement_effects if isinstance(e, JobChanged)]
        tx.jobs.save({change.job.id: change.job for change in changes}.values())
        facts: list[_Fact] = []
        for change in changes:
            before = desired.jobs.get(change.job.id)
            facts += _job_facts(before, change)
        return facts

    def _save(self, tx: Transaction, incident: Incident, kind: str, text: str, cause: str) -> None:
        tx.incidents.save(incident)
        self._story(tx, incident.id, kind, text, cause=cause)

    def _story(
        self, tx: Transaction, incident_id: str, kind: str, text: str, *, cause: str = ""
    ) -> None:
        tx.incidents.tell(
            IncidentEvent(
                incident_id=incident_id,
                at_unix_ns=self._clock.unix_ns(),
                kind=kind,
                actor=ACTOR,
                text=text,
                cause=cause or incident_id,
            )
        )

    def _notify(self, tx: Transaction, incident: Incident) -> int:
        composed = notifications(
            incident,
            tx.webhooks.all(),
            external_url=self._options.external_url,
            at_unix_ns=self._clock.unix_ns(),
        )
        return sum(tx.outbox.add(delivery) for delivery in composed)

    def _audit(self, tx: Transaction, action: str, subject: str, reason: str, cause: str) -> None:
        tx.audit.write(
            AuditEntry(
                at_unix_ns=self._clock.unix_ns(),
                actor=ACTOR,
                action=action,
                subject=subject,
                reason=reason,
                cause=cause,
            )
        )

    def _send_share(self, effect: SendShare) -> None:
        action = effect.action
        verb = ShareAction.START if isinstance(action, StartJob) else ShareAction.STOP
        label = f"{verb.value}:{action.attempt}:{action.job_id}"
        self._command(effect.sled_id, action, effect.cause, self._options.job_command_s, label)

    def _command(
        self, target: str, action: Action, cause: str, good_for_s: float, label: str = "cool"
    ) -> None:
        loop_id = self._loop_of[target]
        # Asked for each command: a process that was stopped for minutes goes on in the middle.
        if target in self._cdu_ids:
            lease = shard_name(self._telemetry.partition_of(loop_id))
            good = self._leadership.steers(lease)
        else:
            lease = PLACEMENT
            good = self._leadership.held(lease)
        if not good:
            self.withheld_total += 1
            return
        term = self._leadership.term(lease)
        self._seq += 1
        now = self._clock.unix_ns()
        command = Command(
            id=f"{term}.{self._seq}:{label}",
            target=target,
            cause=cause,
            issued_at_unix_ns=now,
            expires_at_unix_ns=now + round(good_for_s * NS_PER_S),
            term=term,
            seq=self._seq,
            action=action,
        )
        self._bus.publish(COMMANDS, key=loop_id, value=encode(command))
        self.commands_total += 1

    def _tell(self, fact: _Fact) -> None:
        self._seq += 1
        now = self._clock.unix_ns()
        event = Event(
            id=f"{self._options.holder}:{now}:{self._seq}",
            kind=fact.kind,
            subject=fact.subject,
            at_unix_ns=now,
            cause=fact.cause,
            detail=fact.detail,
        )
        _log.info(
            "event", kind=fact.kind.value, subject=fact.subject, cause=fact.cause, **fact.detail
        )
        self._bus.publish(EVENTS, key=fact.subject, value=encode_event(event))


def share_ack(ack: Ack) -> ShareAck | None:
    """The job's share that an acknowledgement speaks of; the command's id says it, so that a
    controller which has just started understands the answers to the one before it.
    """
    _, _, label = ack.command_id.partition(":")
    verb, _, rest = label.partition(":")
    attempt, _, job_id = rest.partition(":")
    if (
        verb not in {ShareAction.START.value, ShareAction.STOP.value}
        or not attempt.isdecimal()
        or len(attempt) > 18
    ):
        return None
    return ShareAck(
        job_id=job_id,
        attempt=int(attempt),
        sled_id=ack.target,
        action=ShareAction(verb),
        outcome=ack.outcome,
        detail=ack.detail,
        cause=ack.command_id,
    )


def _fact(
    kind: EventKind, subject: str, cause: str, detail: Mapping[str, str] | None = None
) -> _Fact:
    return _Fact(kind=kind, subject=subject, cause=cause, detail=dict(detail or {}))


def _update_facts(effect: UpdateIncident) -> list[_Fact]:
    match effect.change:
        case Change.ACKNOWLEDGED:
            return [_fact(EventKind.INCIDENT_ACKNOWLEDGED, effect.incident.id, effect.cause)]
        case Change.REOPENED:
            return [_fact(EventKind.INCIDENT_OPENED, effect.incident.id, effect.cause)]
        case Change.SEVERITY | Change.FINDINGS:
            return []


def _job_facts(before: Job | None, change: JobChanged) -> list[_Fact]:
    """Facts of a job whose attempt or end is new."""
    job = change.job
    if before is not None and (before.state, before.attempt) == (job.state, job.attempt):
        return []
    if job.state is JobState.STARTING and job.placement is not None:
        where = ", ".join(job.placement.sled_ids)
        return [_fact(EventKind.JOB_PLACED, job.id, change.cause, {"sleds": where})]
    if job.state in {JobState.STOPPED, JobState.FAILED}:
        return [_fact(EventKind.JOB_STOPPED, job.id, change.cause, {"state": job.state.value})]
    return []
