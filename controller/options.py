from dataclasses import dataclass, field, replace
from pathlib import Path

from controller.chores.settings import ChoreSettings
from controller.cooling.settings import CoolingSettings, LawName, ResetSettings
from controller.enrolment.settings import EnrolmentSettings
from controller.incidents.settings import IncidentSettings
from controller.ingest.consume import IngestSettings
from controller.notify.deliver import DeliverySettings
from controller.placement.reconcile import ReconcileSettings
from controller.placement.settings import PlacementSettings
from controller.remote_write.settings import RemoteWriteSettings
from controller.store.leadership import LeaseSettings
from fleet.errors import ConfigurationError
from fleet.topology import FleetMap, LoopKind

CDU_PATIENCE_S = 10.0
"""A CDU in remote mode that is not written for so long takes over by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerOptions:
    """How one controller runs. Controllers on one bus and one store share the cooling loops."""

    holder: str = "controller"
    """Name in the leases; two controllers that run at the same time need two names."""
    cycle_s: float = 1.0
    command_s: float = 5.0
    """A set-point is good for this long after it was sent."""
    job_command_s: float = 5.0
    """A command to start or stop a job's share is good for this long."""
    supply_c: float = 40.0
    """Set-point of every loop; racks take 17 to 45 °C."""
    reset_supply: bool = False
    """Whether a slow layer moves set-points to what is cheapest within their margins."""
    external_url: str = "http://127.0.0.1:8080"
    """Where people reach the web page; notifications link there."""
    cooling: CoolingSettings | None = None
    """None: sized for the chips of each loop."""
    law: LawName | None = None
    """Which law moves the loops; None: the one that the cooling settings name."""
    decisions_dir: Path | None = None
    """Where cooling decisions are kept to be replayed; None keeps none. About 7 kB a second for
    each loop."""
    decisions_keep_hours: int = 24
    incidents: IncidentSettings = field(default_factory=IncidentSettings)
    placement: PlacementSettings = field(default_factory=PlacementSettings)
    reconcile: ReconcileSettings = field(default_factory=ReconcileSettings)
    ingest: IngestSettings = field(default_factory=IngestSettings)
    delivery: DeliverySettings = field(default_factory=DeliverySettings)
    lease: LeaseSettings = field(default_factory=LeaseSettings)
    enrolment: EnrolmentSettings = field(default_factory=EnrolmentSettings)
    chores: ChoreSettings = field(default_factory=ChoreSettings)
    remote_write: RemoteWriteSettings | None = None
    """None: nothing is pushed."""

    def validate(self, fleet_map: FleetMap) -> None:
        """Raises ConfigurationError naming the option that can not be used."""
        self._check_times()
        if self.decisions_keep_hours < 1:
            raise ConfigurationError("decisions_keep_hours must be at least 1")
        self.chores.validate(self.ingest.behind_s)
        self.enrolment.validate(fleet_map)
        if self.remote_write is not None:
            self.remote_write.validate()
        shell = self.cooling_of(fleet_map.chips).shell
        if not shell.supply_least_c <= self.supply_c <= shell.supply_most_c:
            raise ConfigurationError(
                f"supply_c: {self.supply_c:g} is outside "
                f"{shell.supply_least_c:g} to {shell.supply_most_c:g} °C"
            )
        if not self.external_url.startswith(("http://", "https://")):
            raise ConfigurationError(f"external_url: {self.external_url!r} is not a web address")

    def _check_times(self) -> None:
        if not 0.05 <= self.cycle_s <= 5.0:
            raise ConfigurationError(f"cycle_s: {self.cycle_s:g} is outside 0.05 to 5 s")
        if not 2 * self.cycle_s <= self.command_s <= CDU_PATIENCE_S:
            raise ConfigurationError(
                f"command_s: {self.command_s:g} must be at least two cycles and at most "
                f"{CDU_PATIENCE_S:g} s, after which a CDU takes over"
            )
        lease = self.lease
        if not 0 < lease.renew_s < lease.length_s - lease.margin_s < lease.length_s:
            raise ConfigurationError(
                "lease: renew_s must be above 0 and below length_s less margin_s, "
                "and margin_s above 0"
            )

    def cooling_of(
        self, plates: int, kind: LoopKind = LoopKind.LIQUID_TO_LIQUID
    ) -> CoolingSettings:
        """Settings of a loop of so many cold plates of 1 kW."""
        cooling = self.cooling or CoolingSettings.sized(plates, kind)
        return replace(
            cooling,
            law=self.law or cooling.law,
            policy=replace(cooling.policy, supply_c=self.supply_c),
            reset=ResetSettings() if self.reset_supply else cooling.reset,
        )
