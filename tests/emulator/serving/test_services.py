from collections.abc import Mapping

import numpy as np
import pytest

from emulator.readings import JobPhase, JobSpec
from emulator.serving.replica import BatchLimits
from emulator.serving.services import Serving, Work
from emulator.serving.traffic import GeneratedTraffic, Scaled
from emulator.skus import FleetSkus
from fleet.topology import FleetMap, trn3_datacenter

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
