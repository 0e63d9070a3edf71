from dataclasses import dataclass, field

from controller.state.health import HealthSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementSettings:
    """Where new work may go."""

    health: HealthSettings = field(default_factory=HealthSettings)
    junction_most_c: float = 80.0
    """Estimate: hottest chip of a sled that may get work; throttling starts at 90 °C."""
    inlet_most_c: float = 46.0
    """Racks are specified for a supply of up to 45 °C (GB300, Vera Rubin)."""
    heat_step_k: float = 2.0
    """Estimate: UltraServers whose mean junctions differ by less are equally cool."""
    lost_share_s: float = 20.0
    """Estimate: a share that its sled does not show so long after the start has ended. A runtime
    shows up in the second after it was started.
    """
    servers_explained: int = 3
    """So many UltraServers are named in the reasons of a job that waits."""
