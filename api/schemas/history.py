from datetime import datetime
from typing import Any, Final

import msgspec
import numpy as np
from fastapi import Response
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from fleet.clock import NS_PER_S
from fleet.frame import MISSING_COUNT

Numbers = list[int | float | None]
_MOST_PLACES: Final = 22


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


def column(values: NDArray[Any]) -> Numbers:
    """As JSON has it; counts stay exact, and NaN is null there."""
    if values.dtype == np.uint64:
        return [None if value == MISSING_COUNT else value for value in values.tolist()]
    return list((values if values.dtype.kind in "iu" else seven_digits(values)).tolist())


def seven_digits(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """What a float32 holds, as `api.schemas.values.number`, of many at once. Numbers so small
    or so large that no metric has them keep all their digits.
    """
    found = values.astype(np.float64)
    with np.errstate(divide="ignore"):
        places = 6 - np.floor(np.log10(np.abs(found)))
    rounds = np.abs(places) <= _MOST_PLACES
    places = np.where(rounds, places, 0)
    # Powers of ten up to here are exact, so that the last division gives the nearest number.
    up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
    return np.where(rounds, np.rint(found * up / down) * down / up, found)


def written(model: BaseModel) -> Response:
    """A model as an answer. Where there are many numbers this takes a tenth of the time that
    pydantic takes to check and write them; what is made here needs no check.
    """
    body = msgspec.json.encode(model, enc_hook=_fields)
    return Response(body, media_type="application/json")


def _fields(model: BaseModel) -> dict[str, object]:
    return {
        field.serialization_alias or name: getattr(model, name)
        for name, field in type(model).model_fields.items()
    }


def unix_s(at_unix_ns: NDArray[np.int64]) -> list[float]:
    found: list[float] = (at_unix_ns / NS_PER_S).round(3).tolist()
    return found
