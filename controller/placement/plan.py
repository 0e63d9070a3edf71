from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.placement.job import Cordon, Job, Plan
from controller.state.snapshot import FleetSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementSettings:
    """Limits of where new work may go. All are estimates."""


def plan(
    snapshot: FleetSnapshot,
    jobs: Iterable[Job],
    cordons: Mapping[str, Cordon],
    troubled: Mapping[str, str],
    settings: PlacementSettings,
) -> Plan:
    """Propose starts, stops and moves; deterministic, and nothing is changed.

    `cordons` by sled id; `troubled` gives for a sled the open critical incident on it.
    """
    raise NotImplementedError


def validate(
    proposal: Plan,
    snapshot: FleetSnapshot,
    jobs: Iterable[Job],
    cordons: Mapping[str, Cordon],
    troubled: Mapping[str, str],
    settings: PlacementSettings,
) -> tuple[str, ...]:
    """Why the plan must not be committed on this (newer) state; empty when it may."""
    raise NotImplementedError
