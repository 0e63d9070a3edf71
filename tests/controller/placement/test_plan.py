from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.placement.job import Cordon, Departure, Job, JobState, Placement, Plan, Share
from controller.placement.plan import plan, validate
from controller.placement.settings import PlacementSettings
from controller.state.snapshot import FleetSnapshot
from tests.controller.spoken import START_UNIX_NS, SpokenFleet, Wanted, make_job, mixed_map

SETTINGS = PlacementSettings()
SLED = "h1/us01/r1/s01"


def calm() -> FleetSnapshot:
    return SpokenFleet().tick()


def propose(
    snapshot: FleetSnapshot,
    *jobs: Job,
    cordons: dict[str, Cordon] | None = None,
    troubled: dict[str, str] | None = None,
) -> Plan:
    made = plan(snapshot, jobs, cordons or {}, troubled or {}, SETTINGS)
    assert validate(made, snapshot, jobs, cordons or {}, troubled or {}, SETTINGS) == ()
    return made


def running(job: Job, *shares: tuple[str, tuple[int, ...]]) -> Job:
    placement = Placement(
        ultraserver_id="/".join(shares[0][0].split("/")[:2]),
        shares=tuple(Share(sled_id=sled, chips=chips) for sled, chips in shares),
    )
    return replace(
        job,
        state=JobState.RUNNING,
        state_since_unix_ns=START_UNIX_NS,
        attempt=1,
        placement=placement,
    )


def full_sleds(name: str, server: str, sleds: range) -> Job:
    rows = [f"{server}/r{1 + n // 18}/s{1 + n % 18:02d}" for n in sleds]
    return running(make_job(name, 4 * len(rows)), *((row, (0, 1, 2, 3)) for row in rows))


def cordon(sled_id: str, incident: str | None = None) -> Cordon:
    return Cordon(sled_id=sled_id, reason="test", since_unix_ns=0, incident_id=incident)


def test_a_gang_gets_whole_sleds_of_one_ultraserver() -> None:
    [start] = propose(calm(), make_job("a", 16, tensor_parallel=4)).starts
    assert start.placement.chips == 16
    assert [len(share.chips) for share in start.placement.shares] == [4, 4, 4, 4]
    assert len({sled.rsplit("/", 1)[0] for sled in start.placement.sled_ids}) == 1  # one rack
    assert start.attempt == 1
    assert start.cause == "a"


def test_the_fullest_ultraserver_that_fits_is_taken() -> None:
    busy = full_sleds("busy", "h1/us02", range(30))
    [start] = propose(calm(), busy, make_job("a", 8)).starts
    assert start.placement.ultraserver_id == "h1/us02"


def test_a_small_gang_fills_the_gap_of_a_sled_before_it_opens_another() -> None:
    part = running(make_job("part", 2), (SLED, (0, 1)))
    [start] = propose(calm(), part, make_job("a", 2)).starts
    assert start.placement.shares == (Share(sled_id=SLED, chips=(2, 3)),)


def test_among_equal_ultraservers_the_cooler_is_taken() -> None:
    fleet = SpokenFleet()
    fleet.sled = {sled: {"junction_c": 70.0} for sled in fleet.fleet_map.sled_ids if "us01" in sled}
    [start] = propose(fleet.tick(), make_job("a", 8)).starts
    assert start.placement.ultraserver_id == "h1/us02"


def test_a_tensor_parallel_group_is_never_split_over_sleds() -> None:
    three = [
        running(make_job(f"{server}{n}", 1), (f"{server}/r{1 + n // 18}/s{1 + n % 18:02d}", (0,)))
        for server in ("h1/us01", "h1/us02")
        for n in range(36)
    ]
    made = propose(calm(), *three, make_job("a", 8, tensor_parallel=4))
    assert made.starts == ()
    assert made.reasons["a"][0] == (
        "needs 8 chips in one UltraServer in whole groups of 4; h1/us01 comes closest with 0"
    )
    assert "108 of the free ones are no whole group" in made.reasons["a"][1]
    [start] = propose(calm(), *three, make_job("a", 6, tensor_parallel=3)).starts
    assert [share.chips for share in start.placement.shares] == [(1, 2, 3), (1, 2, 3)]


