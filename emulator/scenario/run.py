"""Runs a scenario on a clock that only the run itself moves."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from emulator.capacity import ImpossibleLoopError
from emulator.datacenter import World
from emulator.options import EmulatorOptions
from emulator.scenario.history import History
from emulator.scenario.placing import Shift, shifts_of
from emulator.scenario.recorder import ScenarioRecorder
from emulator.scenario.scenario import Scenario
from emulator.scenario.strike import faults_of
from fleet.clock import ManualClock
from fleet.errors import ConfigurationError, IsothermError
from fleet.topology import FleetMap


class ScenarioRun:
    """The same scenario, seed and code give the same run, byte for byte, at any speed.

    Raises ConfigurationError, with file and line where there is one, for a scenario that can not
    be run.
    """

    def __init__(
        self, scenario: Scenario, *, seed: int | None = None, record: Path | None = None
    ) -> None:
        """`seed` None: the scenario's own. `record`: a folder that holds no recording yet."""
        self.scenario = scenario
        self.seed = scenario.seed if seed is None else seed
        self.clock = ManualClock()
        self.history = History()
        world_rng, fault_rng = np.random.default_rng(self.seed).spawn(2)
        fleet_map = FleetMap(scenario.datacenter)
        self._shifts: list[Shift] = list(shifts_of(scenario.jobs, fleet_map))
        self.options = _options(scenario, self.seed)
        try:
            self.world = World(self.options, fleet_map, world_rng, self.clock)
        except ImpossibleLoopError as error:
            line = scenario.loops_at[error.loop]
            raise ConfigurationError(f"{scenario.file}:{line}: {error}") from None
        except IsothermError as error:
            raise ConfigurationError(f"{scenario.file}: {error}") from None
        pumps = self.world.loops.pumps
        self.faults = faults_of(scenario.faults, fleet_map, fault_rng, pumps=pumps)
        for fault in self.faults:
            self.world.inject(fault)
        self._recorder = (
            None
            if record is None
            else ScenarioRecorder(record, self.world, scenario, clock=self.clock, seed=self.seed)
        )

    @property
    def steps(self) -> int:
        return max(1, round(self.scenario.duration_s / self.options.step_s))

    def run(self) -> Iterator[float]:
        """Yields the emulated time after each step. Closes the recording at the end."""
        try:
            for _ in range(self.steps):
                self.step()
                yield self.world.now_s
        finally:
            if self._recorder is not None:
                self._recorder.close()

    def step(self) -> None:
        world, dt_s = self.world, self.options.step_s
        world.load_ratio = self.scenario.load.ratio_at(world.now_s)
        while self._shifts and self._shifts[0].at_s <= world.now_s:
            self._apply(self._shifts.pop(0))
        self.clock.advance(dt_s)
        world.step(dt_s)
        self.history.look(world, dt_s)
        if self._recorder is not None:
            self._recorder.tick()

    def _apply(self, shift: Shift) -> None:
        for sled, spec in shift.shares:
            requests = self.world.sled_requests(sled)
            if shift.starts:
                requests.start_job(spec)
            else:
                requests.stop_job(shift.job_id)


def _options(scenario: Scenario, seed: int) -> EmulatorOptions:
    options = EmulatorOptions(
        seed=seed,
        load_ratio=scenario.load.ratio_at(0.0),
        real_time=False,
    )
    return replace(options, **scenario.options)
