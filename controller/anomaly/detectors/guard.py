"""An agent's own guard has acted: the sled protects itself and works no more, or little."""

from typing import Final

import numpy as np

from controller.anomaly.finding import Family, Finding, Place, Severity
from controller.anomaly.wording import Rule, find
from controller.state.snapshot import FleetSnapshot
from fleet.metrics import STATES
from fleet.topology import FleetMap

_SHED: Final = Rule(
    name="guard_shed",
    family=Family.COOLING,
    severity=Severity.CRITICAL,
    place=Place.SLED,
    text="The guard of {subject} has cut its power to a fifth",
    consequence="Its jobs crawl; without a remedy it powers the sled off.",
    action="See the guard's reason in the events; check flow and cold plates.",
    peer_relative=True,
)
_OFF: Final = Rule(
    name="guard_off",
    family=Family.COOLING,
    severity=Severity.CRITICAL,
    place=Place.SLED,
    text="The guard of {subject} has powered it off",
    consequence="Its jobs are gone; it stays off until a person resets the guard.",
    action="Find the reason in the events, repair, then reset the guard.",
    peer_relative=True,
)
_RULES: Final = (
    (STATES["guard_level"].index("shed"), _SHED),
    (STATES["guard_level"].index("off"), _OFF),
)


class GuardDetector:
    """Reads `guard_level`; a silent sled keeps its last level."""

    def __init__(self, fleet_map: FleetMap) -> None:
        del fleet_map

    def observe(self, snapshot: FleetSnapshot) -> list[Finding]:
        level = snapshot.sled["guard_level"]
        return [
            find(rule, snapshot, int(row), float(code), float(code))
            for code, rule in _RULES
            for row in np.flatnonzero(level == code)
        ]
