"""A scenario that happens in a world which somebody else steps: its load, faults and jobs."""

from dataclasses import replace

import numpy as np

from emulator.capacity import ImpossibleLoopError
from emulator.datacenter import World
from emulator.faults.fault import Fault
from emulator.options import EmulatorOptions
from emulator.runtime import EmulatorRuntime
from emulator.scenario.placing import Shift, shifts_of
from emulator.scenario.scenario import Scenario
from emulator.scenario.strike import faults_of
from fleet.clock import Clock
from fleet.errors import ConfigurationError
from fleet.topology import FleetMap


class ScenarioCourse:
    """Called before each step of a world, after `begin`.

    A load that people set stays until the scenario's own changes. With `places_jobs` its jobs are
    started first fit, as agents would; otherwise somebody else places them. ConfigurationError
    with file and line for jobs that have no room.
    """

    def __init__(self, scenario: Scenario, *, places_jobs: bool) -> None:
        self._scenario = scenario
        self._load_ratio: float | None = None
        fleet_map = FleetMap(scenario.datacenter)
        self._shifts: list[Shift] = list(shifts_of(scenario.jobs, fleet_map)) if places_jobs else []

    def begin(self, world: World, *, seed: int) -> tuple[Fault, ...]:
        """The faults, at places that are the same for a seed whoever steps the world.

        ConfigurationError with file and line for a place that the hall has not.
        """
        fault_rng = np.random.default_rng(seed).spawn(2)[1]
        pumps = world.loops.pumps
        faults = faults_of(self._scenario.faults, world.fleet_map, fault_rng, pumps=pumps)
        for fault in faults:
            world.inject(fault)
        return faults

    def __call__(self, world: World) -> None:
        ratio = self._scenario.load.ratio_at(world.now_s)
        if ratio != self._load_ratio:
            world.load_ratio = self._load_ratio = ratio
        while self._shifts and self._shifts[0].at_s <= world.now_s:
            _apply(self._shifts.pop(0), world)

    def refused(self, error: ImpossibleLoopError) -> ConfigurationError:
        """The same with the line of the loop."""
        line = self._scenario.loops_at[error.loop]
        return ConfigurationError(f"{self._scenario.file}:{line}: {error}")


def options_of(scenario: Scenario, given: EmulatorOptions) -> EmulatorOptions:
    """The scenario's options on top of what was given; a step stays a second, as agents read."""
    own = {name: value for name, value in scenario.options.items() if name != "step_s"}
    for name in ("trace", "weather"):
        if getattr(given, name) is not None:
            del own[name]
    # What multiplies is the caller's, what is multiplied the scenario's.
    backend, device = given.products.backend, given.products.device
    own["products"] = replace(own["products"], backend=backend, device=device)
    return replace(given, **own)


def played_runtime(
    scenario: Scenario, options: EmulatorOptions, clock: Clock, *, places_jobs: bool
) -> EmulatorRuntime:
    """A world on a clock in which the scenario happens; `options` are the caller's to take over.

    ConfigurationError with file and line for a hall that can not be, or a place that it has not.
    """
    course = ScenarioCourse(scenario, places_jobs=places_jobs)
    fleet_map = FleetMap(scenario.datacenter)
    try:
        runtime = EmulatorRuntime(options, fleet_map, clock, before_step=course)
    except ImpossibleLoopError as error:
        raise course.refused(error) from None
    course.begin(runtime.world, seed=options.seed)
    return runtime


def _apply(shift: Shift, world: World) -> None:
    for sled, spec in shift.shares:
        requests = world.sled_requests(sled)
        if shift.starts:
            requests.start_job(spec)
        else:
            requests.stop_job(shift.job_id)
