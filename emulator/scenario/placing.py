"""Jobs of a scenario on sleds, first fit, as agents would write them into the sleds' registers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from emulator.readings import JobSpec
from emulator.scenario.scenario import JobPlan
from fleet.errors import ConfigurationError
from fleet.topology import FleetMap


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A gang that starts or ends; `shares` are of the sleds by row."""

    at_s: float
    starts: bool
    job_id: str
    shares: tuple[tuple[int, JobSpec], ...]


def shifts_of(plans: Iterable[JobPlan], fleet_map: FleetMap) -> tuple[Shift, ...]:
    """All starts and ends in order of time, ends first.

    Everything is placed before the run begins. ConfigurationError names the scenario's line of a
    gang that finds no room.
    """
    free = _FreeChips(fleet_map)
    shifts: list[Shift] = []
    ends: list[Shift] = []
    for number, plan in enumerate(sorted(plans, key=lambda job: job.start_s)):
        for over in [shift for shift in ends if shift.at_s <= plan.start_s]:
            ends.remove(over)
            free.give_back(over.shares)
        job_id = f"{plan.name}-{number:03d}"
        shares = free.take(plan, job_id)
        shifts.append(Shift(at_s=plan.start_s, starts=True, job_id=job_id, shares=shares))
        if plan.duration_s is not None:
            end_s = plan.start_s + plan.duration_s
            ends.append(Shift(at_s=end_s, starts=False, job_id=job_id, shares=shares))
            shifts.append(ends[-1])
    return tuple(sorted(shifts, key=lambda shift: (shift.at_s, shift.starts)))


class _FreeChips:
    def __init__(self, fleet_map: FleetMap) -> None:
        self._fleet_map = fleet_map
        self._free = [list(range(int(chips))) for chips in fleet_map.chips_of_sled]

    def take(self, plan: JobPlan, job_id: str) -> tuple[tuple[int, JobSpec], ...]:
        """A gang never leaves its UltraServer."""
        most = 0
        for number, server in enumerate(self._fleet_map.ultraservers):
            if plan.generation not in (None, server.generation):
                continue
            span = self._fleet_map.sleds_in_ultraserver(number)
            free = sum(len(self._free[sled]) for sled in range(span.start, span.stop))
            if free >= plan.chips:
                return self._gang(plan, job_id, range(span.start, span.stop))
            most = max(most, free)
        of = f" of {plan.generation}" if plan.generation else ""
        raise ConfigurationError(
            f"{plan.where}: job {plan.name} wants {plan.chips} chips in one UltraServer{of} at"
            f" {plan.start_s:g} s; the most that one has free then is {most}"
        )

    def give_back(self, shares: Iterable[tuple[int, JobSpec]]) -> None:
        for sled, spec in shares:
            self._free[sled] = sorted([*self._free[sled], *spec.chips])

    def _gang(
        self, plan: JobPlan, job_id: str, sleds: Sequence[int]
    ) -> tuple[tuple[int, JobSpec], ...]:
        taken: dict[int, tuple[int, ...]] = {}
        wanted = plan.chips
        for sled in sleds:
            chips, self._free[sled] = self._free[sled][:wanted], self._free[sled][wanted:]
            if chips:
                taken[sled] = tuple(chips)
                wanted -= len(chips)
        gang = tuple(self._fleet_map.sled_ids[sled] for sled in taken)
        return tuple(
            (
                sled,
                JobSpec(
                    job_id=job_id,
                    attempt=1,
                    model=plan.model,
                    chips=chips,
                    tensor_parallel=plan.tensor_parallel,
                    gang=gang,
                ),
            )
            for sled, chips in taken.items()
        )
