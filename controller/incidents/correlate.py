"""Findings grouped by what probably caused them.

A trouble of a whole loop explains what its sleds and chips show of the same family, a sled's
trouble what its chips show: those are counted, not told one by one. What stands out from its own
peers is never explained so, because the peers share the cause.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from controller.anomaly.finding import Finding, Place, Severity

_WIDE: Final = frozenset({Place.LOOP, Place.CDU})
_BREADTH: Final = {Place.LOOP: 0, Place.CDU: 1, Place.SLED: 2, Place.CHIP: 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Findings of one key; the first leads: it is the likely cause."""

    key: str
    findings: tuple[Finding, ...]
    inhibited: frozenset[str]
    """Subjects whose findings the group explains and hides."""
    severity: Severity
    """The worst of findings and of what they hide."""
    storm: bool = False
    """Many sleds at once and nothing of the loop that explains them: an unseen shared cause."""

    @property
    def lead(self) -> Finding:
        return self.findings[0]


def group(findings: Iterable[Finding], *, storm_sleds: int) -> tuple[Group, ...]:
    """Groups in order of their keys. `storm_sleds` or more sleds of a loop make one group."""
    families: dict[str, list[Finding]] = {}
    for finding in findings:
        families.setdefault(f"{finding.family}:{finding.loop_id}", []).append(finding)
    groups = [
        made
        for key, members in families.items()
        for made in _of_family(key, members, storm_sleds=storm_sleds)
    ]
    return tuple(sorted(groups, key=lambda made: made.key))


def _of_family(key: str, members: list[Finding], *, storm_sleds: int) -> list[Group]:
    """Groups of one family in one loop."""
    wide = [finding for finding in members if finding.scope in _WIDE]
    narrow = [finding for finding in members if finding.scope not in _WIDE]
    own = [finding for finding in narrow if finding.peer_relative]
    shared = [finding for finding in narrow if not finding.peer_relative]
    if any(finding.explains for finding in wide):
        return [_group(key, wide, shared), *_by_sled(own)]
    if len({finding.sled_id for finding in shared}) >= storm_sleds:
        return [_group(key, [*wide, *shared], [], storm=True), *_by_sled(own)]
    return [*([_group(key, wide, [])] if wide else []), *_by_sled(narrow)]


def _by_sled(findings: list[Finding]) -> list[Group]:
    sleds: dict[str, list[Finding]] = {}
    for finding in findings:
        place = finding.sled_id or finding.subject
        sleds.setdefault(f"{finding.family}:{place}", []).append(finding)
    return [_of_sled(key, members) for key, members in sleds.items()]


def _of_sled(key: str, members: list[Finding]) -> Group:
    """A sled's own finding hides what only its share of the sled's trouble shows on chips."""
    explains = any(finding.scope is Place.SLED and finding.explains for finding in members)
    hidden = [
        finding
        for finding in members
        if explains and finding.scope is Place.CHIP and not finding.peer_relative
    ]
    told = [finding for finding in members if finding not in hidden]
    return _group(key, told, hidden)


def _group(key: str, told: list[Finding], hidden: list[Finding], *, storm: bool = False) -> Group:
    everything = [*told, *hidden]
    critical = any(finding.severity is Severity.CRITICAL for finding in everything)
    return Group(
        key=key,
        findings=tuple(sorted(told, key=_rank)),
        inhibited=frozenset(finding.subject for finding in hidden),
        severity=Severity.CRITICAL if critical else Severity.WARNING,
        storm=storm,
    )


def _rank(finding: Finding) -> tuple[bool, bool, bool, int, str, str]:
    """Likely cause first: severe, able to explain others, standing out from peers, broad."""
    return (
        finding.severity is not Severity.CRITICAL,
        not finding.explains,
        not finding.peer_relative,
        _BREADTH[finding.scope],
        finding.rule,
        finding.subject,
    )


def by_key(groups: Iterable[Group]) -> Mapping[str, Group]:
    return {made.key: made for made in groups}
