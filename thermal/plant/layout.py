"""Which chip sits in which sled, and which sled on which loop: the shape of a batch of loops."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from thermal.arrays import IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantLayout:
    """Chips of a sled are adjacent, sleds of a loop are adjacent, and neither is empty.

    Raises ValueError when they are not.
    """

    sled_of_chip: IntArray
    """[chips] ascending rows, 0..sleds-1."""
    loop_of_sled: IntArray
    """[sleds] ascending rows, 0..loops-1."""
    chips_of_sled: IntArray = field(init=False)
    """[sleds]"""
    first_chip: IntArray = field(init=False)
    """[sleds] row of each sled's first chip."""
    sleds_of_loop: IntArray = field(init=False)
    """[loops]"""
    first_sled: IntArray = field(init=False)
    """[loops] row of each loop's first sled."""
    chips_of_loop: IntArray = field(init=False)
    """[loops]"""

    def __post_init__(self) -> None:
        chips_of_sled, first_chip = _groups("sled_of_chip", self.sled_of_chip)
        sleds_of_loop, first_sled = _groups("loop_of_sled", self.loop_of_sled)
        if len(chips_of_sled) != len(self.loop_of_sled):
            raise ValueError(
                f"sled_of_chip names {len(chips_of_sled)} sleds, loop_of_sled has"
                f" {len(self.loop_of_sled)}: every sled needs at least one chip"
            )
        for name, value in (
            ("chips_of_sled", chips_of_sled),
            ("first_chip", first_chip),
            ("sleds_of_loop", sleds_of_loop),
            ("first_sled", first_sled),
            ("chips_of_loop", np.add.reduceat(chips_of_sled, first_sled)),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def uniform(cls, *, sleds_of_loop: Sequence[int], chips_per_sled: int) -> "PlantLayout":
        """Loops of different lengths with one kind of sled."""
        loop_of_sled = np.repeat(np.arange(len(sleds_of_loop)), sleds_of_loop)
        return cls(
            sled_of_chip=np.repeat(np.arange(len(loop_of_sled)), chips_per_sled),
            loop_of_sled=loop_of_sled,
        )

    @property
    def chips(self) -> int:
        return len(self.sled_of_chip)

    @property
    def sleds(self) -> int:
        return len(self.loop_of_sled)

    @property
    def loops(self) -> int:
        return len(self.sleds_of_loop)

    def chips_in(self, sleds: IntArray) -> IntArray:
        """Rows of all chips in the sleds of the given rows, sled after sled."""
        counts = self.chips_of_sled[sleds]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        rows: IntArray = np.repeat(self.first_chip[sleds], counts) + within
        return rows


def _groups(name: str, owner: IntArray) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Members of each owner, and the row of its first."""
    rows = np.asarray(owner, dtype=np.intp)
    if not len(rows) or rows[0] != 0 or not np.isin(np.diff(rows), (0, 1)).all():
        raise ValueError(f"{name} must count up from 0 without gaps, and hold at least one row")
    counts = np.bincount(rows).astype(np.intp)
    return counts, np.cumsum(counts) - counts
