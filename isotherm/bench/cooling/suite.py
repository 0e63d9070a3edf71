"""Runs scenarios with the controllers that are asked for, and lays them side by side."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from controller.cooling.settings import LawName
from isotherm.bench.cooling import (
    energy,
    facility_water,
    fleet_scale,
    hand_over,
    leaks,
    load_steps,
    pumps,
    sensors,
    split_brain,
    wear,
)
from isotherm.bench.cooling.page import write_page
from isotherm.bench.cooling.scenario import Outcome, Scenario, Trial
from isotherm.bench.report import Case, CaseRun

SCORED: Final = LawName.MPC
"""Whose figures are held against the targets."""
SCENARIOS: Final[Mapping[str, Scenario]] = {
    scenario.id: scenario
    for scenario in sorted(
        (
            *load_steps.SCENARIOS,
            *pumps.SCENARIOS,
            *facility_water.SCENARIOS,
            *sensors.SCENARIOS,
            *hand_over.SCENARIOS,
            *fleet_scale.SCENARIOS,
            *energy.SCENARIOS,
            *leaks.SCENARIOS,
            *wear.SCENARIOS,
            *split_brain.SCENARIOS,
        ),
        key=lambda scenario: int(scenario.id[1:]),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the command line may choose."""

    laws: tuple[LawName, ...] = tuple(LawName)
    plants: int = 200
    report: Path | None = None
    """Folder for figures, traces as CSV, and a page."""
    told: Callable[[str], None] = lambda _line: None
    """Hears what begins to run."""
    outcomes: dict[str, dict[LawName, Outcome]] = field(default_factory=dict)
    """What has run so far."""
    conditions: list[str] = field(default_factory=list)
    """Under which, as words for the page."""


def cases(choice: Choice) -> Mapping[str, CaseRun]:
    """Every scenario as a case of the suite."""
    return {name: partial(_case, choice, scenario) for name, scenario in SCENARIOS.items()}


def finish(choice: Choice) -> None:
    """Write the page, once all has run."""
    if choice.report is not None:
        write_page(choice.report, SCENARIOS, choice.outcomes, "; ".join(choice.conditions))


def _case(choice: Choice, scenario: Scenario, quick: bool, seed: int) -> Case:
    length = "quick" if quick else "full length"
    choice.conditions[:] = [f"Seed {seed}", length, f"{choice.plants} random plants in C19"]
    outcomes = {}
    for law in choice.laws:
        choice.told(f"{scenario.id} {law.value}: {scenario.title}")
        trial = Trial(law=law, seed=seed, quick=quick, plants=choice.plants)
        outcomes[law] = scenario.run(trial)
    choice.outcomes[scenario.id] = outcomes
    shown = SCORED if SCORED in outcomes else choice.laws[0]
    return Case(
        id=scenario.id,
        title=scenario.title,
        metrics=outcomes[shown].metrics,
        target=scenario.target if shown is SCORED else {},
        beside={
            law.value: outcome.metrics for law, outcome in outcomes.items() if law is not shown
        },
        reason=outcomes[shown].reason,
    )


def laws_named(names: Iterable[str]) -> tuple[LawName, ...]:
    """`all`, or names of laws. Raises ValueError for a name that is none."""
    wanted = list(names)
    return tuple(LawName) if wanted == ["all"] else tuple(map(LawName, wanted))
