"""What is wrong with enrolments, in the words of findings."""

from collections.abc import Iterable
from typing import Final

from controller.anomaly.finding import Family, Finding, Place, Severity
from controller.enrolment.enrolment import Enrolment, MismatchKind
from fleet.errors import UnknownIdError
from fleet.topology import FleetMap

RULE: Final = "identity_mismatch"
_OF_VERSIONS: Final = frozenset({MismatchKind.FIRMWARE, MismatchKind.MEASUREMENT})


def findings(
    refused: Iterable[Enrolment], fleet_map: FleetMap, *, at_unix_ns: int
) -> list[Finding]:
    """One for each sled that the fleet still has."""
    return [
        found
        for enrolment in refused
        if (found := _finding(enrolment, fleet_map, at_unix_ns)) is not None
    ]


def _finding(enrolment: Enrolment, fleet_map: FleetMap, at_unix_ns: int) -> Finding | None:
    sled_id = enrolment.sled_id
    try:
        row = fleet_map.sled(sled_id)
    except UnknownIdError:
        return None
    wrong = enrolment.mismatches
    return Finding(
        rule=RULE,
        family=Family.IDENTITY,
        severity=Severity.CRITICAL,
        subject=sled_id,
        scope=Place.SLED,
        loop_id=fleet_map.loop_ids[int(fleet_map.loop_of_sled[row])],
        sled_id=sled_id,
        value=float(len(wrong)),
        limit=0.0,
        text=f"{sled_id} is not what was enrolled: {'; '.join(one.text for one in wrong)}",
        consequence="It gets no work: what runs there may not be what it seems, or not ours.",
        action=f"Look at what stands there; if it is right, `isotherm enrol {sled_id}`.",
        cause=enrolment.cause,
        at_unix_ns=at_unix_ns,
        # Versions drift together, by one cause; a part stands in one place.
        peer_relative=any(one.kind not in _OF_VERSIONS for one in wrong),
    )
