"""What the controller thinks each cycle; pure but for the detectors' memory. Effects are executed
by `controller.effects`, and only telemetry tells what came of them.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from controller.announced import AnnouncedSettings, announced
from controller.anomaly.detector import Detector
from controller.anomaly.finding import Severity
from controller.cooling import loop as cooling
from controller.cooling.control import CoolingEffect, LoopTrip, ManualOrder, TripReset
from controller.cooling.loop import LoopControl
from controller.cooling.relief import Relief
from controller.cooling.settings import CoolingSettings, ReliefSettings
from controller.enrolment.enrolment import Enrolment
from controller.enrolment.findings import findings as enrolment_findings
from controller.incidents import lifecycle
from controller.incidents.incident import Acknowledgement, CordonSled, Incident, IncidentEffect
from controller.incidents.lifecycle import IncidentBook
from controller.options import ControllerOptions
from controller.placement import plan as placement
from controller.placement import reconcile
from controller.placement.job import Cordon, Job, Plan
from controller.placement.settings import PlacementSettings
from controller.placement.share import PlacementEffect, ShareAck
from controller.state.snapshot import FleetSnapshot
from controller.store.guards import GuardReset
from fleet.clock import NS_PER_S
from thermal.control.interlock import InterlockState, Trip
from thermal.model.identity import Identified


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What people want, as the store has it, and the jobs that have not ended."""

    jobs: Mapping[str, Job] = field(default_factory=dict)
    cordons: Mapping[str, Cordon] = field(default_factory=dict)
    acks: tuple[Acknowledgement, ...] = ()
    resets: tuple[TripReset, ...] = ()
    reset_numbers: tuple[int, ...] = ()
    guard_resets: tuple[tuple[int, GuardReset], ...] = ()
    """With their numbers in the store; for the sleds' agents, which decide."""
    troubles: tuple[Incident, ...] = ()
    """Incidents of the whole fleet that are not over, for placement."""
    refused: tuple[Enrolment, ...] = ()
    """Sleds in whose place something stands that was not enrolled."""
    orders: Mapping[str, ManualOrder] = field(default_factory=dict)
    """By loop id: people's overrides; those that have run out count no more."""
    late_orders: tuple[str, ...] = ()
    """Loops of this controller whose override has run out since it was last looked at."""


