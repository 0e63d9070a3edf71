"""The jobs of a scenario on a data center that is controlled."""

from emulator.scenario.scenario import Scenario
from isotherm.up.demo import DemoJob


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
