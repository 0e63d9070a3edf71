"""One controller as something to start, stop and ask."""

import threading
from collections import Counter
from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import structlog
from numpy.random import Generator

from controller.actuators import ActuatorDetector
from controller.anomaly.detectors import build_detectors
from controller.chores.schedule import Chores
from controller.cooling.control import ManualOrder
from controller.cooling.loop import LoopControl
from controller.decide import Desired, Steering, judge, steer
from controller.decisions import DecisionLog
from controller.effects import Effects, share_ack
from controller.identity_keeper import IdentityKeeper
from controller.ingest.consume import Consumer
from controller.ingest.lag import Ends
from controller.ingest.told import ToldByAgents
from controller.ingest.writer import HistoryWriter
from controller.notify.deliver import Deliverer
from controller.options import ControllerOptions
from controller.others import OtherLoops
from controller.placement.share import ShareAck
from controller.remote_write.sender import RemoteWriter
from controller.shards import Shards
from controller.state.snapshot import FleetSnapshot
from controller.store import Store
from controller.store.leadership import PLACEMENT, Leadership
from controller.views import IngestView, LoopView, air_row_view, encode_view, loop_view, with_others
from controller.wear import WearDetector
from fleet.bus import Bus
from fleet.clock import Clock
from fleet.errors import BusError, StoreError
from fleet.topics import LIVE
from fleet.topology import FleetMap

_log = structlog.get_logger(__name__)

STAND_BY_S = 0.1
"""How often a controller without a shard looks for one; its leases say how often it may."""
LISTEN_S = 0.2
"""Between two cycles telemetry is waited for in pieces of this length."""
STOP_S = 4.0
KEPT_ANSWERS = 10_000
"""Acknowledgements held while the store is away; commands whose answer is lost go out again."""
GIVE_UP_S = 1.0
"""Shards that are given up wait no longer for their windows, which the next holder reads again."""
LEAVE_S = 2.0
"""The same for a controller that ends."""
KEEP_READING_S = 1.0
"""How often it is written down how far the bus was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What `/readyz` wants to know of a controller."""

    last_cycle_age_s: float
    """Infinite before the first cycle."""
    lease_held: bool
    ingest_behind: bool
    """Whether there was more telemetry to read than one round takes."""


