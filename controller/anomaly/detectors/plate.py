"""A blocked cold plate: one chip's resistance to the coolant stands far above its peers'.

Comparison with peers of the same loop (median and MAD) removes what they share: supply
temperature, pump speed, load level. Peer comparison is what works at fleet scale (Minder,
NSDI 2025). A whole sled that is warm is no cold plate but a branch that lacks flow.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from controller.anomaly.finding import Family, Finding, Place, Severity
from controller.anomaly.wording import Rule, find
from controller.state.health import BoolArray, HealthSettings, fresh_sleds
from controller.state.snapshot import FleetSnapshot
from fleet.clock import NS_PER_S
from fleet.topology import Cooling, FleetMap

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateSettings:
    """Estimates, but for the physics in their reasons."""

    filter_s: float = 10.0
    """Rise and power are averaged over this: the plate lags the power by about 3 s."""
    least_power_w: float = 350.0
    """Below it a die sensor's 2..3 K of offset drowns the rise."""
    steady_ratio: float = 0.3
    """Power this far from its average is a step: the rise lags it, so the quotient misleads."""
    least_peers: int = 4
    """Chips at work that a loop needs for a judgement."""
    warning_ratio: float = 1.3
    """Resistance over the peers' median; a plate at 40 % of its flow has 1.3."""
    critical_ratio: float = 1.6
    """A plate at 22 % of its flow has 1.6."""
    clear_ratio: float = 1.2
    least_deviations: float = 6.0
    """Robust standard deviations over the median."""
    least_spread_ratio: float = 0.03
    """Floor of that deviation: plates and interfaces differ by 3 % when new."""
    sled_ratio: float = 1.15
    """Over the median of the other chips of its sled, where any are at work."""
    on_ticks: int = 5


_BLOCKED: Final = Rule(
    name="plate_blocked",
    family=Family.COOLING,
    severity=Severity.CRITICAL,
    place=Place.CHIP,
    text="{subject} warms {value:.1f} times as much a watt as its peers: blocked cold plate",
    consequence="It throttles at full load; a full blockage trips it within seconds.",
    action="Move work away; flush or replace the cold plate.",
    peer_relative=True,
    explains=True,
)
_FOULED: Final = replace(
    _BLOCKED,
    name="plate_fouled",
    severity=Severity.WARNING,
    text="{subject} warms {value:.1f} times as much a watt as its peers: fouled cold plate",
    consequence="Its margin shrinks; it will be the first to throttle.",
    action="Plan to flush the cold plate or renew its interface.",
)