def test_a_group_larger_than_a_sled_takes_whole_sleds() -> None:
    part = running(make_job("part", 2), (SLED, (0, 1)))
    [start] = propose(calm(), part, make_job("a", 16, tensor_parallel=8)).starts
    assert [len(share.chips) for share in start.placement.shares] == [4, 4, 4, 4]
    assert SLED not in start.placement.sled_ids


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"power_state": 0.0}, "without power"),
        ({"guard_level": 1.0}, "whose guard has acted"),
        ({"leak_state": 2.0}, "whose leak detector is not OK"),
        ({"junction_c": {3: 84.0}}, "too hot"),
        ({"inlet_c": 47.0}, "too hot"),
        ({"junction_c": float("nan")}, "unknown temperature"),
    ],
)
def test_a_sled_that_is_not_fit_gets_no_work_and_the_reason_says_so(
    values: Wanted, words: str
) -> None:
    fleet = SpokenFleet(sled={SLED: values})
    whole = make_job("whole", 144)
    rival = full_sleds("rival", "h1/us02", range(1))
    made = propose(fleet.tick(), rival, whole)
    assert made.starts == ()
    told = " ".join(made.reasons["whole"])
    assert "h1/us01 has 140 free (4 on sleds" in told
    assert words in told


def test_cordons_incidents_and_silence_keep_work_away() -> None:
    fleet = SpokenFleet()
    fleet.tick()
    fleet.silent = {"h1/us01/r1/s03"}
    for _ in range(6):
        snapshot = fleet.tick()
    made = propose(
        snapshot,
        full_sleds("rival", "h1/us02", range(36)),
        make_job("whole", 144),
        cordons={SLED: cordon(SLED)},
        troubled={"h1/us01/r1/s02": "inc-1"},
    )
    [best, *_] = made.reasons["whole"][1:]
    assert best == (
        "h1/us01 has 132 free (4 on sleds that are cordoned, 4 on sleds with an open critical "
        "incident, or cooling at its limit, 4 on sleds without fresh telemetry)"
    )


def test_priority_goes_first_then_age() -> None:
    jobs = [
        full_sleds("busy", "h1/us01", range(36)),
        full_sleds("busy2", "h1/us02", range(1, 36)),
        make_job("young", 4, age_s=1),
        make_job("old", 4, age_s=9),
        make_job("urgent", 4, priority=5),
    ]
    made = propose(calm(), *jobs)
    assert [start.job_id for start in made.starts] == ["urgent"]
    assert list(made.reasons) == ["old", "young"]
    assert made.reasons["young"][-1] == "1 waiting jobs are ahead of it"


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (make_job("a", 145), "the largest holds 144"),
        (make_job("a", 6, tensor_parallel=4), "no whole groups"),
        (make_job("a", 0), "at least one chip"),
        (make_job("a", 144, tensor_parallel=3), "the largest holds 108 in groups of 3"),
    ],
)
def test_a_job_that_can_never_run_is_rejected(job: Job, words: str) -> None:
    made = propose(calm(), job)
    assert words in made.rejects["a"]
    assert not made.starts


def test_an_incidents_cordon_moves_the_job_and_a_persons_does_not() -> None:
    job = running(make_job("a", 4), (SLED, (0, 1, 2, 3)))
    assert propose(calm(), job, cordons={SLED: cordon(SLED)}).moves == ()
    [move] = propose(calm(), job, cordons={SLED: cordon(SLED, "inc-1")}).moves
    assert move.to is not None
    assert SLED not in move.to.sled_ids
    assert (move.attempt, move.cause) == (2, "inc-1")


