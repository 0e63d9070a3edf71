import math
from collections.abc import Iterable
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from api.schemas.values import number
from fleet.clock import NS_PER_S
from fleet.frame import MISSING_COUNT

Numbers = list[int | float | None]


class HistorySeriesOut(BaseModel):
    """One part's values, or those of many parts together, beside the times in `at_unix_s`."""

    id: str = Field(examples=["h1/us01/r1/s07/c2"])
    metric: str = Field(examples=["junction_c"])
    at_unix_s: list[float] = Field(description="of a tick, or where a step begins")
    values: dict[str, Numbers] = Field(
        description="`value` of ticks; the statistics asked for of steps; `min`, `mean`, `max`, "
        "`sum` and `parts` (how many had a value) of the many parts of an UltraServer or loop.",
        examples=[{"min": [55.1], "mean": [55.4], "max": [56.0]}],
    )


class HistoryOut(BaseModel):
    """What was measured at a place."""

    place: str
    from_: datetime = Field(serialization_alias="from")
    until: datetime
    step_s: int = Field(description="length of a step; 1 when these are the ticks themselves")
    complete_until: datetime | None = Field(
        description="Newer ticks of the place may still be in memory, a minute or two as a rule; "
        "null when nothing is kept yet."
    )
    series: list[HistorySeriesOut]


class MomentOut(BaseModel):
    """One metric of everything in a place at one time."""

    metric: str
    place: str
    at: datetime
    step_s: int = Field(
        description="1 for the newest tick at that time; else the mean over the step it is in"
    )
    values: Numbers = Field(description="in the order of the fleet; null where nothing was heard")


def exact_numbers(values: NDArray[np.uint64]) -> Numbers:
    return [None if value == MISSING_COUNT else value for value in values.tolist()]


def numbers_of(values: Iterable[float]) -> Numbers:
    return [number(value) if math.isfinite(value) else None for value in values]


def column(values: NDArray[np.generic]) -> Numbers:
    """As JSON has it; counts stay exact."""
    if values.dtype == np.uint64:
        return exact_numbers(values.astype(np.uint64))
    if values.dtype.kind in "iu":
        return list(values.tolist())
    return numbers_of(values.tolist())


def unix_s(at_unix_ns: NDArray[np.int64]) -> list[float]:
    found: list[float] = (at_unix_ns / NS_PER_S).round(3).tolist()
    return found