class PlateDetector:
    def __init__(self, fleet_map: FleetMap, settings: PlateSettings | None = None) -> None:
        self._settings = settings or PlateSettings()
        self._map = fleet_map
        chips = fleet_map.chips
        self._peers = _peers(fleet_map)
        self._rise_k = np.full(chips, np.nan)
        self._power_w = np.full(chips, np.nan)
        self._steady = np.zeros(chips, np.bool_)
        self._ticks = np.zeros(chips, np.int32)
        self._firing = np.zeros(chips, np.bool_)
        self._at_unix_ns: int | None = None

    def observe(self, snapshot: FleetSnapshot) -> list[Finding]:
        self._average(snapshot)
        resistance = self._resistance_k_per_w()
        ratio = np.full(self._map.chips, np.nan)
        suspect = np.zeros(self._map.chips, np.bool_)
        for rows in self._peers:
            ratio[rows], suspect[rows] = self._against_peers(resistance[rows])
        suspect &= self._above_sled(resistance)
        self._decide(ratio, suspect)
        return [self._finding(snapshot, int(row), ratio) for row in np.flatnonzero(self._firing)]

    def _average(self, snapshot: FleetSnapshot) -> None:
        """First-order averages of rise and power; chips not heard start anew."""
        before_ns = snapshot.at_unix_ns if self._at_unix_ns is None else self._at_unix_ns
        dt_s = max(snapshot.at_unix_ns - before_ns, 0) / NS_PER_S
        self._at_unix_ns = snapshot.at_unix_ns
        share = -np.expm1(-dt_s / self._settings.filter_s)
        sled_of_chip = self._map.sled_of_chip
        fresh = fresh_sleds(snapshot, HealthSettings())[sled_of_chip]
        rise = snapshot.chip["junction_c"] - snapshot.sled["inlet_c"][sled_of_chip]
        self._rise_k = _averaged(self._rise_k, np.where(fresh, rise, np.nan), share)
        power = np.where(fresh, snapshot.chip["power_w"], np.nan)
        self._power_w = _averaged(self._power_w, power, share)
        step_w = np.abs(power - self._power_w)
        self._steady = step_w <= self._settings.steady_ratio * self._power_w

    def _resistance_k_per_w(self) -> Values:
        """NaN for chips that do not work hard, or not evenly, enough to tell."""
        working = (self._power_w >= self._settings.least_power_w) & self._steady
        return np.where(working, self._rise_k / np.where(working, self._power_w, 1.0), np.nan)

    def _against_peers(self, resistance: Values) -> tuple[Values, BoolArray]:
        known = resistance[np.isfinite(resistance)]
        if len(known) < self._settings.least_peers:
            return np.full(len(resistance), np.nan), np.zeros(len(resistance), np.bool_)
        middle = float(np.median(known))
        spread = 1.4826 * float(np.median(np.abs(known - middle)))
        spread = max(spread, self._settings.least_spread_ratio * abs(middle))
        far: BoolArray = resistance - middle > self._settings.least_deviations * spread
        return resistance / middle, far

    def _above_sled(self, resistance: Values) -> BoolArray:
        """Whether a chip stands above the working others of its sled; True when it is alone."""
        above = np.ones(len(resistance), np.bool_)
        for row in np.flatnonzero(np.isfinite(resistance) & self._candidates(resistance)):
            chips = self._map.chips_in_sled(int(self._map.sled_of_chip[row]))
            others = np.delete(resistance[chips], row - chips.start)
            others = others[np.isfinite(others)]
            if len(others):
                above[row] = resistance[row] > self._settings.sled_ratio * float(np.median(others))
        return above

    def _candidates(self, resistance: Values) -> BoolArray:
        """Chips worth a look at their sled: above the fleet's median by the least ratio."""
        known = resistance[np.isfinite(resistance)]
        if not len(known):
            return np.zeros(len(resistance), np.bool_)
        chosen: BoolArray = resistance > self._settings.clear_ratio * float(np.median(known))
        return chosen

    def _decide(self, ratio: Values, suspect: BoolArray) -> None:
        settings = self._settings
        beyond = suspect & (ratio >= settings.warning_ratio)
        unknown = np.isnan(ratio)
        counted = np.where(beyond, np.minimum(self._ticks, settings.on_ticks) + 1, 0)
        self._ticks = np.where(unknown, 0, counted).astype(np.int32)
        holds = self._firing & (ratio > settings.clear_ratio)
        self._firing = holds | (self._ticks >= settings.on_ticks)

    def _finding(self, snapshot: FleetSnapshot, row: int, ratio: Values) -> Finding:
        critical = ratio[row] >= self._settings.critical_ratio
        limit = self._settings.critical_ratio if critical else self._settings.warning_ratio
        rule = _BLOCKED if critical else _FOULED
        return find(rule, snapshot, row, float(ratio[row]), limit)


def _peers(fleet_map: FleetMap) -> tuple[NDArray[np.intp], ...]:
    """Chips with plates of one kind on one loop. Air-cooled hosts are left out: each turns its own
    fans, so their resistances differ by design.
    """
    return tuple(
        np.flatnonzero(fleet_map.generation_of_chip[chips] == kind) + chips.start
        for loop in fleet_map.loops_cooled_by(Cooling.LIQUID)
        for chips in (fleet_map.chips_in_loop(loop),)
        for kind in np.unique(fleet_map.generation_of_chip[chips])
    )


def _averaged(held: Values, new: Values, share: float) -> Values:
    moved: Values = held + share * (new - held)
    result: Values = np.where(np.isnan(held) | np.isnan(new), new, moved)
    return result
