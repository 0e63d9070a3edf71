"""Whether a sled may be trusted with work, by what it says of itself."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from controller.state.snapshot import FleetSnapshot
from fleet.metrics import LEAK_STATES, STATES, LeakState

BoolArray = NDArray[np.bool_]

_LEAK_OK: Final = LEAK_STATES.index(LeakState.OK)
_LEAK_ABSENT: Final = LEAK_STATES.index(LeakState.ABSENT)
_POWER_ON: Final = STATES["power_state"].index("On")


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    stale_s: float = 5.0
    """Telemetry comes at 1 Hz; after this long a sled is silent (the metric table's staleness)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SledHealth:
    """One row a sled; True is good. A state that was not reported is not good."""

    fresh: BoolArray
    powered: BoolArray
    guard_clear: BoolArray
    leak_clear: BoolArray

    @property
    def ok(self) -> BoolArray:
        return self.fresh & self.powered & self.guard_clear & self.leak_clear

    def reasons(self, sled: int) -> tuple[str, ...]:
        """Why a sled is not healthy, in words; empty when it is."""
        if not self.fresh[sled]:
            return ("no fresh telemetry",)  # the other states are then only memories
        checks = (
            (self.powered, "not powered"),
            (self.guard_clear, "its agent's guard has acted"),
            (self.leak_clear, "leak detector not OK"),
        )
        return tuple(words for good, words in checks if not good[sled])


def sled_health(snapshot: FleetSnapshot, settings: HealthSettings) -> SledHealth:
    leak = snapshot.sled["leak_state"]
    return SledHealth(
        fresh=fresh_sleds(snapshot, settings),
        powered=snapshot.sled["power_state"] == _POWER_ON,
        guard_clear=snapshot.sled["guard_level"] == 0,
        leak_clear=(leak == _LEAK_OK) | (leak == _LEAK_ABSENT),
    )


def fresh_sleds(snapshot: FleetSnapshot, settings: HealthSettings) -> BoolArray:
    fresh: BoolArray = snapshot.sled_age_s <= settings.stale_s
    return fresh


def fresh_cdus(snapshot: FleetSnapshot, settings: HealthSettings) -> BoolArray:
    fresh: BoolArray = snapshot.cdu_age_s <= settings.stale_s
    return fresh
