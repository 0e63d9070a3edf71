from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from emulator.models import MODELS
from emulator.readings import JobPhase, JobSpec
from emulator.serving.replica import BatchLimits
from emulator.serving.report import PriceSettings, ServingReport
from emulator.serving.services import Serving, Work
from emulator.serving.trace import TraceTable
from emulator.serving.traffic import GeneratedTraffic, Replay, Scaled
from emulator.skus import FleetSkus
from fleet.errors import ConfigurationError
from fleet.topology import FleetMap, IntArray, trn3_datacenter

FLEET = FleetMap(trn3_datacenter(ultraservers=1))
LIMITS = BatchLimits(max_batch=256, prefill_tokens=8_192, max_waiting=512)
USABLE = np.ones(FLEET.chips, dtype=np.bool_)
FULL_SPEED = np.ones(FLEET.chips)

Wanted = list[Mapping[str, JobSpec]]


def serving_of() -> Serving:
    rng = np.random.default_rng(5)
    return Serving(
        FLEET, FleetSkus(FLEET), LIMITS, lambda: Scaled(GeneratedTraffic(rng.spawn(1)[0]))
    )


def wanted_of(*specs: tuple[int, JobSpec]) -> Wanted:
    jobs: list[dict[str, JobSpec]] = [{} for _ in range(FLEET.sleds)]
    for sled, spec in specs:
        jobs[sled][spec.job_id] = spec
    return list(jobs)


def share(
    sleds: tuple[int, ...] = (0,),
    *,
    job_id: str = "job-1",
    model: str = "llama-3-8b",
    chips: tuple[int, ...] = (0, 1, 2, 3),
    tensor_parallel: int = 4,
    attempt: int = 1,
) -> JobSpec:
    return JobSpec(
        job_id=job_id,
        attempt=attempt,
        model=model,
        chips=chips,
        tensor_parallel=tensor_parallel,
        gang=tuple(FLEET.sled_ids[sled] for sled in sleds),
    )


def serve(serving: Serving, seconds: int, load_ratio: float = 0.8) -> list[Work]:
    return [
        serving.serve(
            float(second), 1.0, load_ratio=load_ratio, speed_ratio=FULL_SPEED, usable=USABLE
        )
        for second in range(seconds)
    ]


def test_a_gang_waits_until_every_sled_has_its_share() -> None:
    serving, spec = serving_of(), share((0, 3), tensor_parallel=8)

    serving.reconcile(wanted_of((0, spec)), 0.0)
    serve(serving, 1)
    (waiting,) = serving.running_jobs(0)
    serving.reconcile(wanted_of((0, spec), (3, spec)), 1.0)
    serve(serving, 1)
    (running,) = serving.running_jobs(3)

    assert waiting.state is JobPhase.WAITING
    assert running.state is JobPhase.RUNNING
    assert sorted(serving.shapes()) == [0, 1, 2, 3, 12, 13, 14, 15]


def test_shares_that_disagree_never_run_together() -> None:
    serving = serving_of()

    serving.reconcile(wanted_of((0, share((0, 1))), (1, share((0, 1), model="llama-3-70b"))), 0.0)

    assert serving.shapes() == {}


def test_a_new_attempt_starts_anew_and_the_same_again_changes_nothing() -> None:
    serving = serving_of()
    assert serving.reconcile(wanted_of((0, share())), 0.0)
    serve(serving, 3)
    before = serving.running_jobs(0)[0].completed_total

    assert not serving.reconcile(wanted_of((0, share())), 3.0)
    assert serving.running_jobs(0)[0].completed_total == before > 0
    assert serving.reconcile(wanted_of((0, share(attempt=2))), 3.0)
    assert serving.running_jobs(0)[0].completed_total == 0


