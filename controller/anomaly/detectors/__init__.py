"""The registry of detectors: one line each."""

from collections.abc import Callable
from typing import Final

from controller.anomaly.detector import Detector
from fleet.topology import FleetMap

DETECTORS: Final[dict[str, Callable[[FleetMap], Detector]]] = {}


def build_detectors(fleet_map: FleetMap) -> tuple[Detector, ...]:
    """One of each, with default settings."""
    return tuple(build(fleet_map) for build in DETECTORS.values())
