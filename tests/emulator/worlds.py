"""A small hall on a hand-driven clock."""

from dataclasses import dataclass, field

import numpy as np

from emulator.datacenter import World
from emulator.options import EmulatorOptions
from emulator.readings import JobSpec
from emulator.sensing import SensorFault
from fleet.clock import ManualClock
from fleet.metrics import BY_NAME
from fleet.topology import FleetMap, trn3_datacenter
from thermal.arrays import FloatArray


@dataclass
class PlainSensors:
    """Sensors that show the truth, and remember which were broken."""

    broken: dict[tuple[str, int], SensorFault] = field(default_factory=dict)

    def read(self, metric: str, truth: FloatArray, dt_s: float) -> FloatArray:
        assert metric in BY_NAME
        assert dt_s >= 0.0
        return np.asarray(truth, dtype=np.float64)

    def set_fault(self, metric: str, row: int, fault: SensorFault | None) -> None:
        self.broken.pop((metric, row), None)
        if fault is not None:
            self.broken[metric, row] = fault


@dataclass
class SmallHall:
    world: World
    clock: ManualClock
    sensors: PlainSensors

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1.0)
            self.world.step(1.0)

    def submit(
        self,
        job_id: str,
        sleds: list[int],
        *,
        model: str = "llama-3-8b",
        tensor_parallel: int = 4,
        chips: tuple[int, ...] = (0, 1, 2, 3),
        attempt: int = 1,
    ) -> None:
        gang = tuple(self.world.fleet_map.sled_ids[sled] for sled in sleds)
        for sled in sleds:
            self.world.sled_requests(sled).start_job(
                JobSpec(
                    job_id=job_id,
                    attempt=attempt,
                    model=model,
                    chips=chips,
                    tensor_parallel=tensor_parallel,
                    gang=gang,
                )
            )


def small_hall(*, seed: int = 1, load_ratio: float = 0.5, settle_s: float = 60.0) -> SmallHall:
    """One UltraServer of 144 chips with sensors that show the truth."""
    clock, sensors = ManualClock(), PlainSensors()
    world = World(
        EmulatorOptions(load_ratio=load_ratio, settle_s=settle_s, emulated_peak_flop_per_s=5e6),
        FleetMap(trn3_datacenter(ultraservers=1)),
        np.random.default_rng(seed),
        clock,
        sensors=sensors,
    )
    return SmallHall(world=world, clock=clock, sensors=sensors)
