"""Runs a scenario on a clock that only the run itself moves."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from emulator.capacity import ImpossibleLoopError
from emulator.datacenter import World
from emulator.options import EmulatorOptions
from emulator.scenario.course import ScenarioCourse
from emulator.scenario.history import History
from emulator.scenario.recorder import ScenarioRecorder
from emulator.scenario.scenario import Scenario
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
        world_rng = np.random.default_rng(self.seed).spawn(2)[0]
        self._course = ScenarioCourse(scenario, places_jobs=True)
        self.options = _options(scenario, self.seed)
        try:
            self.world = World(self.options, FleetMap(scenario.datacenter), world_rng, self.clock)
        except ImpossibleLoopError as error:
            raise self._course.refused(error) from None
        except IsothermError as error:
            raise ConfigurationError(f"{scenario.file}: {error}") from None
        self.faults = self._course.begin(self.world, seed=self.seed)
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
        self._course(world)
        self.clock.advance(dt_s)
        world.step(dt_s)
        self.history.look(world, dt_s)
        if self._recorder is not None:
            self._recorder.tick()


def _options(scenario: Scenario, seed: int) -> EmulatorOptions:
    options = EmulatorOptions(
        seed=seed,
        load_ratio=scenario.load.ratio_at(0.0),
        real_time=False,
    )
    return replace(options, **scenario.options)
