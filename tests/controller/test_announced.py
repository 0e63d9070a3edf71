"""What placement is about to do, as heat to come."""

from dataclasses import replace

import pytest

from controller.announced import AnnouncedSettings, announced
from controller.placement.job import Job, JobState, Placement, Share
from fleet.clock import NS_PER_S
from tests.controller.spoken import SpokenFleet, make_job

SETTINGS = AnnouncedSettings()


def placed(fleet: SpokenFleet, state: JobState, *, sent_s_ago: int = 0, sled: int = 0) -> Job:
    sled_id = fleet.fleet_map.sled_ids[sled]
    placement = Placement(ultraserver_id="u", shares=(Share(sled_id=sled_id, chips=(0, 1, 2, 3)),))
    return replace(
        make_job(f"job-{state}-{sled}"),
        state=state,
        placement=placement,
        sent_at_unix_ns=fleet.at_unix_ns - sent_s_ago * NS_PER_S,
    )


def test_a_job_that_starts_brings_what_jobs_at_work_draw() -> None:
    fleet = SpokenFleet()
    busy = fleet.fleet_map.sled_ids[1]
    fleet.every_sled = {"power_w": dict.fromkeys(range(4), 200.0)}
    fleet.sled = {busy: {"power_w": dict.fromkeys(range(4), 900.0)}}
    snapshot = fleet.tick()
    starting = placed(fleet, JobState.STARTING, sent_s_ago=1)
    running = placed(fleet, JobState.RUNNING, sled=1)
    (change,) = announced((starting, running), snapshot, SETTINGS)[fleet.fleet_map.loop_ids[0]]
    assert change.heat_w == pytest.approx(4 * 700.0)
    assert change.in_s == pytest.approx(SETTINGS.answer_s - 1.0)


def test_a_job_that_stops_takes_it_away() -> None:
    fleet = SpokenFleet(every_sled={"power_w": dict.fromkeys(range(4), 900.0)})
    snapshot = fleet.tick()
    stopping = placed(fleet, JobState.STOPPING)
    (change,) = announced((stopping,), snapshot, SETTINGS)[fleet.fleet_map.loop_ids[0]]
    assert change.heat_w == pytest.approx(4 * (SETTINGS.idle_chip_w - 900.0))


def test_nothing_is_announced_of_who_has_answered_waits_too_long_or_is_gone() -> None:
    fleet = SpokenFleet()
    snapshot = fleet.tick()
    answered = placed(fleet, JobState.STARTING)
    answered = replace(answered, answered_sleds=frozenset(fleet.fleet_map.sled_ids[:1]))
    late = placed(fleet, JobState.STARTING, sent_s_ago=60)
    gone = replace(
        placed(fleet, JobState.STARTING),
        placement=Placement(ultraserver_id="u", shares=(Share(sled_id="h9/none", chips=(0,)),)),
    )
    assert announced((answered, late, gone), snapshot, SETTINGS) == {}
