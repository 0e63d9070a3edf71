"""One controller as something to start, stop and ask."""

import threading
from collections import Counter
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.random import Generator

from controller.anomaly.detectors import build_detectors
from controller.chores.schedule import Chores
from controller.cooling.loop import LoopControl
from controller.decide import Desired, begin, judge, restore, steer
from controller.effects import Effects, share_ack
from controller.incidents.lifecycle import IncidentBook
from controller.ingest.consume import Consumer
from controller.ingest.declared import DeclaredLosses
from controller.notify.deliver import Deliverer
from controller.options import ControllerOptions
from controller.placement.share import ShareAck
from controller.state.snapshot import FleetSnapshot
from controller.store import Store
from controller.store.leadership import Leadership
from controller.views import LoopView, air_row_view, encode_view, loop_view
from fleet.bus import Bus
from fleet.clock import NS_PER_S, Clock
from fleet.errors import BusError, StoreError
from fleet.topics import LIVE
from fleet.topology import Cooling, FleetMap

_log = structlog.get_logger(__name__)

LISTEN_S = 0.2
"""Between two cycles telemetry is waited for in pieces of this length."""
STOP_S = 4.0
KEPT_ANSWERS = 10_000
"""Acknowledgements held while the store is away; commands whose answer is lost go out again."""
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
    """Reads telemetry, decides, acts. `cycle` is one turn by hand; `start` gives it a thread.

    Bus and store are the caller's to close, after `stop`.
    """

    def __init__(
        self,
        options: ControllerOptions,
        fleet_map: FleetMap,
        bus: Bus,
        store: Store,
        clock: Clock,
        *,
        rng: Generator | None = None,
    ) -> None:
        options.validate(fleet_map)
        self._options = options
        self._map = fleet_map
        self._bus = bus
        self._store = store
        self._clock = clock
        loops = options.loops_of(fleet_map)
        self._leadership = Leadership(
            store,
            clock,
            names=loops,
            holder=options.holder,
            settings=options.lease,
        )
        self.ingest = Consumer(bus, store, fleet_map, clock, loops=loops, settings=options.ingest)
        self.declared = DeclaredLosses(bus, store)
        self.effects = Effects(bus, store, clock, fleet_map, self._leadership, options)
        self.deliverer = Deliverer(store, clock, rng or np.random.default_rng(), options.delivery)
        self.chores = Chores(store, clock, options.chores, leads=self._leadership.held)
        self._detectors = build_detectors(fleet_map)
        liquid = {fleet_map.loop_ids[row] for row in fleet_map.loops_cooled_by(Cooling.LIQUID)}
        self._cooling = {
            loop: options.cooling_of(self._chips(loop)) for loop in loops if loop in liquid
        }
        self._air_rows = tuple(loop for loop in loops if loop not in liquid)
        self._loops: dict[str, LoopControl] = {}
        self._book = IncidentBook()
        self._answers: list[ShareAck] = []
        self._led = 0
        self._cycle = 0
        self._kept_at_s = -1e18
        self._cycle_at_s: float | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.counts: Counter[str] = Counter()
        """cycles, standby_cycles, store_errors, bus_errors, bugs, overruns, plans_refused."""

    def cycle(self) -> None:
        """One turn of the loop that the whole program is about."""
        # 1. Hear what came.
        self._hear()
        # 2. Look at the fleet as it is now.
        self._cycle += 1
        snapshot = self.ingest.columns.snapshot(self._clock.unix_ns(), self._cycle)
        # 3. Lead, or stand by with warm columns.
        if not self._leading():
            self._cycle_done("standby_cycles")
            return
        # 4. What do people want?
        desired = self._desired()
        # 5. Cool: first, and whatever happens below.
        steering = steer(self._loops, snapshot, desired or Desired(), self._cooling)
        self._loops = dict(steering.loops)
        self.effects.cool(steering.effects)
        # 6. Detect, group, place; write it, then do it.
        if desired is not None:
            self._judge(snapshot, desired)
        # 7. Show it.
        self._show(snapshot)
        # 8. Remember how far the bus was read.
        self._keep_reading_place()
        self._cycle_done("cycles")

    def start(self) -> None:
        """Run cycles and deliveries in threads."""
        self.deliverer.start()
        self.chores.start()
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
        try:
            if self._leadership.held():
                self.ingest.save(self._leadership.check, everything=True)
            self._leadership.release()
        except StoreError as error:
            _log.warning("stopped_without_store", error=str(error))
        self.declared.start_over()
        self.ingest.close()

    def readiness(self) -> Readiness:
        at_s = self._cycle_at_s
        return Readiness(
            last_cycle_age_s=float("inf") if at_s is None else self._clock.monotonic_s() - at_s,
            lease_held=self._leadership.held(),
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
            self._listen(deadline_s)

    def _listen(self, deadline_s: float) -> None:
        """Take telemetry as it comes, so that the next cycle decides on what is new."""
        while not self._stop.is_set():
            left_s = deadline_s - self._clock.monotonic_s()
            if left_s <= 0:
                return
            try:
                self.ingest.poll(min(left_s, LISTEN_S))
            except Exception as error:  # noqa: BLE001 - the same
                self.counts["bus_errors" if isinstance(error, BusError) else "bugs"] += 1
                _log.exception("listening_failed")
                self._clock.wait(self._stop, min(left_s, LISTEN_S))

    def _hear(self) -> None:
        try:
            self.ingest.poll()
            self.ingest.poll_answers()
        except BusError as error:
            self.counts["bus_errors"] += 1
            _log.warning("bus_away", error=str(error))
        answers = (share_ack(ack) for ack in self.ingest.take_acks())
        self._answers += [answer for answer in answers if answer is not None]
        del self._answers[:-KEPT_ANSWERS]
        for event in self.ingest.take_events():
            self.counts[f"event_{event.kind.value}"] += 1

    def _leading(self) -> bool:
        if not self._leadership.keep():
            return False
        if self._led == self._leadership.gained_total:
            return True
        try:
            self._take_over()
        except StoreError as error:
            self._store_away(error)
            return False
        self._led = self._leadership.gained_total
        return True

    def _take_over(self) -> None:
        """Continue where the last leader stopped."""
        now = self._clock.unix_ns()
        reopen_ns = round(self._options.incidents.reopen_s * NS_PER_S)
        with self._store.read() as tx:
            incidents = [*tx.incidents.unresolved(), *tx.incidents.resolved_since(now - reopen_ns)]
            trips = {loop: tx.interlocks.latched(loop) for loop in self._cooling}
        # The last leader wrote history that this one has only seen go by.
        self.ingest.start_over()
        self.declared.start_over()
        self._book = restore(incidents, at_unix_ns=now)
        self._loops = {
            loop: begin(loop, self._map.cdu_ids[self._map.loop(loop)], trips[loop], settings)
            for loop, settings in self._cooling.items()
        }

    def _desired(self) -> Desired | None:
        """None when the store is away."""
        try:
            with self._store.read() as tx:
                resets = tx.interlocks.waiting_resets()
                return Desired(
                    jobs={job.id: job for job in tx.jobs.unfinished()},
                    cordons=tx.cordons.all(),
                    acks=tuple(tx.incidents.waiting_acks()),
                    resets=tuple(reset for _, reset in resets),
                    reset_numbers=tuple(number for number, _ in resets),
                    guard_resets=tuple(tx.guards.waiting()),
                )
        except StoreError as error:
            self._store_away(error)
            return None

    def _judge(self, snapshot: FleetSnapshot, desired: Desired) -> None:
        """What could not be written is forgotten: the next cycle finds it again."""
        judgement = judge(
            self._book,
            snapshot,
            desired,
            self._answers,
            detectors=self._detectors,
            options=self._options,
        )
        if judgement.refused:
            self.counts["plans_refused"] += 1
            _log.warning("plan_refused", reasons=judgement.refused)
        try:
            told = self.effects.commit(judgement, desired)
        except StoreError as error:
            self._store_away(error)
            return
        self._book = judgement.book
        self._answers.clear()
        if told:
            self.deliverer.nudge()

    def _show(self, snapshot: FleetSnapshot) -> None:
        for loop_id, control in self._loops.items():
            counts = {**self.ingest.counts[loop_id], "commands": self.effects.commands_total}
            self._tell(loop_view(control, snapshot, counts))
        for row_id in self._air_rows:
            self._tell(air_row_view(row_id, snapshot, self.ingest.counts[row_id]))

    def _tell(self, view: LoopView) -> None:
        self._bus.publish(LIVE, key=view.loop, value=encode_view(view))

    def _keep_reading_place(self) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - self._kept_at_s < KEEP_READING_S:
            return
        try:
            written = self.ingest.save(self._leadership.check)
            self.counts["history_windows"] += written.windows
            self.counts["history_samples"] += written.samples
            self.counts["history_bytes"] += written.bytes
            self._kept_at_s = now_s
            self.counts["losses_declared"] += self.declared.save(self._leadership.check)
        except StoreError as error:
            self._store_away(error)
        except BusError as error:
            self.counts["bus_errors"] += 1
            _log.warning("bus_away", error=str(error))

    def _store_away(self, error: StoreError) -> None:
        self.counts["store_errors"] += 1
        _log.warning("store_away", error=str(error))

    def _cycle_done(self, kind: str) -> None:
        self.counts[kind] += 1
        self._cycle_at_s = self._clock.monotonic_s()

    def _chips(self, loop_id: str) -> int:
        rows = self._map.chips_in_loop(self._map.loop(loop_id))
        return len(range(rows.start, rows.stop))
