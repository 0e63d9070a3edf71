"""Leak detectors: liquid, moisture, or a detector that is not to be trusted.

A detector's own health is judged apart from what it says, as SONiC's leak design asks.
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from controller.anomaly.finding import Family, Finding, Place, Severity
from controller.anomaly.wording import Rule, find
from controller.state.snapshot import FleetSnapshot
from fleet.metrics import LEAK_STATES, LeakState
from fleet.topology import FleetMap

CONFIRM_TICKS: Final = 2
"""A state must be read this often in a row: one bad read is no leak."""

_LIQUID: Final = Rule(
    name="leak",
    family=Family.LEAK,
    severity=Severity.CRITICAL,
    place=Place.SLED,
    text="A leak detector of {subject} reports liquid",
    consequence="Coolant on boards destroys them; the sled's agent powers it off.",
    action="Isolate the sled's hoses, then inspect.",
)
_MOISTURE: Final = replace(
    _LIQUID,
    name="leak_suspected",
    severity=Severity.WARNING,
    text="A leak detector of {subject} reports moisture",
    consequence="It may become a leak, or be condensation.",
    action="Inspect; compare the dew point with the supply temperature.",
)
_BLIND: Final = replace(
    _LIQUID,
    name="leak_detector_unavailable",
    severity=Severity.WARNING,
    text="A leak detector of {subject} does not work",
    consequence="A leak there would not be seen.",
    action="Replace the detector or its cable.",
)
_RULES: Final = {
    LEAK_STATES.index(LeakState.CRITICAL): _LIQUID,
    LEAK_STATES.index(LeakState.WARNING): _MOISTURE,
    LEAK_STATES.index(LeakState.UNAVAILABLE): _BLIND,
}
_AT_CDU: Final = {
    code: replace(
        rule,
        place=Place.CDU,
        consequence="The loop loses coolant and in the end its flow.",
        action="Inspect the CDU; prepare to move the loop's jobs.",
    )
    for code, rule in _RULES.items()
}


class LeakDetector:
    """Speaks by the last known state: a sled that falls silent after a leak is still wet."""

    def __init__(self, fleet_map: FleetMap) -> None:
        self._sleds = _Confirmed(fleet_map.sleds)
        self._cdus = _Confirmed(len(fleet_map.cdu_ids))

    def observe(self, snapshot: FleetSnapshot) -> list[Finding]:
        sleds = self._sleds.of(snapshot.sled["leak_state"])
        cdus = self._cdus.of(snapshot.cdu["cdu_leak_state"])
        return [*_found(_AT_CDU, snapshot, cdus), *_found(_RULES, snapshot, sleds)]


class _Confirmed:
    """The last state of each row that was read often enough in a row."""

    def __init__(self, rows: int) -> None:
        self._last = np.full(rows, -1, np.int32)
        self._ticks = np.zeros(rows, np.int32)
        self._confirmed = np.full(rows, -1, np.int32)

    def of(self, states: NDArray[np.float32]) -> NDArray[np.int32]:
        known = np.isfinite(states)
        codes = np.where(known, np.nan_to_num(states), self._last).astype(np.int32)
        self._ticks = np.where(codes == self._last, self._ticks + 1, 1).astype(np.int32)
        self._last = codes
        enough = self._ticks >= CONFIRM_TICKS
        self._confirmed = np.where(enough, codes, self._confirmed).astype(np.int32)
        return self._confirmed


def _found(
    rules: dict[int, Rule], snapshot: FleetSnapshot, codes: NDArray[np.int32]
) -> list[Finding]:
    return [
        find(rule, snapshot, int(row), float(code), float(code))
        for code, rule in rules.items()
        for row in np.flatnonzero(codes == code)
    ]