def test_a_share_that_its_sled_no_longer_shows_is_started_anew() -> None:
    """A host that was restarted runs nothing, whatever was acknowledged before."""
    fleet = SpokenFleet(every_sled={"neuron_runtimes_count": 1.0})
    job = running(make_job("a", 4), (SLED, (0, 1, 2, 3)))
    idle: dict[int, float] = dict.fromkeys(range(4), 0.0)
    gone: Wanted = {"neuron_runtimes_count": 0.0, "neuroncore_utilization_ratio": idle}
    for _ in range(30):
        snapshot = fleet.tick()
    assert propose(snapshot, job).moves == ()
    fleet.sled = {SLED: gone}
    [move] = propose(fleet.tick(), job).moves
    assert (move.attempt, move.reason) == (2, f"{SLED} no longer runs its share")
    assert move.cause.startswith(SLED)


@pytest.mark.parametrize(
    "shown",
    [
        {"neuron_runtimes_count": 0.0, "neuroncore_utilization_ratio": {0: 0.4}},
        {"neuron_runtimes_count": float("nan"), "neuroncore_utilization_ratio": {0: 0.0}},
        {"neuron_runtimes_count": 1.0, "neuroncore_utilization_ratio": {0: 0.0}},
    ],
)
def test_one_witness_alone_moves_no_job(shown: Wanted) -> None:
    fleet = SpokenFleet(sled={SLED: shown})
    for _ in range(30):
        snapshot = fleet.tick()
    assert propose(snapshot, running(make_job("a", 1), (SLED, (0,)))).moves == ()


def test_a_share_has_time_to_show_up() -> None:
    idle: dict[int, float] = dict.fromkeys(range(4), 0.0)
    gone: Wanted = {"neuron_runtimes_count": 0.0, "neuroncore_utilization_ratio": idle}
    fleet = SpokenFleet(sled={SLED: gone})
    job = running(make_job("a", 4), (SLED, (0, 1, 2, 3)))
    assert propose(fleet.tick(), job).moves == ()


def test_a_move_without_a_place_stops_the_job() -> None:
    job = full_sleds("whole", "h1/us01", range(36))
    [move] = propose(
        calm(),
        job,
        full_sleds("rival", "h1/us02", range(1)),
        cordons={SLED: cordon(SLED, "inc-1")},
    ).moves
    assert move.to is None


def test_chips_of_an_attempt_that_has_not_stopped_yet_are_taken() -> None:
    ghost = Departure(
        attempt=1,
        placement=Placement(
            ultraserver_id="h1/us01", shares=(Share(sled_id=SLED, chips=(0, 1, 2, 3)),)
        ),
        since_unix_ns=START_UNIX_NS,
    )
    made = propose(
        calm(),
        full_sleds("rival", "h1/us02", range(1)),
        replace(make_job("ghost", 4), state=JobState.FAILED, departures=(ghost,)),
        make_job("whole", 144),
    )
    assert "whole" in made.reasons


def test_sleds_that_failed_the_job_are_the_last_resort() -> None:
    avoiding = replace(make_job("a", 4), avoid=(SLED,))
    [start] = propose(calm(), avoiding).starts
    assert start.placement.sled_ids != (SLED,)
    rest = [full_sleds("r1", "h1/us01", range(1, 36)), full_sleds("r2", "h1/us02", range(36))]
    [start] = propose(calm(), *rest, avoiding).starts
    assert start.placement.sled_ids == (SLED,)


def test_a_plan_that_the_world_has_overtaken_is_refused() -> None:
    job = make_job("a", 4)
    made = propose(calm(), job)
    [start] = made.starts
    [sled] = start.placement.sled_ids

    def complaints(*jobs: Job, cordons: dict[str, Cordon] | None = None) -> tuple[str, ...]:
        return validate(made, calm(), jobs, cordons or {}, {}, SETTINGS)

    assert complaints() == ("a: is gone or cancelled",)
    assert complaints(replace(job, cancel_requested=True)) == ("a: is gone or cancelled",)
    rival = running(make_job("b", 1), (sled, (0,)))
    assert complaints(job, rival) == (f"a: chips of {sled} are taken",)
    assert complaints(job, cordons={sled: cordon(sled)}) == (f"a: {sled} may not get work now",)
    assert complaints(replace(job, attempt=1)) == ("a: has changed since the plan was made",)


