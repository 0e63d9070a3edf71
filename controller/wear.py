"""What wears slowly and the control hides, as identification finds it, in the words of findings.

Drifts are told against the loop as it was first found, and stay told until they are mended: a plate
keeps its finding while its chip rests.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from controller.anomaly.finding import Family, Finding, Place, Severity
from controller.anomaly.wording import Rule, find
from controller.identities import Identities
from controller.state.snapshot import FleetSnapshot
from thermal.arrays import BoolArray, FloatArray, IntArray
from thermal.model.identity import Identified, LoopIdentity, worn_plates

_FOULED: Final = Rule(
    name="exchanger_fouled",
    family=Family.COOLING,
    severity=Severity.WARNING,
    place=Place.CDU,
    text="The heat exchanger of {subject} has lost {value:.0%} of its conductance",
    consequence="The valve opens further for the same heat, until a hot day finds it at its end.",
    action="Plan to backflush it and clean its plates; look at the facility water's treatment.",
)
_SHORT: Final = Rule(
    name="exchanger_short",
    family=Family.COOLING,
    severity=Severity.WARNING,
    place=Place.CDU,
    text="The heat exchanger of {subject} conducts {value:.0%} less than its data sheet says",
    consequence="The valve opens further for the same heat; the full load may not be cooled.",
    action="Look at flow and air on the facility's side, then clean its plates; else the settings "
    "name another exchanger than the one that is built in.",
)
_PLATE: Final = Rule(
    name="plate_worn",
    family=Family.COOLING,
    severity=Severity.WARNING,
    place=Place.CHIP,
    text="{subject} warms {value:.0%} more a watt than when it was first seen",
    consequence="Its margin shrinks; it will be the first to throttle.",
    action="Renew its thermal interface or flush its cold plate at the next maintenance.",
    peer_relative=True,
)
_SLED: Final = Rule(
    name="sled_worn",
    family=Family.COOLING,
    severity=Severity.WARNING,
    place=Place.SLED,
    text="All chips of {subject} warm {value:.0%} more a watt than when they were first seen",
    consequence="The sled will be the first to throttle.",
    action="Look at its quick-connects, its flow and its inlet sensor before its plates.",
    peer_relative=True,
)
_LOOP: Final = Rule(
    name="plates_worn",
    family=Family.COOLING,
    severity=Severity.WARNING,
    place=Place.CDU,
    text="Most chips of the loop of {subject} warm {value:.0%} more a watt than when first seen",
    consequence="All of them have less margin; flow makes up for it as far as the pumps can.",
    action="Look at the coolant (mixture, growth), the strainer and the flow meter.",
)
_MOST: Final = 0.5
"""Of a loop's chips: what has grown on more of them is no matter of single plates."""


@dataclass(slots=True)
class _Worn:
    """What is told of one loop, by its last summary."""

    identified: Identified
    plates: BoolArray
    """[chips] that are worn."""
    gained_ratio: FloatArray
    """[chips] resistance over that of the first days, less 1."""
    fouled: bool
    short: bool
    """Of the data sheet."""


class WearDetector:
    """Reads what was learnt of the loops in hand. Remembers what it has told."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities
        self._told: dict[str, _Worn] = {}

    def observe(self, snapshot: FleetSnapshot) -> list[Finding]:
        self._told = {
            loop_id: self._worn(loop_id, identity, identified)
            for loop_id, identity, identified in self._identities.known()
        }
        found: list[Finding] = []
        for loop_id, worn in self._told.items():
            row = snapshot.fleet_map.loop(loop_id)
            if worn.fouled:
                limit = self._identities.settings[loop_id].identity.fouled_ratio
                lost = -worn.identified.ua_drift_ratio
                found.append(find(_FOULED, snapshot, row, lost, limit))
            elif worn.short:
                settings = self._identities.settings[loop_id]
                missing = worn.identified.missing_ratio(settings.model)
                limit = settings.identity.short_ratio
                found.append(find(_SHORT, snapshot, row, missing, limit))
            if worn.plates.any():
                found += self._of_plates(loop_id, row, worn, snapshot)
        return found

    def _worn(self, loop_id: str, identity: LoopIdentity, identified: Identified) -> _Worn:
        before = self._told.get(loop_id)
        if before is not None and before.identified is identified:
            return before
        model = self._identities.settings[loop_id].model
        settings = self._identities.settings[loop_id].identity
        already = np.zeros(len(identity.plates.drift_ratio), np.bool_)
        if before is not None:
            already = before.plates
        if identified.worn_chips or already.any():
            already = worn_plates(settings, identity.plates, already)
        return _Worn(
            identified=identified,
            plates=already,
            gained_ratio=identity.plates.drift_ratio,
            fouled=identified.fouled(settings, already=before is not None and before.fouled),
            short=identified.short(settings, model, already=before is not None and before.short),
        )

    def _of_plates(
        self, loop_id: str, row: int, told: _Worn, snapshot: FleetSnapshot
    ) -> list[Finding]:
        """Of the widest place whose chips are all worn, for what they share is its cause."""
        fleet_map = snapshot.fleet_map
        chips = fleet_map.chips_in_loop(row)
        worn, gained_ratio = told.plates, told.gained_ratio
        limit = self._identities.settings[loop_id].identity.worn_plate_ratio
        if worn.mean() > _MOST:
            return [find(_LOOP, snapshot, row, float(np.median(gained_ratio[worn])), limit)]
        sleds = fleet_map.sleds_in_loop(row)
        first = fleet_map.first_chip_of_sled[sleds] - chips.start
        whole = np.logical_and.reduceat(worn, first) & (fleet_map.chips_of_sled[sleds] > 1)
        found = [
            find(_SLED, snapshot, sled + sleds.start, _least(gained_ratio, first, sled), limit)
            for sled in np.flatnonzero(whole).tolist()
        ]
        single = worn & ~whole[fleet_map.sled_of_chip[chips] - sleds.start]
        found += [
            find(_PLATE, snapshot, chip + chips.start, float(gained_ratio[chip]), limit)
            for chip in np.flatnonzero(single).tolist()
        ]
        return found


def _least(gained_ratio: FloatArray, first: IntArray, sled: int) -> float:
    """Of a sled's chips."""
    last = first[sled + 1] if sled + 1 < len(first) else len(gained_ratio)
    return float(gained_ratio[first[sled] : last].min())
