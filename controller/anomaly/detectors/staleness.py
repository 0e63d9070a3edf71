"""Silence: an agent that says nothing, and a loop of which nearly nothing is heard."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from controller.anomaly.finding import Family, Finding, Place, Severity
from controller.anomaly.wording import Rule, find
from controller.state.health import BoolArray
from controller.state.snapshot import FleetSnapshot, Seconds
from fleet.clock import NS_PER_S
from fleet.topology import Cooling, FleetMap


@dataclass(frozen=True, slots=True, kw_only=True)
class StalenessSettings:
    silent_s: float = 5.0
    """Agents report at 1 Hz; the metric table's staleness."""
    lost_s: float = 60.0
    """Estimate: an agent that is restarted is back sooner."""
    grace_s: float = 30.0
    """Estimate: after the start of the controller an agent may be unheard for this long."""
    loop_share: float = 0.5
    """Estimate: more silent sleds of a loop than this are one trouble, not many."""


_SLED: Final = Rule(
    name="sled_silent",
    family=Family.SILENCE,
    severity=Severity.WARNING,
    place=Place.SLED,
    text="{subject} has said nothing for {value:.0f} s",
    consequence="Its chips are not watched and get no new work.",
    action="Check the sled's agent, host and network.",
)
_LOST: Final = replace(_SLED, name="sled_lost", severity=Severity.CRITICAL)
_CDU: Final = Rule(
    name="cdu_silent",
    family=Family.SILENCE,
    severity=Severity.CRITICAL,
    place=Place.CDU,
    text="{subject} has said nothing for {value:.0f} s",
    consequence="The CDU cools by its own firmware; nobody steers it.",
    action="Check the CDU's agent and its management network.",
)
_LOOP: Final = Rule(
    name="loop_silent",
    family=Family.SILENCE,
    severity=Severity.CRITICAL,
    place=Place.LOOP,
    text="{value:.0f} sleds of {subject} are silent",
    consequence="The loop is not watched; agents and CDU protect it alone.",
    action="Check the message bus and the loop's network before its sleds.",
    explains=True,
)


class StalenessDetector:
    """An agent never heard counts as silent since this detector's first snapshot."""

    def __init__(self, fleet_map: FleetMap, settings: StalenessSettings | None = None) -> None:
        self._settings = settings or StalenessSettings()
        self._map = fleet_map
        self._began_unix_ns: int | None = None

    def observe(self, snapshot: FleetSnapshot) -> list[Finding]:
        if self._began_unix_ns is None:
            self._began_unix_ns = snapshot.at_unix_ns
        watched_s = (snapshot.at_unix_ns - self._began_unix_ns) / NS_PER_S
        sled_s = self._silence_s(snapshot.sled_age_s, watched_s)
        cdu_s = self._silence_s(snapshot.cdu_age_s, watched_s)
        findings: list[Finding] = []
        for loop in range(len(self._map.loop_ids)):
            findings += self._loop(snapshot, loop, sled_s, float(cdu_s[loop]))
        return findings

    def _silence_s(self, age_s: Seconds, watched_s: float) -> Seconds:
        unheard_s = watched_s if watched_s > self._settings.grace_s else 0.0
        silence: Seconds = np.where(np.isinf(age_s), unheard_s, age_s)
        return silence

    def _loop(
        self, snapshot: FleetSnapshot, loop: int, sled_s: Seconds, cdu_s: float
    ) -> list[Finding]:
        rows = self._map.sleds_in_loop(loop)
        silent: BoolArray = sled_s[rows] > self._settings.silent_s
        count, limit = int(silent.sum()), self._settings.silent_s
        if len(silent) and count > self._settings.loop_share * len(silent):
            return [find(_LOOP, snapshot, loop, count, self._settings.loop_share * len(silent))]
        # An air handler looks after itself, and has no agent.
        steered = self._map.kind_of_loop[loop].cooling is Cooling.LIQUID
        unheard = steered and cdu_s > limit
        found = [find(_CDU, snapshot, loop, cdu_s, limit)] if unheard else []
        for row in np.flatnonzero(silent) + rows.start:
            lost = sled_s[row] > self._settings.lost_s
            rule, limit_s = (_LOST, self._settings.lost_s) if lost else (_SLED, limit)
            found.append(find(rule, snapshot, int(row), float(sled_s[row]), limit_s))
        return found
