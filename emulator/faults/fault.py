"""One fault: what breaks, where, how badly, how long, and how it grows."""

import math
from dataclasses import dataclass

from emulator.faults.catalogue import catalogue
from emulator.faults.course import Course
from emulator.faults.kinds import CourseKind, FaultKind
from emulator.faults.site import FaultSite, site_of
from fleet.errors import ConfigurationError
from fleet.topology import FleetMap


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`place` is written as the kind's `PlaceKind` says."""

    kind: FaultKind
    place: str
    severity: float | None = None
    """None: the kind's default."""
    start_s: float = 0.0
    """From injection, in emulated seconds."""
    duration_s: float | None = None
    """None: until cleared."""
    course: Course | None = None
    """None: the kind's own."""

    @property
    def strength(self) -> float:
        """When it is fully there."""
        return catalogue()[self.kind].default if self.severity is None else self.severity

    @property
    def growth(self) -> Course:
        return catalogue()[self.kind].course if self.course is None else self.course


def locate(fault: Fault, fleet_map: FleetMap, *, pumps: int) -> FaultSite:
    """Check a fault against the fleet; UnknownIdError or ConfigurationError, each one line."""
    spec, value = catalogue()[fault.kind], fault.strength
    if not (math.isfinite(value) and spec.low <= value <= spec.high):
        raise ConfigurationError(
            f"fault {fault.kind} at {fault.place}: severity {value} is outside"
            f" {spec.low:g}..{spec.high:g} {spec.unit}"
        )
    _check_times(fault)
    site = site_of(spec.place, fault.place, fleet_map, pumps=pumps)
    struck = {fleet_map.kind_of_loop[row] for row in site.loops_of(fleet_map)}
    if not struck & spec.loops:
        raise ConfigurationError(
            f"fault {fault.kind} at {fault.place}: nothing there is cooled in a way that it could"
            f" strike; it is for loops of kind {', '.join(sorted(spec.loops))}"
        )
    return site


def _check_times(fault: Fault) -> None:
    times = (fault.start_s, fault.duration_s or 0.0)
    if not all(math.isfinite(value) and value >= 0.0 for value in times):
        raise ConfigurationError(
            f"fault {fault.kind} at {fault.place}: start and duration must be 0 s or more"
        )
    fault.growth.validate()
    grows = fault.growth.kind in (CourseKind.RAMP, CourseKind.WEAR)
    if grows and catalogue()[fault.kind].all_or_nothing:
        raise ConfigurationError(
            f"fault {fault.kind} at {fault.place}: it is there or not, so its course is step or"
            f" intermittent, not {fault.growth.kind}"
        )
