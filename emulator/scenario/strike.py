"""The faults of a scenario at the places of its hall."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from emulator.faults.catalogue import catalogue
from emulator.faults.fault import Fault, locate
from emulator.faults.kinds import PlaceKind
from emulator.scenario.scenario import FaultPlan
from fleet.errors import ConfigurationError, IsothermError
from fleet.metrics import BY_NAME, Scope
from fleet.topology import FleetMap

RANDOM: Final = "random"


def faults_of(
    plans: Sequence[FaultPlan], fleet_map: FleetMap, rng: np.random.Generator, *, pumps: int
) -> tuple[Fault, ...]:
    """Checked against the fleet; ConfigurationError names the scenario's line."""
    found: list[Fault] = []
    for plan, generator in zip(plans, rng.spawn(len(plans)), strict=True):
        try:
            for place in _places(plan, fleet_map, generator, pumps=pumps):
                fault = Fault(
                    kind=plan.kind,
                    place=place,
                    severity=plan.severity,
                    start_s=plan.start_s,
                    duration_s=plan.duration_s,
                    course=plan.course,
                )
                locate(fault, fleet_map, pumps=pumps)
                found.append(fault)
        except IsothermError as error:
            raise ConfigurationError(f"{plan.where}: {plan.kind}: {error}") from None
    return tuple(found)


def _places(
    plan: FaultPlan, fleet_map: FleetMap, rng: np.random.Generator, *, pumps: int
) -> Sequence[str]:
    owner, _, part = plan.place.partition("#")
    if owner != RANDOM:
        return [plan.place]
    kind = catalogue()[plan.kind].place
    if kind is PlaceKind.PUMP:
        ids: Sequence[str] = [
            f"{cdu}#{pump}" for cdu in fleet_map.cdu_ids for pump in range(1, pumps + 1)
        ]
    else:
        ids = _CANDIDATES[kind](fleet_map, part)
    if plan.count > len(ids):
        raise ConfigurationError(f"count {plan.count}: the hall has {len(ids)} such places")
    drawn = rng.choice(len(ids), size=plan.count, replace=False)
    suffix = f"#{part}" if part else ""
    return [f"{ids[row]}{suffix}" for row in sorted(drawn.tolist())]


def _sensor_owners(fleet_map: FleetMap, metric: str) -> Sequence[str]:
    spec = BY_NAME.get(metric)
    if spec is None:
        raise ConfigurationError(f"place {RANDOM}#{metric}: write a metric behind #")
    if spec.scope is Scope.CHIP:
        return fleet_map.chip_ids
    return fleet_map.sled_ids if spec.scope is Scope.SLED else fleet_map.cdu_ids


_CANDIDATES: Final[Mapping[PlaceKind, Callable[[FleetMap, str], Sequence[str]]]] = {
    PlaceKind.CHIP: lambda fleet_map, _: fleet_map.chip_ids,
    PlaceKind.LINK: lambda fleet_map, _: fleet_map.chip_ids,
    PlaceKind.SLED: lambda fleet_map, _: fleet_map.sled_ids,
    PlaceKind.SWITCH: lambda fleet_map, _: fleet_map.sled_ids,
    PlaceKind.GROUP: lambda fleet_map, _: fleet_map.sled_ids,
    PlaceKind.CDU: lambda fleet_map, _: fleet_map.cdu_ids,
    PlaceKind.SENSOR: _sensor_owners,
}