def test_a_job_that_wants_chips_of_another_waits_until_they_are_free() -> None:
    serving = serving_of()
    first, second = share(chips=(0, 1), tensor_parallel=2), share(job_id="job-0")
    serving.reconcile(wanted_of((0, first)), 0.0)

    serving.reconcile(wanted_of((0, first), (0, second)), 1.0)
    serve(serving, 1)
    phases = {job.job_id: job.state for job in serving.running_jobs(0)}
    serving.reconcile(wanted_of((0, second)), 2.0)
    serve(serving, 1)

    assert phases == {"job-1": JobPhase.RUNNING, "job-0": JobPhase.WAITING}
    assert [job.state for job in serving.running_jobs(0)] == [JobPhase.RUNNING]


@pytest.mark.parametrize(("model", "tensor_parallel"), [("unheard-of", 4), ("llama-3.1-405b", 2)])
def test_a_model_that_is_unknown_or_too_big_fails(model: str, tensor_parallel: int) -> None:
    serving = serving_of()
    serving.reconcile(wanted_of((0, share(model=model, tensor_parallel=tensor_parallel))), 0.0)
    serve(serving, 1)

    assert serving.running_jobs(0)[0].state is JobPhase.FAILED


def test_load_is_the_share_of_the_capacity_that_runs() -> None:
    serving = serving_of()
    serving.reconcile(wanted_of((0, share()), (1, share((1,), job_id="job-2"))), 0.0)

    serve(serving, 60, load_ratio=0.5)

    done = sum(serving.running_jobs(sled)[0].requests_completed_total for sled in (0, 1))
    assert done / 60.0 == pytest.approx(0.5 * serving.capacity_per_s, rel=0.05)
    assert serving.refused_total == 0


def test_both_replicas_get_their_part_of_the_queue() -> None:
    serving = serving_of()
    serving.reconcile(wanted_of((0, share()), (1, share((1,), job_id="job-2"))), 0.0)

    serve(serving, 30)

    first, second = (serving.running_jobs(sled)[0].requests_completed_total for sled in (0, 1))
    assert first == pytest.approx(second, rel=0.1)


def test_running_and_waiting_requests_are_shown_where_a_replica_begins() -> None:
    serving = serving_of()
    spec = share((0, 1), tensor_parallel=8)
    serving.reconcile(wanted_of((0, spec), (1, spec)), 0.0)
    serve(serving, 30, load_ratio=2.0)
    first, second = (serving.running_jobs(sled)[0] for sled in (0, 1))
    assert first.requests_running > 0
    assert first.requests_waiting > 0
    assert first.requests_running + first.requests_waiting == serving.queued
    assert (second.requests_running, second.requests_waiting) == (0, 0)


def test_a_stopped_chip_takes_its_replica_down_and_leaves_the_other() -> None:
    serving = serving_of()
    serving.reconcile(wanted_of((0, share(chips=(0, 1, 2, 3), tensor_parallel=2))), 0.0)
    serve(serving, 3)
    usable = USABLE.copy()
    usable[3] = False

    work = serving.serve(3.0, 1.0, load_ratio=0.8, speed_ratio=FULL_SPEED, usable=usable)

    (job,) = serving.running_jobs(0)
    assert job.state is JobPhase.DEGRADED
    assert job.errors_total > 0
    assert (work.prefill_flop[:2] > 0.0).all()
    assert not work.prefill_flop[2:].any()


def test_a_memory_error_loses_the_requests_and_costs_a_reload() -> None:
    serving = serving_of()
    serving.reconcile(wanted_of((0, share())), 0.0)
    serve(serving, 3)
    failed = np.zeros(FLEET.chips, dtype=np.bool_)
    failed[1] = True

    serving.interrupt(failed, 13.0)
    during = serving.serve(3.0, 1.0, load_ratio=0.8, speed_ratio=FULL_SPEED, usable=USABLE)
    after = serving.serve(13.0, 2.0, load_ratio=0.8, speed_ratio=FULL_SPEED, usable=USABLE)

    assert serving.running_jobs(0)[0].errors_total > 0
    assert not during.prefill_flop.any()
    assert after.prefill_flop[:4].all()


