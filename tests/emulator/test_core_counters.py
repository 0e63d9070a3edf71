from dataclasses import replace

import numpy as np

from emulator.core_counters import CoreCounters
from emulator.readings import CoreCounts, RunningJob
from fleet.topology import FleetMap, trn3_datacenter
from tests.emulator.devices.builders import running_job

MAP = FleetMap(trn3_datacenter(ultraservers=1))


class Bench:
    def __init__(self) -> None:
        self.counters = CoreCounters(MAP)
        self.powered = np.ones(MAP.sleds, dtype=np.bool_)

    def step(self, *jobs: RunningJob, memory_bytes: int = 7, dt_s: float = 0.5) -> CoreCounts:
        """One step in which every chip works at half its speed; of the second sled."""
        held: list[tuple[RunningJob, ...]] = [()] * MAP.sleds
        held[1] = jobs
        return self.counters.take(
            dt_s,
            flop_per_s=np.full(MAP.chips, 5e14),
            busy_ratio=np.full(MAP.chips, 0.5),
            memory_bytes=[memory_bytes] * MAP.chips,
            jobs=held,
            powered=self.powered,
        )[1]


def test_work_and_time_add_up() -> None:
    bench = Bench()
    for _ in range(4):
        seen = bench.step()
    assert seen.flop_total == (10**15,) * 4
    assert seen.busy_us_total == (1_000_000,) * 4


def test_what_ended_jobs_did_is_kept_and_models_are_counted() -> None:
    bench = Bench()
    first = running_job(chips=(0, 1), completed_total=10, errors_total=1)
    bench.step(first)
    bench.step(replace(first, completed_total=30, errors_total=2))
    again = bench.step(running_job(chips=(1, 2), attempt=2, completed_total=5, errors_total=0))
    assert again.completed_total == (30, 35, 5, 0)
    assert again.failed_total == (2, 2, 0, 0)
    assert again.model_loads_total == (1, 2, 1, 0)
    assert bench.step().completed_total == (30, 35, 5, 0)


def test_peaks_stay_until_the_driver_is_loaded_again() -> None:
    bench = Bench()
    job = running_job(chips=(2, 3), host_bytes=100)
    bench.step(job, memory_bytes=50)
    low = bench.step(memory_bytes=20)
    assert low.device_memory_peak_bytes == (50,) * 4
    assert (low.host_memory_bytes, low.host_memory_peak_bytes) == ((0,) * 4, (0, 0, 100, 0))
    bench.powered[1] = False
    bench.step(memory_bytes=0, dt_s=0.0)
    bench.powered[1] = True
    fresh = bench.step(dt_s=0.0)
    assert fresh.device_memory_peak_bytes == (7,) * 4
    assert fresh.flop_total == fresh.busy_us_total == fresh.completed_total == (0,) * 4
    assert fresh.host_memory_peak_bytes == fresh.model_loads_total == (0,) * 4
