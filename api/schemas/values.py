"""Numbers, times and names as JSON has them."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from pydantic import StringConstraints

from fleet.clock import NS_PER_S
from fleet.metrics import BY_NAME, Kind

Values = dict[str, float | None]
"""By metric name; null where nothing was measured. States are their codes here."""
States = dict[str, str | None]
"""The names of the states among the values."""

# PostgreSQL takes no NUL in text, and no other control character has a place in a name.
_NO_CONTROL = r"^[^\x00-\x1f\x7f]*$"
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_NO_CONTROL)]
Text = Annotated[str, StringConstraints(max_length=1000, pattern=_NO_CONTROL)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=_NO_CONTROL)]


def number(value: float | None) -> float | None:
    """With the seven digits that a float32 holds; None for what JSON has no number for."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.7g}")


def numbers(values: Mapping[str, float | None]) -> Values:
    return {name: number(value) for name, value in values.items()}


def states(values: Mapping[str, float | None]) -> States:
    return {
        name: _state(BY_NAME[name].states, value)
        for name, value in values.items()
        if name in BY_NAME and BY_NAME[name].kind is Kind.STATE
    }


def when(at_unix_ns: int) -> datetime:
    return datetime.fromtimestamp(at_unix_ns / NS_PER_S, UTC)


def when_or_none(at_unix_ns: int | None) -> datetime | None:
    return None if at_unix_ns is None else when(at_unix_ns)


def _state(names: tuple[str, ...], code: float | None) -> str | None:
    if code is None or not math.isfinite(code) or not 0 <= code < len(names):
        return None
    return names[int(code)]
