from typing import Protocol

from emulator.readings import CduReadings, CduRequests, SledReadings, SledRequests
from fleet.topology import FleetMap


class WorldView(Protocol):
    """What devices may see of the world: `emulator.datacenter.World` has this shape. Rows are sleds
    and CDUs in FleetMap order.
    """

    fleet_map: FleetMap

    def sled_readings(self, row: int) -> SledReadings: ...
    def cdu_readings(self, row: int) -> CduReadings: ...
    def sled_requests(self, row: int) -> SledRequests: ...
    def cdu_requests(self, row: int) -> CduRequests: ...