jobs_of = st.lists(
    st.builds(
        make_job,
        job_id=st.uuids().map(str),
        chips=st.integers(1, 160),
        tensor_parallel=st.sampled_from([1, 2, 3, 4, 6, 8, 16]),
        priority=st.integers(0, 2),
        age_s=st.integers(0, 100),
    ),
    max_size=25,
    unique_by=lambda job: job.id,
)
CALM = calm()


@settings(max_examples=60)
@given(jobs_of, st.sets(st.sampled_from(CALM.fleet_map.sled_ids), max_size=30))
def test_every_plan_is_sound_complete_and_repeatable(jobs: list[Job], bad: set[str]) -> None:
    cordons = {sled: cordon(sled) for sled in bad}
    made = propose(CALM, *jobs, cordons=cordons)
    assert made == propose(CALM, *reversed(jobs), cordons=cordons)
    told = [start.job_id for start in made.starts] + [*made.reasons, *made.rejects]
    assert sorted(told) == sorted(job.id for job in jobs)
    chips = [
        (share.sled_id, chip)
        for start in made.starts
        for share in start.placement.shares
        for chip in share.chips
    ]
    assert len(chips) == len(set(chips))
    assert not bad & {sled for sled, _ in chips}
    groups = {job.id: job.tensor_parallel for job in jobs}
    for start in made.starts:
        group = groups[start.job_id]
        if group <= 4:
            assert all(len(share.chips) % group == 0 for share in start.placement.shares)


def mixed() -> FleetSnapshot:
    return SpokenFleet(mixed_map()).tick()


def test_a_gang_in_a_mixed_hall_stays_on_one_generation() -> None:
    jobs = [make_job(f"j{n}", 16, tensor_parallel=8) for n in range(8)]
    starts = propose(mixed(), *jobs).starts
    assert len(starts) == 8
    for start in starts:
        assert all(
            sled.startswith(start.placement.ultraserver_id + "/")
            for sled in start.placement.sled_ids
        )


def test_a_group_wider_than_a_narrow_sled_takes_whole_ones_there_and_part_of_a_wide_host() -> None:
    """Eight chips are two sleds of Gen2, but half a host of Trn2."""
    fleet = SpokenFleet(mixed_map())
    hosts = [sled for sled in fleet.fleet_map.sled_ids if sled[:7] not in {"h1/us01", "h1/us03"}]
    fleet.sled = {sled: {"junction_c": 99.0} for sled in hosts}
    half = propose(fleet.tick(), make_job("a", 8, tensor_parallel=8)).starts[0].placement
    assert [(share.sled_id, len(share.chips)) for share in half.shares] == [("h1/us03/r1/s01", 8)]
    fleet.sled = {sled: {"junction_c": 99.0} for sled in [*hosts, "h1/us03/r1/s01"]}
    whole = propose(fleet.tick(), make_job("a", 8, tensor_parallel=8)).starts[0].placement
    assert whole.ultraserver_id == "h1/us01"
    assert [len(share.chips) for share in whole.shares] == [4, 4]


def test_a_wafer_takes_other_work_last() -> None:
    [first] = propose(mixed(), make_job("a", 1)).starts
    assert first.placement.ultraserver_id != "h1/us02"
    fleet = SpokenFleet(mixed_map())
    others = [sled for sled in fleet.fleet_map.sled_ids if not sled.startswith("h1/us02/")]
    fleet.sled = {sled: {"junction_c": 99.0} for sled in others}
    [last] = propose(fleet.tick(), make_job("a", 1)).starts
    assert last.placement.ultraserver_id == "h1/us02"


def test_the_reason_of_a_gang_too_large_for_any_host_counts_by_each_ones_width() -> None:
    fleet = SpokenFleet(mixed_map())
    fleet.sled = {sled: {"junction_c": 99.0} for sled in fleet.fleet_map.sled_ids}
    made = propose(fleet.tick(), make_job("a", 24, tensor_parallel=8))
    assert "needs 24 chips in one UltraServer" in made.reasons["a"][0]
    assert any("144 on sleds that are too hot" in reason for reason in made.reasons["a"])