def test_a_gang_runs_at_its_slowest_chip() -> None:
    slow_chip = FULL_SPEED.copy()
    slow_chip[2] = 0.5
    tpot = []
    for speed in (FULL_SPEED, slow_chip):
        serving = serving_of()
        serving.reconcile(wanted_of((0, share(model="llama-3-70b"))), 0.0)
        for second in range(40):
            serving.serve(float(second), 1.0, load_ratio=0.1, speed_ratio=speed, usable=USABLE)
        times = serving.running_jobs(0)[0].tpot_s
        assert times is not None
        tpot.append(times[0])

    assert tpot[1] == pytest.approx(2.0 * tpot[0], rel=0.2)


def test_execution_percentiles_are_ordered_and_counted_in_steps() -> None:
    serving = serving_of()
    serving.reconcile(wanted_of((0, share(model="llama-3-70b"))), 0.0)
    serve(serving, 5)

    (job,) = serving.running_jobs(0)

    assert job.latency_s is not None
    assert list(job.latency_s) == sorted(job.latency_s)
    assert job.latency_s[3] == pytest.approx(0.007, rel=0.4)  # decode steps are the most
    assert job.completed_total > 200


def test_weights_and_cache_are_held_on_the_chips() -> None:
    serving = serving_of()
    serving.reconcile(wanted_of((0, share(model="llama-3-70b"))), 0.0)

    used = serving.used_bytes()

    assert used[0] == pytest.approx(70.6e9 / 4, rel=0.01)
    assert not used[4:].any()


class BrokenFabric:
    """As fast for every group as is written here."""

    bytes_per_s = 1e12

    def collective_bytes_per_s(self, chips: IntArray) -> float:
        assert len(chips) > 1
        return self.bytes_per_s


def replay_of(count: int, *, prefix: tuple[int, ...] = ()) -> Replay:
    """A request a second of 1,200 tokens in and 50 out."""
    return Replay(
        TraceTable(
            at_s=np.arange(count, dtype=np.float64),
            prompt_tokens=np.full(count, 1_200),
            output_tokens=np.full(count, 50),
            blocks=(prefix,) * count if prefix else (),
            skipped=0,
            bad_lines=(),
        )
    )


def replaying(
    replay: Replay, fabric: BrokenFabric | None = None, fleet: FleetMap = FLEET
) -> Serving:
    return Serving(fleet, FleetSkus(fleet), LIMITS, lambda: replay, fabric)


def report_of(serving: Serving) -> ServingReport:
    return serving.report(chip_j=1e6, plant_j=2e6)


def split(*, decodes: int = 1) -> Wanted:
    """Sled 0 prefills, the next ones decode."""
    roles = ["prefill"] + ["decode"] * decodes
    return wanted_of(
        *(
            (sled, share((sled,), job_id=f"job-{sled}", model=f"llama-3-8b:{role}"))
            for sled, role in enumerate(roles)
        )
    )


def test_a_lost_replica_gives_its_requests_to_another() -> None:
    replay = replay_of(20)
    serving = replaying(replay)
    serving.reconcile(wanted_of((0, share()), (1, share((1,), job_id="job-2"))), 0.0)
    failed = np.zeros(FLEET.chips, dtype=np.bool_)
    failed[:8] = True
    serving.serve(0.0, 10.001, load_ratio=1.0, speed_ratio=FULL_SPEED, usable=USABLE)
    before = serving.queued
    serving.interrupt(failed, 12.0)
    usable = USABLE.copy()
    usable[0] = False

    for second in range(10, 40):
        serving.serve(float(second), 1.0, load_ratio=1.0, speed_ratio=FULL_SPEED, usable=usable)

    report = report_of(serving)
    assert before == report.retries > 0
    assert (report.arrived, report.completed, report.unfinished) == (20, 20, 0)
    assert (report.prompt_tokens, report.output_tokens) == (20 * 1_200, 20 * 50)


