"""Memory errors: one that could not be corrected, or a storm of those that could."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from controller.anomaly.finding import Family, Finding, Place, Severity
from controller.anomaly.wording import Rule, find
from controller.state.snapshot import FleetSnapshot
from fleet.clock import NS_PER_S
from fleet.frame import MISSING_COUNT, CountBlock
from fleet.topology import FleetMap


@dataclass(frozen=True, slots=True, kw_only=True)
class EccSettings:
    hold_s: float = 60.0
    """Estimate: an uncorrected error is told for this long after the last one."""
    window_s: float = 60.0
    """Estimate: corrected errors are forgotten with this time constant."""
    storm: float = 100.0
    """Estimate: corrected errors in about a window. AWS' own tools have no such limit."""


def _rule(memory: str, severity: Severity) -> Rule:
    fatal = severity is Severity.CRITICAL
    kind = "uncorrected" if fatal else "corrected"
    return Rule(
        name=f"{memory}_ecc_{kind}",
        family=Family.MEMORY,
        severity=severity,
        place=Place.CHIP,
        text=f"{{subject}} counts {{value:.0f}} new {kind} {memory.upper()} errors",
        consequence=(
            "Results may be wrong; AWS treats one such error as an unhealthy chip."
            if fatal
            else "Uncorrected errors often follow in the same place."
        ),
        action="Move work away and retire the chip." if fatal else "Plan a replacement.",
        peer_relative=True,
    )


_UNCORRECTED: Final = tuple(
    (f"{memory}_ecc_uncorrected_total", _rule(memory, Severity.CRITICAL))
    for memory in ("hbm", "sram")
)
_CORRECTED: Final = tuple(
    (f"{memory}_ecc_corrected_total", _rule(memory, Severity.WARNING)) for memory in ("hbm", "sram")
)


class EccDetector:
    """Looks at increases only: what a chip had counted before it was first heard is no news."""

    def __init__(self, fleet_map: FleetMap, settings: EccSettings | None = None) -> None:
        self._settings = settings or EccSettings()
        chips = fleet_map.chips
        metrics = [name for name, _ in (*_UNCORRECTED, *_CORRECTED)]
        self._held: dict[str, CountBlock] = {
            name: np.full(chips, MISSING_COUNT, np.uint64) for name in metrics
        }
        self._recent = {name: np.zeros(chips) for name in metrics}
        self._until_ns = {name: np.zeros(chips, np.int64) for name in metrics}
        self._at_unix_ns: int | None = None

    def observe(self, snapshot: FleetSnapshot) -> list[Finding]:
        before_ns = snapshot.at_unix_ns if self._at_unix_ns is None else self._at_unix_ns
        dt_s = max(snapshot.at_unix_ns - before_ns, 0) / NS_PER_S
        self._at_unix_ns = snapshot.at_unix_ns
        findings: list[Finding] = []
        for name, rule in _UNCORRECTED:
            findings += self._uncorrected(snapshot, name, rule)
        for name, rule in _CORRECTED:
            findings += self._corrected(snapshot, name, rule, dt_s)
        return findings

    def _uncorrected(self, snapshot: FleetSnapshot, name: str, rule: Rule) -> list[Finding]:
        recent, until_ns, now_ns = self._recent[name], self._until_ns[name], snapshot.at_unix_ns
        recent[until_ns <= now_ns] = 0.0
        risen = self._risen(snapshot, name)
        recent += risen
        until_ns[risen > 0] = now_ns + round(self._settings.hold_s * NS_PER_S)
        return [
            find(rule, snapshot, int(row), float(recent[row]), 1.0)
            for row in np.flatnonzero(recent > 0)
        ]

    def _corrected(
        self, snapshot: FleetSnapshot, name: str, rule: Rule, dt_s: float
    ) -> list[Finding]:
        recent, limit = self._recent[name], self._settings.storm
        recent *= np.exp(-dt_s / self._settings.window_s)
        recent += self._risen(snapshot, name)
        return [
            find(rule, snapshot, int(row), float(recent[row]), limit)
            for row in np.flatnonzero(recent >= limit)
        ]

    def _risen(self, snapshot: FleetSnapshot, name: str) -> NDArray[np.float64]:
        """Increase of a count since it was last known; a count that fell has started anew."""
        held, new = self._held[name], snapshot.chip_counts[name]
        present = new != MISSING_COUNT
        rose = present & (held != MISSING_COUNT) & (new > held)
        risen = np.where(rose, new - np.where(rose, held, np.uint64(0)), np.uint64(0))
        self._held[name] = np.where(present, new, held)
        return risen.astype(np.float64)
