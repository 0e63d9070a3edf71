"""Faulty locations: where they are, when they fail, and the corrected errors they show.

Only these few are stepped; a healthy memory costs nothing. Times inside a step are exact, so that
the length of a step does not change what happens.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emulator.hbm.settings import HbmSettings
from emulator.hbm.truth import ADDRESS, CLASSES, FaultClass, Rows
from thermal.arrays import FloatArray, IntArray

LOCATION: Final = np.dtype(
    [
        ("location", "i8"),
        ("chip", "i4"),
        ("fault_class", "i1"),
        *((name, "i4") for name in ADDRESS),
        ("silent", "?"),
        ("bursts_per_s", "f8"),
        ("left", "i8"),
        ("shown", "i8"),
    ]
)
"""`left` errors of a burst are still to come; `shown` have been seen since the beginning."""

_FREE: Final = {
    FaultClass.CELL: (),
    FaultClass.ROW: ("column",),
    FaultClass.COLUMN: ("row",),
    FaultClass.BANK: ("row", "column"),
    FaultClass.CHANNEL: ("bank", "row", "column"),
}
"""What differs between two errors of one fault."""
_WORSENING: Final = (FaultClass.ROW, FaultClass.BANK, FaultClass.CHANNEL)
WORSENS: Final = np.array([kind in _WORSENING for kind in CLASSES])
"""By class: whether such a fault becomes uncorrectable."""
_ADDRESSES_SEEN: Final = 8
"""Addresses that the truth tells of one location and step."""
_S_PER_H: Final = 3600.0

Seconds = NDArray[np.float64]


def worsening_ratio(settings: HbmSettings) -> float:
    """Share of latent faults that become uncorrectable."""
    return float(np.array(settings.classes.shares)[WORSENS].sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sightings:
    """Corrected errors of one step, a location each; rows of the table of locations."""

    rows: NDArray[np.intp]
    errors: NDArray[np.int64]


class Locations:
    """The table of all faulty locations of a fleet."""

    def __init__(self, settings: HbmSettings, stacks: IntArray, rng: np.random.Generator) -> None:
        self._settings = settings
        self._stacks = stacks
        self._rng = rng
        self._next = 0
        self.table: Rows = np.zeros(0, dtype=LOCATION)

    def add(self, chips: IntArray) -> Rows:
        """New faults of random class and address on these chips, after those of before."""
        fresh = self._drawn(chips, self._rng.choice(len(CLASSES), p=self._shares, size=len(chips)))
        self.table = np.concatenate([self.table, fresh])
        return fresh

    def add_aged(self, chips: IntArray, *, worsening: bool) -> None:
        """Faults from before the world began; not silent ones have been seen already."""
        kind = WORSENS if worsening else ~WORSENS
        shares = np.where(kind, self._shares, 0.0)
        classes = self._rng.choice(len(CLASSES), p=shares / shares.sum(), size=len(chips))
        aged = self._drawn(chips, classes)
        aged["shown"] = ~aged["silent"]
        self.table = np.concatenate([self.table, aged])

    def drop(self, gone: NDArray[np.bool_]) -> Rows:
        """Take rows off the table."""
        dropped = self.table[gone]
        if len(dropped):
            self.table = self.table[~gone]
        return dropped

    def ends_s(self, born_s: Seconds, factor: FloatArray) -> Seconds:
        """When each location becomes uncorrectable, should nothing change: seconds into the step.

        An exponential delay forgets how long it has lasted, so each step draws it anew. `factor`
        shortens it.
        """
        ends_s = np.full(len(self.table), np.inf)
        rows = np.flatnonzero(WORSENS[self.table["fault_class"]])
        mean_s = self._settings.uncorrected.delay_median_s / np.log(2.0)
        delay_s = self._rng.exponential(mean_s, len(rows)) / factor[rows]
        ends_s[rows] = born_s[rows] + delay_s
        return ends_s

    def show(self, born_s: Seconds, until_s: Seconds, factor: FloatArray, dt_s: float) -> Sightings:
        """Corrected errors between birth and end of each location in this step.

        `factor` is what temperature and traffic make of the rate of bursts, 0 without power.
        """
        rows, at_s = self._bursts(born_s, until_s, factor, dt_s)
        errors = np.zeros(len(self.table), dtype=np.int64)
        if len(rows):
            sizes = self._sizes(self.table["fault_class"][rows])
            np.add.at(errors, rows, 1)
            np.add.at(self.table["left"], rows, sizes - 1)
        raging = np.flatnonzero((self.table["left"] > 0) & (factor > 0.0))
        if len(raging):
            first_s = np.full(len(self.table), dt_s)
            np.minimum.at(first_s, rows, at_s)
            begins_s = np.where(errors[raging] > 0, first_s[raging], 0.0)
            lasts_s = np.maximum(until_s[raging] - begins_s, 0.0)
            most = self._rng.poisson(self._settings.corrected.storm_per_s * lasts_s)
            more = np.minimum(self.table["left"][raging], most)
            self.table["left"][raging] -= more
            errors[raging] += more
        shown = np.flatnonzero(errors)
        self.table["shown"][shown] += errors[shown]
        return Sightings(rows=shown, errors=errors[shown])

    def addresses(self, shown: Sightings) -> tuple[Rows, NDArray[np.int64]]:
        """Where errors were seen: locations with addresses drawn within their fault, and how
        many errors each stands for.
        """
        copies = np.minimum(shown.errors, _ADDRESSES_SEEN)
        seen = np.repeat(self.table[shown.rows], copies)
        share, rest = np.divmod(shown.errors, copies)
        first = np.concatenate([[0], np.cumsum(copies)[:-1]]).astype(np.intp)
        counts = np.repeat(share, copies)
        if len(rest):
            counts[first] += rest
        for kind, free in _FREE.items():
            here = np.flatnonzero(seen["fault_class"] == CLASSES.index(kind))
            for name in free:
                seen[name][here] = self._rng.integers(0, self._sizes_of[name], len(here))
        return seen, counts

    @property
    def _shares(self) -> FloatArray:
        return np.array(self._settings.classes.shares)

    @property
    def _sizes_of(self) -> dict[str, int]:
        geometry = self._settings.geometry
        return {
            "channel": geometry.channels,
            "bank": geometry.banks,
            "row": geometry.rows,
            "column": geometry.columns,
        }

    def _drawn(self, chips: IntArray, classes: IntArray) -> Rows:
        rng, corrected = self._rng, self._settings.corrected
        fresh = np.zeros(len(chips), dtype=LOCATION)
        fresh["location"] = self._next + np.arange(len(chips))
        self._next += len(chips)
        fresh["chip"], fresh["fault_class"] = chips, classes
        fresh["stack"] = rng.integers(0, self._stacks[chips])
        for name, size in self._sizes_of.items():
            fresh[name] = rng.integers(0, size, len(chips))
        sudden = rng.random(len(chips)) < self._settings.uncorrected.sudden_ratio
        fresh["silent"] = sudden & WORSENS[classes]
        spread = rng.lognormal(0.0, corrected.bursts_sigma, len(chips))
        rate_per_s = corrected.bursts_per_h / _S_PER_H * spread
        fresh["bursts_per_s"] = np.where(fresh["silent"], 0.0, rate_per_s)
        return fresh

    def _bursts(
        self, born_s: Seconds, until_s: Seconds, factor: FloatArray, dt_s: float
    ) -> tuple[NDArray[np.intp], Seconds]:
        """Rows and times of bursts; a fault that is not silent begins with one."""
        table = self.table
        if not len(table):
            return np.zeros(0, dtype=np.intp), np.zeros(0)
        fresh = np.flatnonzero((table["shown"] == 0) & ~table["silent"] & (table["left"] == 0))
        rate_per_s = np.cumsum(table["bursts_per_s"] * factor)
        number = self._rng.poisson(rate_per_s[-1] * dt_s)
        drawn = self._rng.random(number) * rate_per_s[-1]
        rows = np.searchsorted(rate_per_s, drawn, side="right")
        at_s = self._rng.random(number) * dt_s
        lives = (at_s >= born_s[rows]) & (at_s < until_s[rows])
        return (
            np.concatenate([fresh, rows[lives]]),
            np.concatenate([born_s[fresh], at_s[lives]]),
        )

    def _sizes(self, classes: IntArray) -> NDArray[np.int64]:
        """Pareto, cut off at the most."""
        corrected = self._settings.corrected
        drawn = 1.0 - self._rng.random(len(classes))
        sizes = corrected.least * drawn ** (-1.0 / corrected.size_exponent)
        sizes[classes == CLASSES.index(FaultClass.CELL)] *= corrected.cell_factor
        return np.minimum(sizes, corrected.most).astype(np.int64)
