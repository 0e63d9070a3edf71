from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from fleet.errors import DeviceError

Key = tuple[str, int]
"""A metric of fleet.metrics and the part it is of: chip of the sled, pump of the CDU, or 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What an input knows now. What is absent was not read; NaN is a reading without a value.

    `errors` says what could not be read; what else was read stands beside it.
    """

    values: Mapping[Key, float] = field(default_factory=dict)
    counters: Mapping[Key, int] = field(default_factory=dict)
    errors: tuple[DeviceError, ...] = ()


class Input(Protocol):
    """A device, read once a tick by one thread."""

    def read(self, now_s: float) -> Samples:
        """Never raises DeviceError; `now_s` is monotonic."""