class ControllerRuntime:
    """Reads telemetry, decides, acts. `cycle` is one turn by hand; `start` gives it a thread, and
    one each to the leases and to history, so that the cycle waits for neither.

    `store` is for what a cycle waits for, `bulk` for what may take longer (the same when None).
    Bus and stores are the caller's to close, after `stop`.
    """

    def __init__(
        self,
        options: ControllerOptions,
        fleet_map: FleetMap,
        bus: Bus,
        store: Store,
        clock: Clock,
        *,
        bulk: Store | None = None,
        rng: Generator | None = None,
    ) -> None:
        options.validate(fleet_map)
        self._options = options
        self._map = fleet_map
        self._bus = bus
        self._store = store
        self._bulk = bulk or store
        self._lease_store: Store | None = None
        self._writer: HistoryWriter | None = None
        self._clock = clock
        self.ingest = Consumer(bus, store, fleet_map, clock, loops=(), settings=options.ingest)
        self.ends = Ends(bus, clock)
        self._others = OtherLoops(bus, fleet_map)
        self._shards = Shards(options, fleet_map, store, clock, self.ingest, self._others)
        self._leadership = Leadership(
            store, clock, shards=self._shards.names, holder=options.holder, settings=options.lease
        )
        self.told = ToldByAgents(bus, store, fleet_map, clock, options.enrolment)
        self.effects = Effects(bus, store, clock, fleet_map, self._leadership, options)
        rng = rng or np.random.default_rng()
        self.deliverer = Deliverer(self._bulk, clock, rng, options.delivery)
        self.remote_write: RemoteWriter | None = None
        if options.remote_write is not None:
            own = rng.spawn(1)[0]
            self.remote_write = RemoteWriter(options.remote_write, fleet_map, clock, own)
        self.chores = Chores(
            self._bulk, clock, options.chores, leads=lambda: self._leadership.held(PLACEMENT)
        )
        self._keeper = IdentityKeeper(self._shards.identities, fleet_map, self._bulk, clock)
        self._detectors = (*build_detectors(fleet_map), WearDetector(self._shards.identities))
        self._answers: list[ShareAck] = []
        self._orders: Mapping[str, ManualOrder] = {}
        self._decisions = _decision_log(options)
        self._terms: Mapping[str, int] = {}
        """Of the leases that held when the last cycle began."""
        self._placing: int | None = None
        """Term of the placement that this controller leads."""
        self._cycle = 0
        self._kept_at_s = -1e18
        self._cycle_at_s: float | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.counts: Counter[str] = Counter()
        """cycles, standby_cycles, store_errors, bus_errors, bugs, overruns, plans_refused."""

    def cycle(self) -> None:
        """One turn of the loop that the whole program is about."""
        # 1. Which loops are ours?
        self._share_out()
        # 2. Hear what came.
        self._hear()
        # 3. Look at the fleet as it is now.
        self._cycle += 1
        snapshot = self.ingest.columns.snapshot(self._clock.unix_ns(), self._cycle)
        if not self._leads():
            self._cycle_done("standby_cycles")
            return
        # 4. What do people want?
        desired = self._desired()
        # 5. Cool: first, and whatever happens below.
        settled = self._shards.settled()
        # People's overrides hold on while the store is away, until they run out.
        self._cool(snapshot, desired or Desired(orders=self._orders), settled)
        # 6. Detect, group, place; write it, then do it.
        if desired is not None:
            self._judge(snapshot, desired, settled)
        # 7. Show it.
        self._show(snapshot, settled)
        # 8. Remember how far the bus was read.
        self._keep_reading_place()
        self._cycle_done("cycles")

    def start(self) -> None:
        """Run cycles, leases, history and deliveries in threads."""
        self._lease_store = self._store.beside(self._options.lease.patience_s)
        self._leadership.start(self._lease_store)
        self._writer = HistoryWriter(self.ingest, self._bulk)
        self._keeper.start()
        self.deliverer.start()
        self.chores.start()
        self.ends.start()
        if self.remote_write is not None:
            self.remote_write.start()
        self._thread = threading.Thread(target=self._run, name="controller", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End within 5 s, give the leases back and write down how far the bus was read."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(STOP_S)
            self._thread = None
        self.chores.stop(timeout_s=0.5)
        self.deliverer.stop(timeout_s=0.5)
        self.ends.stop(timeout_s=0.2)
        if self.remote_write is not None:
            self.remote_write.stop(timeout_s=0.2)
        try:
            self._stop_leading()
        except StoreError as error:
            _log.warning("stopped_without_store", error=str(error))
        self.told.start_over()
        self._others.close()
        self.ingest.close()
        if self._decisions is not None:
            self._decisions.close()

    def _stop_leading(self) -> None:
        try:
            if self._leads():
                self._write_everything(LEAVE_S)
        finally:
            self._leadership.stop()
            try:
                self._leadership.give_back()
            finally:
                if self._lease_store is not None:
                    self._lease_store.close()

    def _write_everything(self, timeout_s: float) -> None:
        if self._writer is None:
            self.ingest.save(self._leadership.check, everything=True)
        else:
            self._writer.finish(self._leadership.guard(), timeout_s)
        self._keeper.finish(self._leadership.guard(), timeout_s)

    def readiness(self) -> Readiness:
        at_s = self._cycle_at_s
        return Readiness(
            last_cycle_age_s=float("inf") if at_s is None else self._clock.monotonic_s() - at_s,
            lease_held=any(map(self._leadership.held, self._terms)),
            ingest_behind=self.ingest.behind,
        )

    def _run(self) -> None:
        deadline_s = self._clock.monotonic_s()
        while not self._stop.is_set():
            try:
                self.cycle()
            except Exception:  # noqa: BLE001 - the process's own loop: counted, logged, goes on
                self.counts["bugs"] += 1
                _log.exception("cycle_failed", cycle=self._cycle)
            deadline_s += self._options.cycle_s
            now_s = self._clock.monotonic_s()
            if now_s > deadline_s:
                self.counts["overruns"] += 1
                deadline_s = now_s
            if self._listen(deadline_s):
                deadline_s = self._clock.monotonic_s()

    def _listen(self, deadline_s: float) -> bool:
        """Take telemetry as it comes, so that the next cycle decides on what is new. Ends early
        with True when leases have come or gone.
        """
        while not self._stop.is_set():
            left_s = deadline_s - self._clock.monotonic_s()
            if left_s <= 0:
                return False
            if self._leadership.keep() != self._terms or self._leadership.surplus():
                return True
            try:
                if not self._shards.loops():
                    self._clock.wait(self._stop, min(left_s, STAND_BY_S))
                else:
                    self.ingest.poll(min(left_s, LISTEN_S))
            except Exception as error:  # noqa: BLE001 - the same
                self.counts["bus_errors" if isinstance(error, BusError) else "bugs"] += 1
                _log.exception("listening_failed")
                self._clock.wait(self._stop, min(left_s, LISTEN_S))
        return False

    def _hear(self) -> None:
        try:
            self.ingest.poll()
            self.ingest.poll_answers()
            self._others.poll()
        except BusError as error:
            self._bus_away(error)
        answers = (share_ack(ack) for ack in self.ingest.take_acks())
        self._answers += [answer for answer in answers if answer is not None]
        del self._answers[:-KEPT_ANSWERS]
        for event in self.ingest.take_events():
            self.counts[f"event_{event.kind.value}"] += 1

    def _leads(self) -> bool:
        return self._placing is not None or bool(self._shards.loops())

    def _share_out(self) -> None:
        """Take over what leases were won for, end what they were lost for, give up the surplus.
        What fails is tried again in the next cycle.
        """
        try:
            self._terms = terms = self._leadership.keep()
            self._shards.drop(self._shards.gone(terms))
            if surplus := self._leadership.surplus():
                self._give_up(surplus)
                self._terms = terms = self._leadership.keep()
            if new := self._shards.new(terms):
                self._others.poll()
                self.effects.cool(self._shards.take(new, terms))
            self._share_placement(terms.get(PLACEMENT))
        except StoreError as error:
            self._store_away(error)
        except BusError as error:
            self._bus_away(error)

    def _give_up(self, surplus: Collection[str]) -> None:
        """What was read of them is written first, so that the next holder begins where we end."""
        try:
            self._write_everything(GIVE_UP_S)
        finally:
            self._shards.drop(surplus)
            self._leadership.give_back(surplus)

    def _share_placement(self, term: int | None) -> None:
        if term == self._placing:
            return
        self._placing = None
        self._answers.clear()
        self.ingest.hear_answers(listen=term is not None)
        # Another controller may have read declarations on meanwhile.
        self.told.start_over()
        self._placing = term

    def _desired(self) -> Desired | None:
        """None when the store is away."""
        if not self._leadership.answers:
            return None  # its leases ask every moment; nobody else need wait for it
        try:
            with self._store.read() as tx:
                resets = [
                    (number, reset)
                    for number, reset in tx.interlocks.waiting_resets()
                    if reset.loop_id in self._shards.controls
                ]
                self._orders = tx.loop_orders.all()
                mine = Desired(
                    orders=self._orders,
                    late_orders=self._late(self._orders),
                    cordons=tx.cordons.all(),
                    acks=tuple(tx.incidents.waiting_acks()),
                    resets=tuple(reset for _, reset in resets),
                    reset_numbers=tuple(number for number, _ in resets),
                    refused=tuple(tx.enrolments.refused()),
                )
                if self._placing is None:
                    return mine
                return replace(
                    mine,
                    jobs={job.id: job for job in tx.jobs.unfinished()},
                    guard_resets=tuple(tx.guards.waiting()),
                    troubles=tuple(tx.incidents.unresolved()),
                )
        except StoreError as error:
            self._store_away(error)
            return None

    def _late(self, orders: Mapping[str, ManualOrder]) -> tuple[str, ...]:
        now_ns = self._clock.unix_ns()
        mine = self._shards.controls.keys()
        return tuple(
            loop_id
            for loop_id, order in orders.items()
            if order.until_unix_ns <= now_ns and loop_id in mine
        )

    def _cool(self, snapshot: FleetSnapshot, desired: Desired, settled: Container[str]) -> None:
        controls = {loop: one for loop, one in self._shards.controls.items() if loop in settled}
        identified = self._shards.identities.learn(snapshot, controls)
        steering = steer(controls, snapshot, desired, self._shards.cooling, identified)
        self._shards.controls |= steering.loops
        self.effects.cool(steering.effects)
        if self._decisions is not None:
            self._keep_decisions(self._decisions, controls, steering, snapshot, desired)

    def _keep_decisions(
        self,
        log: DecisionLog,
        before: Mapping[str, LoopControl],
        steering: Steering,
        snapshot: FleetSnapshot,
        desired: Desired,
    ) -> None:
        log.due(snapshot.at_unix_ns)
        log.write(
            log.book.decided(
                before[loop_id],
                after,
                steering.effects_of[loop_id],
                cause=snapshot.cdu_cause(snapshot.fleet_map.loop(loop_id)),
                order=desired.orders.get(loop_id),
                resets=tuple(one for one in desired.resets if one.loop_id == loop_id),
                settings=self._shards.cooling[loop_id],
            )
            for loop_id, after in steering.loops.items()
        )

    def _judge(self, snapshot: FleetSnapshot, desired: Desired, settled: Container[str]) -> None:
        """What could not be written is forgotten: the next cycle finds it again."""
        others = [] if self._placing is None else self._others.besides(self._shards.loops())
        judgement = judge(
            self._shards.book,
            with_others(snapshot, others) if others else snapshot,
            desired,
            self._answers,
            detectors=(*self._detectors, ActuatorDetector(self._shards.controls)),
            options=self._options,
            loops=settled,
            placing=None if self._placing is None else self._shards.controls,
        )
        if judgement.refused:
            self.counts["plans_refused"] += 1
            _log.warning("plan_refused", reasons=judgement.refused)
        try:
            told = self.effects.commit(judgement, desired)
        except StoreError as error:
            self._store_away(error)
            return
        self._shards.book = judgement.book
        self._answers.clear()
        if told:
            self.deliverer.nudge()

    def _show(self, snapshot: FleetSnapshot, settled: Collection[str]) -> None:
        views = [self._view(loop_id, snapshot) for loop_id in sorted(settled)]
        for view in views:
            self._bus.publish(LIVE, key=view.loop, value=encode_view(view))
        if self.remote_write is not None and self.remote_write.due():
            leads = self._placing is not None
            fleet = [*views, *self._others.besides(settled)] if leads else None
            self.remote_write.offer(views, fleet)

    def _view(self, loop_id: str, snapshot: FleetSnapshot) -> LoopView:
        control = self._shards.controls.get(loop_id)
        counts = {**self.ingest.counts[loop_id], "commands": self.effects.commands_total}
        if control is None:
            view = air_row_view(loop_id, snapshot, self.ingest.counts[loop_id])
        else:
            view = loop_view(control, snapshot, counts)
        return msgspec.structs.replace(view, ingest=self._ingest_view(loop_id))

    def _ingest_view(self, loop_id: str) -> IngestView:
        partition = self.ingest.partition_of[loop_id]
        position = self.ingest.positions().get(partition)
        counts = self.counts + self.ends.counts
        if self.remote_write is not None:
            counts += Counter({f"remote_write_{k}": n for k, n in self.remote_write.counts.items()})
        return IngestView(
            controller=self._options.holder,
            partition=partition,
            behind_messages=None if position is None else self.ends.behind(partition, position),
            dead_letters={reason.value: n for reason, n in self.ingest.dead_letters.items()},
            counts=dict(counts),
        )

    def _keep_reading_place(self) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - self._kept_at_s < KEEP_READING_S:
            return
        self._kept_at_s = now_s
        try:
            if self._writer is None:
                written = self.ingest.save(self._leadership.check)
            else:
                written = self._writer.turn(self._leadership.guard())
            self.counts["history_windows"] += written.windows
            self.counts["history_samples"] += written.samples
            self.counts["history_bytes"] += written.bytes
            self._keeper.turn(self._leadership.guard())
            if self._placing is not None and self._leadership.answers:
                saved = self.told.save(self._leadership.check)
                self.counts["losses_declared"] += saved.declared
                self.counts["sleds_announced"] += saved.announced
        except StoreError as error:
            self._store_away(error)
        except BusError as error:
            self.counts["bus_errors"] += 1
            _log.warning("bus_away", error=str(error))

    def _store_away(self, error: StoreError) -> None:
        self.counts["store_errors"] += 1
        _log.warning("store_away", error=str(error))

    def _bus_away(self, error: BusError) -> None:
        self.counts["bus_errors"] += 1
        _log.warning("bus_away", error=str(error))

    def _cycle_done(self, kind: str) -> None:
        self.counts[kind] += 1
        self._cycle_at_s = self._clock.monotonic_s()


def _decision_log(options: ControllerOptions) -> DecisionLog | None:
    if options.decisions_dir is None:
        return None
    return DecisionLog(options.decisions_dir, keep_files=options.decisions_keep_hours)
