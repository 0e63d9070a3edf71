"""The closed story in pure cores: a chip warms, is found, its sled cordoned, its job moved."""

from dataclasses import dataclass, field

from controller.anomaly.detectors import build_detectors
from controller.incidents.incident import CordonSled, IncidentEffect, OpenIncident, ResolveIncident
from controller.incidents.lifecycle import IncidentBook
from controller.incidents.lifecycle import step as judge
from controller.incidents.settings import IncidentSettings
from controller.placement.job import Cordon, Job, JobState, Plan
from controller.placement.plan import plan
from controller.placement.reconcile import ReconcileSettings
from controller.placement.reconcile import step as reconcile
from controller.placement.settings import PlacementSettings
from controller.placement.share import SendShare, ShareAck, ShareAction
from fleet.commands import Outcome, StartJob
from tests.controller.spoken import SpokenFleet, make_job


@dataclass
class Mind:
    """The cores in the order of a controller's cycle, with sleds that obey at once."""

    fleet: SpokenFleet
    jobs: dict[str, Job]
    book: IncidentBook = field(default_factory=IncidentBook)
    cordons: dict[str, Cordon] = field(default_factory=dict)
    told: list[IncidentEffect] = field(default_factory=list)
    proposal: Plan | None = None

    def __post_init__(self) -> None:
        self.detectors = build_detectors(self.fleet.fleet_map)
        self.acks: list[ShareAck] = []

    def cycle(self) -> None:
        snapshot = self.fleet.tick()
        findings = [found for each in self.detectors for found in each.observe(snapshot)]
        self.book, effects = judge(
            self.book,
            findings,
            at_unix_ns=snapshot.at_unix_ns,
            cordoned=self.cordons.keys(),
            sleds=self.fleet.fleet_map.sleds,
            settings=IncidentSettings(),
        )
        self.told += effects
        for effect in effects:
            if isinstance(effect, CordonSled):
                self.cordons[effect.sled_id] = Cordon(
                    sled_id=effect.sled_id,
                    reason=effect.reason,
                    since_unix_ns=snapshot.at_unix_ns,
                    incident_id=effect.cause,
                )
        self.proposal = plan(snapshot, self.jobs.values(), self.cordons, {}, PlacementSettings())
        self.jobs, sent = reconcile(
            self.jobs,
            self.proposal,
            self.acks,
            at_unix_ns=snapshot.at_unix_ns,
            cause=f"cycle {snapshot.cycle}",
            settings=ReconcileSettings(),
        )
        self.acks = [_obey(effect) for effect in sent if isinstance(effect, SendShare)]


def _obey(share: SendShare) -> ShareAck:
    starts = isinstance(share.action, StartJob)
    return ShareAck(
        job_id=share.action.job_id,
        attempt=share.action.attempt,
        sled_id=share.sled_id,
        action=ShareAction.START if starts else ShareAction.STOP,
        outcome=Outcome.APPLIED,
        detail="",
        cause="command",
    )


def test_a_chip_that_warms_costs_its_sled_the_work_and_nothing_else() -> None:
    fleet = SpokenFleet(every_sled={"power_w": 600.0, "junction_c": 60.0})
    mind = Mind(fleet, {"a": make_job("a", 4, tensor_parallel=4)})
    for _ in range(3):
        mind.cycle()
    job = mind.jobs["a"]
    assert job.state is JobState.RUNNING
    assert job.placement is not None
    [sled] = job.placement.sled_ids
    # Its cold plate gets blocked: the chip warms by 1.5 K a second, at the same power.
    for second in range(25):
        fleet.sled = {sled: {"junction_c": {1: 60.0 + 1.5 * second}}}
        mind.cycle()
    [opened] = [effect for effect in mind.told if isinstance(effect, OpenIncident)]
    assert opened.incident.subject == f"{sled}/c1"
    assert opened.cause.startswith(sled + "@")
    [cordon] = mind.cordons.values()
    assert (cordon.sled_id, cordon.incident_id) == (sled, opened.incident.id)
    [incident] = mind.book.open
    assert incident.rule == "plate_blocked"
    job = mind.jobs["a"]
    assert (job.state, job.attempt) == (JobState.RUNNING, 2)
    assert job.placement is not None
    assert sled not in job.placement.sled_ids
    assert job.departures == ()
    # Without work it cools; the incident ends by itself, the cordon only by a person.
    fleet.sled = {sled: {"junction_c": 42.0, "power_w": 100.0}}
    for _ in range(45):
        mind.cycle()
    assert isinstance(mind.told[-1], ResolveIncident)
    assert mind.book.open == ()
    assert set(mind.cordons) == {sled}
