"""Views, jobs and incidents with defaults, and an API that runs."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from api.client import ApiClient
from api.desk import Desk
from api.server import ApiServer
from controller.anomaly.finding import Family, Finding, Place, Severity
from controller.incidents.incident import Incident, IncidentState
from controller.placement.job import Job, JobState, Placement, Share
from controller.store import Store
from controller.views import LoopView, encode_view
from fleet.bus import InMemoryBus
from fleet.clock import ManualClock
from fleet.topics import LIVE
from fleet.topology import FleetMap

LOOP = "h1/loop01"
SLED = "h1/us01/r1/s07"
AT_UNIX_NS = 1_760_000_000_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Running:
    """An API that answers, and what it stands on."""

    desk: Desk
    server: ApiServer
    client: ApiClient
    store: Store
    bus: InMemoryBus
    clock: ManualClock
    fleet_map: FleetMap

    def hear(self, view: LoopView) -> None:
        """Publish a view and wait until the API has taken it."""
        heard = threading.Event()
        self.desk.live.listen(heard.set)
        publish(self.bus, view)
        assert heard.wait(5.0)


def publish(bus: InMemoryBus, view: LoopView) -> None:
    bus.publish(LIVE, key=view.loop, value=encode_view(view)).result(1.0)


def make_view(
    fleet_map: FleetMap,
    loop: int = 0,
    *,
    chips: Mapping[str, float] | None = None,
    sleds: Mapping[str, float] | None = None,
    cdu: Mapping[str, float | None] | None = None,
    sled_age_s: float = 0.5,
    counters: Mapping[str, int] | None = None,
) -> LoopView:
    """A loop whose chips all show one value of each metric."""
    chip_rows = fleet_map.chips_in_loop(loop)
    sled_rows = fleet_map.sleds_in_loop(loop)
    chip_count, sled_count = chip_rows.stop - chip_rows.start, sled_rows.stop - sled_rows.start
    chips = {"junction_c": 60.0, "power_w": 800.0} if chips is None else chips
    sleds = {"inlet_c": 40.0, "sled_power_w": 3500.0, "leak_state": 0.0} if sleds is None else sleds
    return LoopView(
        loop=fleet_map.loop_ids[loop],
        at_unix_ns=AT_UNIX_NS,
        cycle=7,
        mode="auto",
        mode_reason="all inputs are good",
        mode_since_unix_ns=AT_UNIX_NS,
        setpoints={"supply_c": 40.0, "valve_ratio": 0.5, "pump_ratio": 0.6, "flow_lpm": 900.0},
        cdu=dict(cdu or {"supply_c": 40.25, "heat_removed_w": 250e3, "control_mode": 1.0}),
        pumps=[{"pump_speed_ratio": 0.6, "pump_power_w": 900.0, "pump_state": 0.0}],
        trips=[],
        sensor_faults={},
        margins={"time_to_throttle_s": 8.5, "dew_margin_k": 21.0, "ua_ratio": None},
        chips={name: block(value, chip_count) for name, value in chips.items()},
        sleds={name: block(value, sled_count) for name, value in sleds.items()},
        sled_age_s=block(sled_age_s, sled_count),
        cdu_age_s=0.5,
        counters=dict(counters or {"frames": 72, "malformed": 0}),
    )


def block(value: float, rows: int) -> bytes:
    return np.full(rows, value, "<f4").tobytes()


def make_job(job_id: str = "job-1", *, state: JobState = JobState.PENDING, at_s: int = 0) -> Job:
    placed = state not in {JobState.PENDING, JobState.STOPPED, JobState.FAILED}
    share = Share(sled_id=SLED, chips=(0, 1))
    return Job(
        id=job_id,
        name=f"name of {job_id}",
        model="m",
        chips=2,
        tensor_parallel=2,
        priority=0,
        submitted_at_unix_ns=AT_UNIX_NS + at_s * 10**9,
        state=state,
        attempt=int(placed),
        placement=Placement(ultraserver_id="h1/us01", shares=(share,)) if placed else None,
        reasons=() if placed else ("needs 2 chips",),
    )


def make_incident(
    incident_id: str = "inc-1", *, state: IncidentState = IncidentState.OPEN, at_s: int = 0
) -> Incident:
    at_unix_ns = AT_UNIX_NS + at_s * 10**9
    finding = Finding(
        rule="chip_hot",
        family=Family.COOLING,
        severity=Severity.CRITICAL,
        subject=f"{SLED}/c2",
        scope=Place.CHIP,
        loop_id=LOOP,
        sled_id=SLED,
        value=97.5,
        limit=95.0,
        text="97.5 °C is above 95 °C",
        consequence="the chip throttles",
        action="look at the cold plate",
        cause=f"{SLED}@1.17",
        at_unix_ns=at_unix_ns,
    )
    return Incident(
        id=incident_id,
        key=f"thermal {SLED} {incident_id}",
        fingerprint="0123456789abcdef",
        state=state,
        severity=finding.severity,
        family=finding.family,
        rule=finding.rule,
        subject=finding.subject,
        scope=finding.scope,
        loop_id=LOOP,
        sled_id=SLED,
        title="Chip c2 is too hot",
        cause=finding.cause,
        findings=(finding,),
        inhibited_count=3,
        opened_at_unix_ns=at_unix_ns,
        updated_at_unix_ns=at_unix_ns,
        last_found_at_unix_ns=at_unix_ns,
        resolved_at_unix_ns=at_unix_ns + 1 if state is IncidentState.RESOLVED else None,
    )
