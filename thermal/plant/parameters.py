"""Settings of many loops as columns."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from thermal.plant.settings import PlantSettings

Shared = TypeVar("Shared")


def column(settings: Sequence[PlantSettings], name: str) -> npt.NDArray[np.float64]:
    """[loops] of one figure, such as `exchanger.ua_w_per_k`."""
    return np.array(list(map(attrgetter(name), settings)), dtype=np.float64)


def common(settings: Sequence[PlantSettings], pick: Callable[[PlantSettings], Shared]) -> Shared:
    """What all loops of a batch share. Raises ValueError when they do not."""
    first = pick(settings[0])
    for loop, other in enumerate(map(pick, settings)):
        if other != first:
            raise ValueError(f"loops of one batch share {first}, but loop {loop} has {other}")
    return first
