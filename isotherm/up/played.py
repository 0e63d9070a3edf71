"""A scenario played on a data center that is controlled: its hall, load, faults and jobs."""

from dataclasses import replace

import numpy as np

from emulator.capacity import ImpossibleLoopError
from emulator.datacenter import World
from emulator.options import EmulatorOptions
from emulator.scenario.scenario import Scenario
from emulator.scenario.strike import faults_of
from fleet.errors import ConfigurationError
from isotherm.up.demo import DemoJob


class ScenarioCourse:
    """Lets a scenario's faults and load happen in a world that somebody else steps.

    Called before each step. A load that people set stays until the scenario's own changes.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._load_ratio: float | None = None

    def begin(self, world: World) -> None:
        """ConfigurationError with file and line for a place that the hall has not."""
        rng = np.random.default_rng(world.options.seed)
        pumps = world.loops.pumps
        for fault in faults_of(self._scenario.faults, world.fleet_map, rng, pumps=pumps):
            world.inject(fault)

    def __call__(self, world: World) -> None:
        ratio = self._scenario.load.ratio_at(world.now_s)
        if ratio != self._load_ratio:
            world.load_ratio = self._load_ratio = ratio

    def refused(self, error: ImpossibleLoopError) -> ConfigurationError:
        """The same with the line of the loop."""
        line = self._scenario.loops_at[error.loop]
        return ConfigurationError(f"{self._scenario.file}:{line}: {error}")


def jobs_of(scenario: Scenario) -> tuple[DemoJob, ...]:
    """For the API, which places them itself: a wish for a generation is not among what it takes."""
    return tuple(
        DemoJob(
            name=plan.name,
            model=plan.model,
            chips=plan.chips,
            tensor_parallel=plan.tensor_parallel,
            start_s=plan.start_s,
            end_s=None if plan.duration_s is None else plan.start_s + plan.duration_s,
        )
        for plan in scenario.jobs
    )


def options_of(scenario: Scenario, given: EmulatorOptions) -> EmulatorOptions:
    """The scenario's options on top of what was given; a step stays a second, as agents read."""
    own = {name: value for name, value in scenario.options.items() if name != "step_s"}
    for name in ("trace", "weather"):
        if getattr(given, name) is not None:
            del own[name]
    return replace(given, **own)