def test_requests_of_a_stopped_job_wait_for_the_next_replica() -> None:
    serving = replaying(replay_of(5))
    serving.reconcile(wanted_of((0, share())), 0.0)
    serving.serve(0.0, 0.001, load_ratio=1.0, speed_ratio=FULL_SPEED, usable=USABLE)
    serving.reconcile(wanted_of(), 0.001)
    for second in range(10):
        serving.serve(float(second), 1.0, load_ratio=1.0, speed_ratio=FULL_SPEED, usable=USABLE)
    assert (serving.queued, report_of(serving).completed) == (5, 0)

    serving.reconcile(wanted_of((3, share((3,)))), 10.0)
    serving.serve(10.0, 5.0, load_ratio=1.0, speed_ratio=FULL_SPEED, usable=USABLE)

    assert (serving.queued, report_of(serving).completed) == (0, 5)


def test_prefill_and_decode_on_chips_of_their_own() -> None:
    serving = replaying(replay_of(10))
    serving.reconcile(split(), 0.0)

    works = serve(serving, 15)

    report = report_of(serving)
    assert report.completed == 10
    assert report.moved_cache_bytes == 10 * 1_200 * MODELS["llama-3-8b"].context_bytes
    prefill = np.sum([work.prefill_flop for work in works], axis=0)
    decode = np.sum([work.decode_flop for work in works], axis=0)
    assert (prefill[:4] > 0.0).all()
    assert (decode[4:8] > 0.0).all()
    assert not prefill[4:].any()
    assert not decode[:4].any()


def test_a_cache_takes_its_time_to_move() -> None:
    """Over the network between UltraServers longer than over the fabric of one."""
    fleet = FleetMap(trn3_datacenter(ultraservers=2))
    tpot_s = []
    for decode_sled in (1, 36):
        serving = replaying(replay_of(5), fleet=fleet)
        jobs: list[dict[str, JobSpec]] = [{} for _ in range(fleet.sleds)]
        for sled, role in ((0, "prefill"), (decode_sled, "decode")):
            jobs[sled]["job"] = replace(
                share(job_id=role, model=f"llama-3-8b:{role}", chips=(0,), tensor_parallel=1),
                gang=(fleet.sled_ids[sled],),
            )
        serving.reconcile(list(jobs), 0.0)
        for second in range(10):
            serving.serve(
                float(second),
                1.0,
                load_ratio=1.0,
                speed_ratio=np.ones(fleet.chips),
                usable=np.ones(fleet.chips, dtype=np.bool_),
            )
        tpot_s.append(report_of(serving).tpot.p50_s)

    sku = FleetSkus(fleet).of_chip(0)
    cache_bytes = 1_200 * MODELS["llama-3-8b"].context_bytes
    longer_s = cache_bytes / sku.efa_bytes_per_s - cache_bytes / sku.link_bytes_per_s
    # Percentiles are within 1 %, and the difference is that of two large numbers.
    assert 49 * (tpot_s[1] - tpot_s[0]) == pytest.approx(longer_s, abs=49 * 0.02 * tpot_s[0])
    assert tpot_s[1] > tpot_s[0]


def test_without_a_replica_that_decodes_no_prompt_is_begun() -> None:
    serving = replaying(replay_of(3))
    serving.reconcile(split(decodes=0), 0.0)

    works = serve(serving, 5)

    assert not any(work.prefill_flop.any() for work in works)
    assert serving.queued == 3


def test_a_decode_replica_that_fails_on_the_way_costs_a_retry_only() -> None:
    serving = replaying(replay_of(8))
    serving.reconcile(split(decodes=2), 0.0)
    failed = np.zeros(FLEET.chips, dtype=np.bool_)
    failed[4:12] = True

    for second in range(40):
        serving.serve(second / 2.0, 0.5, load_ratio=1.0, speed_ratio=FULL_SPEED, usable=USABLE)
        if second % 5 == 4:
            serving.interrupt(failed, second / 2.0 + 1.0)

    assert (report_of(serving).completed, serving.queued) == (8, 0)


