"""What a scenario says, ready to run."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from emulator.faults.course import Course
from emulator.faults.kinds import FaultKind
from fleet.topology import Datacenter, Generation


class LoadShape(StrEnum):
    HOLD = "hold"  # a point's load lasts until the next point
    LINEAR = "linear"  # straight lines between points


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadCourse:
    """Arrivals over the capacity of running replicas, by emulated time."""

    points: tuple[tuple[float, float], ...]
    """(seconds, ratio), in order of time."""
    shape: LoadShape = LoadShape.HOLD

    def ratio_at(self, now_s: float) -> float:
        """The first point's before it, the last point's after it."""
        times, ratios = (np.array(part) for part in zip(*self.points, strict=True))
        if self.shape is LoadShape.LINEAR:
            return float(np.interp(now_s, times, ratios))
        return float(ratios[max(int(np.searchsorted(times, now_s, side="right")) - 1, 0)])


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """Gangs of one kind, which the runner puts on free sleds."""

    name: str
    model: str
    chips: int
    tensor_parallel: int
    start_s: float
    duration_s: float | None
    """None: to the end."""
    generation: Generation | None
    """None: whatever has room."""
    where: str
    """`file:line`, for messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """A fault, or some of its kind at places drawn by the seed."""

    kind: FaultKind
    place: str
    """An id, or `random`; of a sensor or link `random#metric`."""
    count: int
    severity: float | None
    start_s: float
    duration_s: float | None
    course: Course
    where: str
    """`file:line`, for messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """How often a run writes when it is asked to record."""

    telemetry_s: float = 1.0
    """What devices say."""
    truth_s: float = 10.0
    """What is true."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Everything that makes a run what it is, besides the code."""

    file: Path
    name: str
    description: str
    seed: int
    duration_s: float
    datacenter: Datacenter
    loops_at: tuple[int, ...]
    """Line of each loop, for messages."""
    load: LoadCourse
    options: Mapping[str, Any]
    """Fields of `EmulatorOptions` that differ from their defaults."""
    jobs: tuple[JobPlan, ...]
    faults: tuple[FaultPlan, ...]
    recording: Recording
