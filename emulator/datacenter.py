"""The world: requests become products, products become heat, heat becomes coolant temperature."""

import numpy as np

from emulator.faults import Fault, FaultKind
from emulator.options import EmulatorOptions
from emulator.readings import CduReadings, CduRequests, SledReadings, SledRequests
from fleet.clock import Clock
from fleet.topology import FleetMap


class World:
    """One hall. Rows are sleds and CDUs in FleetMap order."""

    def __init__(
        self,
        options: EmulatorOptions,
        fleet_map: FleetMap,
        rng: np.random.Generator,
        clock: Clock,
    ) -> None:
        self.fleet_map = fleet_map
        self.load_ratio = options.load_ratio
        self._clock = clock

    def step(self, dt_s: float) -> None:
        """Advance the world by `dt_s` emulated seconds."""
        raise NotImplementedError

    def sled_readings(self, row: int) -> SledReadings:
        raise NotImplementedError

    def cdu_readings(self, row: int) -> CduReadings:
        raise NotImplementedError

    def sled_requests(self, row: int) -> SledRequests:
        raise NotImplementedError

    def cdu_requests(self, row: int) -> CduRequests:
        raise NotImplementedError

    def inject(self, fault: Fault) -> None:
        """UnknownIdError for a place that is not in the fleet, ConfigurationError for a severity
        outside the kind's span.
        """
        raise NotImplementedError

    def clear(self, kind: FaultKind, place: str) -> None:
        raise NotImplementedError

    def faults(self) -> tuple[Fault, ...]:
        raise NotImplementedError
