"""How well a week's telemetry ranks chips by an uncorrected memory error in the week after.

A simple scorer, to see what the emulated counters are worth: field studies (Wu et al., USENIX ATC
2024) find the count of corrected errors hardly usable, and the spread of their addresses better.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emulator.hbm.truth import CODE_OF_KIND, MemoryTruth, Rows

_WEEK_DAYS: Final = 7
_NEWTON_ROUNDS: Final = 12
_PLACES: Final = (
    ("stack", "channel", "bank"),
    ("stack", "channel", "bank", "row"),
    ("stack", "channel", "bank", "column"),
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Areas:
    """Under the ROC curve: by the count of corrected errors alone, and with spread and heat; of
    all chips, and of those only that showed an error in the week.
    """

    by_count: float
    by_all: float
    emitting_by_count: float
    emitting_by_all: float


class Foretelling:
    """Sees one day after the other, and looks back and ahead from every second week's end."""

    def __init__(self, chips: int) -> None:
        self._chips = chips
        self._days: list[tuple[Rows, Floats]] = []
        self._features: list[Floats] = []
        self._broke: list[NDArray[np.bool_]] = []

    def see(self, rows: Rows, hbm_c: Floats) -> None:
        """A day's truth, and the temperature [chips] that day."""
        told = np.isin(
            rows["kind"],
            [CODE_OF_KIND[kind] for kind in (MemoryTruth.CORRECTED, MemoryTruth.UNCORRECTED)],
        )
        self._days.append((rows[told], hbm_c))
        if len(self._days) == 2 * _WEEK_DAYS:
            self._look()
            self._days = []

    def areas(self) -> Areas:
        """The scorer is fitted on every other chip and judged on the rest."""
        features, broke = np.stack(self._features), np.stack(self._broke)
        fit = features[:, ::2].reshape(-1, features.shape[-1])
        judge = features[:, 1::2].reshape(-1, features.shape[-1])
        scores = judge @ _logistic(fit, broke[:, ::2].ravel())
        judged, counts = broke[:, 1::2].ravel(), judge[:, 1]
        emitting = counts > 0.0
        return Areas(
            by_count=area(counts, judged),
            by_all=area(scores, judged),
            emitting_by_count=area(counts[emitting], judged[emitting]),
            emitting_by_all=area(scores[emitting], judged[emitting]),
        )

    def _look(self) -> None:
        past, ahead = self._days[:_WEEK_DAYS], self._days[_WEEK_DAYS:]
        shown = _of_kind(past, MemoryTruth.CORRECTED)
        heat_c = np.mean([hbm_c for _, hbm_c in past], axis=0)
        counts = np.bincount(shown["chip"], weights=shown["count"], minlength=self._chips)
        spread = [self._distinct(shown, names) for names in _PLACES]
        columns = [np.ones(self._chips), np.log1p(counts), *map(np.log1p, spread)]
        self._features.append(np.stack([*columns, (heat_c - 70.0) / 10.0], axis=1))
        broke = np.zeros(self._chips, dtype=np.bool_)
        broke[_of_kind(ahead, MemoryTruth.UNCORRECTED)["chip"]] = True
        self._broke.append(broke)

    def _distinct(self, shown: Rows, names: tuple[str, ...]) -> Floats:
        """Distinct places of a kind in which a chip showed errors."""
        places = np.unique(np.stack([shown["chip"], *(shown[name] for name in names)]), axis=1)
        return np.bincount(places[0], minlength=self._chips).astype(np.float64)


def _of_kind(days: list[tuple[Rows, Floats]], kind: MemoryTruth) -> Rows:
    rows = np.concatenate([told for told, _ in days])
    found: Rows = rows[rows["kind"] == CODE_OF_KIND[kind]]
    return found


def _logistic(features: Floats, broke: NDArray[np.bool_]) -> Floats:
    """Weights of a logistic regression, by Newton's method with a small ridge."""
    weights = np.zeros(features.shape[1])
    for _ in range(_NEWTON_ROUNDS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(features @ weights, -30.0, 30.0)))
        gradient = features.T @ (broke - chance) - 1e-3 * weights
        curve = (features * (chance * (1.0 - chance))[:, None]).T @ features
        weights += np.linalg.solve(curve + 1e-3 * np.eye(len(weights)), gradient)
    return weights


def area(scores: Floats, broke: NDArray[np.bool_]) -> float:
    """Under the ROC curve: the chance that one that broke scores above one that did not; a tie
    counts half. NaN where there is none of either.
    """
    _, ranks, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(sizes) - 0.5 * (sizes - 1)
    ones, zeros = int(broke.sum()), int((~broke).sum())
    if not (ones and zeros):
        return float("nan")
    above = middle[ranks][broke].sum() - 0.5 * ones * (ones + 1)
    return float(above / (ones * zeros))
