"""The registry of detectors: one line each."""

from collections.abc import Callable
from typing import Final

from controller.anomaly.detector import Detector
from controller.anomaly.detectors.ecc import EccDetector
from controller.anomaly.detectors.guard import GuardDetector
from controller.anomaly.detectors.leak import LeakDetector
from controller.anomaly.detectors.plate import PlateDetector
from controller.anomaly.detectors.staleness import StalenessDetector
from controller.anomaly.detectors.threshold import ThresholdDetector
from fleet.topology import FleetMap

DETECTORS: Final[dict[str, Callable[[FleetMap], Detector]]] = {
    "threshold": ThresholdDetector,
    "staleness": StalenessDetector,
    "leak": LeakDetector,
    "ecc": EccDetector,
    "plate": PlateDetector,
    "guard": GuardDetector,
}


def build_detectors(fleet_map: FleetMap) -> tuple[Detector, ...]:
    """One of each, with default settings."""
    return tuple(build(fleet_map) for build in DETECTORS.values())