PlanInputs = tuple[
    FleetSnapshot,
    tuple[Job, ...],
    Mapping[str, Cordon],
    Mapping[str, str],
    PlacementSettings,
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """Every loop after a cycle, and what is to be done."""

    loops: Mapping[str, LoopControl]
    effects_of: Mapping[str, tuple[CoolingEffect, ...]]

    @property
    def effects(self) -> tuple[CoolingEffect, ...]:
        return tuple(effect for found in self.effects_of.values() for effect in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Incidents and jobs after a cycle, and what is to be done."""

    book: IncidentBook
    incident_effects: tuple[IncidentEffect, ...]
    placement_effects: tuple[PlacementEffect, ...]
    refused: tuple[str, ...] = ()
    """Why a plan was not committed; empty when it was."""


def begin(
    loop_id: str, cdu_id: str, trips: Iterable[LoopTrip], settings: CoolingSettings
) -> LoopControl:
    """A loop's control as a controller takes it over: latched trips still hold."""
    latched = tuple(trips)
    held = InterlockState(
        trips=tuple(
            Trip(reason=trip.reason, since_s=trip.since_unix_ns / NS_PER_S, level=trip.level)
            for trip in latched
        )
    )
    return replace(cooling.initial(loop_id, cdu_id, settings), trips=latched, interlock=held)


def go_on(
    control: LoopControl | None, trips: Iterable[LoopTrip], *, not_before_unix_ns: int
) -> LoopControl | None:
    """A loop's control as the controller before remembered it, set-points in force and all. None
    when that is too old, or when trips were latched or lifted since.
    """
    if control is None or control.at_unix_ns < not_before_unix_ns:
        return None
    latched = {(trip.reason, trip.level) for trip in trips}
    same = latched == {(trip.reason, trip.level) for trip in control.trips}
    return control if same else None


def bridge(control: LoopControl) -> tuple[CoolingEffect, ...]:
    """The set-points in force once more, until the loop's telemetry has been read."""
    return cooling.repeat(control, f"taken over from {control.at_unix_ns}")


def restore(incidents: Iterable[Incident], *, at_unix_ns: int) -> IncidentBook:
    """The book as the last leader left it. What is open gets its full time to be found again."""
    book = IncidentBook.of(incidents)
    renewed = {
        incident.key: replace(incident, last_found_at_unix_ns=at_unix_ns) for incident in book.open
    }
    return IncidentBook(incidents={**book.incidents, **renewed})


def steer(
    loops: Mapping[str, LoopControl],
    snapshot: FleetSnapshot,
    desired: Desired,
    settings: Mapping[str, CoolingSettings],
    identified: Mapping[str, Identified] | None = None,
) -> Steering:
    """Cooling goes first and alone: nothing that fails later in the cycle can stop it."""
    coming = announced(desired.jobs.values(), snapshot, AnnouncedSettings())
    after: dict[str, LoopControl] = {}
    effects: dict[str, tuple[CoolingEffect, ...]] = {}
    for loop_id, control in loops.items():
        after[loop_id], effects[loop_id] = cooling.step(
            control,
            snapshot,
            order=desired.orders.get(loop_id),
            resets=desired.resets,
            announced=coming.get(loop_id, ()),
            settings=settings[loop_id],
            identified=(identified or {}).get(loop_id),
        )
    return Steering(loops=after, effects_of=effects)


def judge(
    book: IncidentBook,
    snapshot: FleetSnapshot,
    desired: Desired,
    answers: Iterable[ShareAck],
    *,
    detectors: Sequence[Detector],
    options: ControllerOptions,
    loops: Container[str],
    placing: Mapping[str, LoopControl] | None,
) -> Judgement:
    """Detect and group what is wrong in `loops`; place work in the whole fleet, by what the loops
    `placing` ask for. None where another controller places.
    """
    # 1. What is wrong?
    seen = [finding for detector in detectors for finding in detector.observe(snapshot)]
    seen += enrolment_findings(desired.refused, snapshot.fleet_map, at_unix_ns=snapshot.at_unix_ns)
    findings = [finding for finding in seen if finding.loop_id in loops]
    # 2. Which of it belongs together, and what follows from it?
    book, incident_effects = lifecycle.step(
        book,
        findings,
        at_unix_ns=snapshot.at_unix_ns,
        acks=desired.acks,
        cordoned=desired.cordons.keys(),
        sleds=snapshot.fleet_map.sleds,
        settings=options.incidents,
    )
    judgement = Judgement(book=book, incident_effects=incident_effects, placement_effects=())
    if placing is None:
        return judgement
    return _place(judgement, snapshot, desired, answers, options, placing)


def _place(
    judgement: Judgement,
    snapshot: FleetSnapshot,
    desired: Desired,
    answers: Iterable[ShareAck],
    options: ControllerOptions,
    controls: Mapping[str, LoopControl],
) -> Judgement:
    # 3. Where may work be?
    effects = judgement.incident_effects
    cordons = with_new(desired.cordons, effects, at_unix_ns=snapshot.at_unix_ns)
    known = judgement.book.incidents
    others = [one for one in desired.troubles if one.key not in known]
    troubled = sleds_in_trouble((*judgement.book.open, *others))
    strained, spared = relief_of(controls, snapshot)
    troubled |= {sled_id: words for sled_id, words in strained.items() if sled_id not in troubled}
    # 4. Where should it be?
    jobs = desired.jobs
    around = (snapshot, tuple(jobs.values()), cordons, troubled, options.placement)
    proposal = placement.plan(*around)
    if spared:
        proposal = _with_relief(proposal, spared, around)
    # 5. Does the plan hold?
    refused = placement.validate(proposal, *around)
    if refused:
        proposal = replace(proposal, starts=(), stops=(), moves=())
    # 6. What has to be said to the sleds?
    _, placement_effects = reconcile.step(
        jobs,
        proposal,
        answers,
        at_unix_ns=snapshot.at_unix_ns,
        cause=f"cycle {snapshot.cycle}",
        settings=options.reconcile,
    )
    return replace(judgement, placement_effects=placement_effects, refused=refused)


def relief_of(
    controls: Mapping[str, LoopControl], snapshot: FleetSnapshot
) -> tuple[dict[str, str], dict[str, Cordon]]:
    """Sleds of loops that ask for relief get no work; from the hottest work is to be moved."""
    strained: dict[str, str] = {}
    spared: dict[str, Cordon] = {}
    fleet_map = snapshot.fleet_map
    for loop_id, control in controls.items():
        if control.relief.level is Relief.NONE:
            continue
        words = f"the cooling of {loop_id} is at its limit"
        rows = fleet_map.sleds_in_loop(fleet_map.loop(loop_id))
        sled_ids = fleet_map.sled_ids[rows]
        strained |= dict.fromkeys(sled_ids, words)
        if control.relief.level is Relief.AVOID:
            continue
        chips = np.nan_to_num(snapshot.chip["junction_c"], nan=-np.inf)
        hottest = np.maximum.reduceat(chips, fleet_map.first_chip_of_sled)[rows]
        count = max(1, round(ReliefSettings().moved_share * len(sled_ids)))
        for row in np.argsort(-hottest, kind="stable")[:count].tolist():
            spared[sled_ids[row]] = Cordon(
                sled_id=sled_ids[row],
                reason=words,
                since_unix_ns=snapshot.at_unix_ns,
                incident_id=f"relief of {loop_id}",
            )
    return strained, spared


def _with_relief(proposal: Plan, spared: Mapping[str, Cordon], around: PlanInputs) -> Plan:
    """The same plan with work moved off strained sleds, as far as there is room elsewhere: a job
    that would have to wait stays where it is, for a cap costs it less.
    """
    snapshot, jobs, cordons, troubled, settings = around
    moved = {move.job_id for move in proposal.moves}
    wished = placement.plan(snapshot, jobs, {**spared, **cordons}, troubled, settings)
    if any(move.to is None and move.job_id not in moved for move in wished.moves):
        kept = tuple(m for m in wished.moves if m.to is not None or m.job_id in moved)
        return replace(wished, moves=kept)
    return wished


def with_new(
    cordons: Mapping[str, Cordon], effects: Iterable[IncidentEffect], *, at_unix_ns: int
) -> dict[str, Cordon]:
    """Cordons with those that incidents ask for in this cycle."""
    asked = {
        effect.sled_id: new_cordon(effect, at_unix_ns)
        for effect in effects
        if isinstance(effect, CordonSled)
    }
    return {**cordons, **asked}


def new_cordon(effect: CordonSled, at_unix_ns: int) -> Cordon:
    return Cordon(
        sled_id=effect.sled_id,
        reason=effect.reason,
        since_unix_ns=at_unix_ns,
        incident_id=effect.cause,
    )


def sleds_in_trouble(incidents: Iterable[Incident]) -> dict[str, str]:
    """Sled id -> the critical incident that names it."""
    return {
        finding.sled_id: incident.id
        for incident in incidents
        if incident.severity is Severity.CRITICAL
        for finding in incident.findings
        if finding.sled_id is not None and finding.severity is Severity.CRITICAL
    }
