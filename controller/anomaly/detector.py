from typing import Protocol

from controller.anomaly.finding import Finding
from controller.state.snapshot import FleetSnapshot


class Detector(Protocol):
    """Reads one snapshot a cycle, in order of time; may remember earlier ones.

    The same snapshots always give the same findings. A finding is repeated each cycle for as long
    as it holds.
    """

    def observe(self, snapshot: FleetSnapshot) -> list[Finding]: ...
