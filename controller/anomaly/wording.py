from dataclasses import dataclass

from controller.anomaly.finding import Family, Finding, Place, Severity
from controller.state.snapshot import FleetSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a rule says to the person on call.

    `text` is a format with `subject`, `value` and `limit`; `consequence` says what happens if
    nothing is done, `action` what to do.
    """

    name: str
    family: Family
    severity: Severity
    place: Place
    text: str
    consequence: str
    action: str
    peer_relative: bool = False
    explains: bool = False


def find(
    rule: Rule, snapshot: FleetSnapshot, row: int, value: float, limit: float, *, subject: str = ""
) -> Finding:
    """The finding of a rule on row `row` of its place; `subject` overrides the place's id."""
    named, loop, sled = _where(rule.place, snapshot, row)
    subject = subject or named
    ids = snapshot.fleet_map
    return Finding(
        rule=rule.name,
        family=rule.family,
        severity=rule.severity,
        subject=subject,
        scope=rule.place,
        loop_id=ids.loop_ids[loop],
        sled_id=None if sled is None else ids.sled_ids[sled],
        value=value,
        limit=limit,
        text=rule.text.format(subject=subject, value=value, limit=limit),
        consequence=rule.consequence,
        action=rule.action,
        cause=snapshot.cdu_cause(loop) if sled is None else snapshot.sled_cause(sled),
        at_unix_ns=snapshot.at_unix_ns,
        peer_relative=rule.peer_relative,
        explains=rule.explains,
    )


def _where(place: Place, snapshot: FleetSnapshot, row: int) -> tuple[str, int, int | None]:
    """Id, loop and sled of a row."""
    ids = snapshot.fleet_map
    if place is Place.CHIP:
        sled = int(ids.sled_of_chip[row])
        chip = row - int(ids.first_chip_of_sled[sled])
        return f"{ids.sled_ids[sled]}/c{chip}", int(ids.loop_of_sled[sled]), sled
    if place is Place.SLED:
        return ids.sled_ids[row], int(ids.loop_of_sled[row]), row
    names = ids.cdu_ids if place is Place.CDU else ids.loop_ids
    return names[row], row, None