def test_a_group_that_is_cut_off_serves_nothing_until_it_is_mended() -> None:
    fabric = BrokenFabric()
    serving = replaying(replay_of(10), fabric)
    serving.reconcile(wanted_of((0, share())), 0.0)
    serve(serving, 2)
    fabric.bytes_per_s = 0.0
    cut = serving.serve(2.0, 5.0, load_ratio=1.0, speed_ratio=FULL_SPEED, usable=USABLE)
    phase = serving.running_jobs(0)[0].state
    fabric.bytes_per_s = 1e12
    serving.serve(7.0, 8.0, load_ratio=1.0, speed_ratio=FULL_SPEED, usable=USABLE)

    assert not cut.prefill_flop.any()
    assert phase is JobPhase.FAILED
    assert (report_of(serving).completed, serving.queued) == (10, 0)


def test_a_slow_fabric_slows_running_replicas_at_once() -> None:
    fabric = BrokenFabric()
    serving = replaying(replay_of(20), fabric)
    serving.reconcile(wanted_of((0, share())), 0.0)
    serve(serving, 5)
    before = serving.running_jobs(0)[0].latency_s
    fabric.bytes_per_s = 1e9
    serving.serve(5.0, 1.0, load_ratio=1.0, speed_ratio=FULL_SPEED, usable=USABLE)
    after = serving.running_jobs(0)[0].latency_s

    assert before is not None
    assert after is not None
    assert after[3] > 1.5 * before[3]


def test_a_known_prefix_is_not_computed_again_and_draws_requests_to_it() -> None:
    plain, warm = replaying(replay_of(10)), replaying(replay_of(10, prefix=(7, 8)))
    flop = []
    for serving in (plain, warm):
        serving.reconcile(wanted_of((0, share()), (1, share((1,), job_id="job-2"))), 0.0)
        flop.append(sum(work.prefill_flop.sum() for work in serve(serving, 12)))

    report = report_of(warm)
    # The first request pays for 1,200 tokens, the others for the 176 behind two blocks.
    assert report.prefix_hit_ratio == pytest.approx(9 * 1_024 / (10 * 1_200))
    assert flop[1] / flop[0] == pytest.approx((1_200 + 9 * 176) / 12_000, rel=0.05)


def test_cost_and_tokens_per_joule_follow_from_energy_and_time() -> None:
    serving = replaying(replay_of(10))
    serving.reconcile(wanted_of((0, share())), 0.0)
    serve(serving, 20)

    report = serving.report(
        chip_j=1e5,
        plant_j=3.6e6,
        prices=PriceSettings(usd_per_kwh=0.1, usd_per_chip_hour=1.8),
    )

    assert report.output_tokens == 500
    assert report.tokens_per_chip_j == pytest.approx(500 / 1e5)
    assert report.tokens_per_plant_j == pytest.approx(500 / 3.6e6)
    # One kWh and four chips for 20 s.
    assert report.usd_per_million_tokens == pytest.approx((0.1 + 0.04) * 1e6 / 500)
    assert report.output_tokens_per_s == pytest.approx(25.0)


def test_chips_cost_what_their_generation_does_unless_a_price_is_given() -> None:
    serving = replaying(replay_of(10))
    serving.reconcile(wanted_of((0, share())), 0.0)
    serve(serving, 20)
    per_chip_hour = FleetSkus(FLEET).settings[0].chip.usd_per_chip_hour
    own, given = (
        serving.report(chip_j=0.0, plant_j=0.0, prices=prices).usd_per_million_tokens
        for prices in (None, PriceSettings(usd_per_chip_hour=2.0 * per_chip_hour))
    )
    # Four chips for 20 s, and 500 tokens.
    assert own == pytest.approx(4 * 20 / 3600 * per_chip_hour * 1e6 / 500)
    assert given == pytest.approx(2.0 * own)


@pytest.mark.parametrize("price", [-0.1, float("nan"), float("inf")])
def test_a_price_that_is_none_is_refused(price: float) -> None:
    with pytest.raises(ConfigurationError, match="usd_per_kwh"):
        PriceSettings(usd_per_kwh=price)
