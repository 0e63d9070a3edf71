"""Power of chips from what they execute, and how chips protect themselves; arrays [chips]."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from emulator.skus import ChipColumns
from thermal.arrays import BoolArray, FloatArray

_HOTTEST_FITTED_C: Final = 150.0
_LEAST_W: Final = 1e-6
_CLOCK_RISE_RATIO: Final = 0.1
"""A capped clock rises by this a step at most, so that bursts do not make it swing."""


def leakage_w(kinds: ChipColumns, junction_c: FloatArray) -> FloatArray:
    """P exp(k (Tj - Tref)), up to the hottest junction for which that was fitted."""
    fitted_c = np.minimum(junction_c, _HOTTEST_FITTED_C)
    rise_k = fitted_c - kinds.leakage_reference_c
    leaked: FloatArray = kinds.leakage_w * np.exp(kinds.leakage_per_k * rise_k)
    return leaked


def static_w(kinds: ChipColumns, junction_c: FloatArray) -> FloatArray:
    """Drawn without work; `idle_w` at `idle_junction_c`."""
    at_idle = leakage_w(kinds, kinds.idle_junction_c)
    drawn: FloatArray = kinds.idle_w - at_idle + leakage_w(kinds, junction_c)
    return drawn


def dynamic_w(kinds: ChipColumns, tensor_ratio: FloatArray, hbm_ratio: FloatArray) -> FloatArray:
    """Drawn by work, above `static_w`."""
    drawn: FloatArray = kinds.tensor_w * tensor_ratio + kinds.hbm_w * hbm_ratio
    return drawn


def thermal_speed_ratio(kinds: ChipColumns, junction_c: FloatArray) -> FloatArray:
    """Clock that the junction allows: 1 up to `throttle_c`, falling to the floor at `trip_c`."""
    share = (junction_c - kinds.throttle_c) / (kinds.trip_c - kinds.throttle_c)
    slowed = 1.0 - (1.0 - kinds.throttle_floor_ratio) * share
    speed: FloatArray = np.clip(slowed, kinds.throttle_floor_ratio, 1.0)
    return speed


@dataclass(slots=True, kw_only=True)
class ChipBank:
    """All chips of the hall. `protect` before work is served, `draw` after it is executed."""

    kinds: ChipColumns
    powered: BoolArray
    tripped: BoolArray
    """Stopped by heat, until the sled's next power-up."""
    dead: BoolArray
    """Neither works nor draws power."""
    unfit: BoolArray
    """Does not work, for its memory is lost; it idles."""
    power_cap_w: FloatArray
    speed_ratio: FloatArray
    """Clock in force; work takes 1 / speed as long."""
    tensor_ratio: FloatArray
    hbm_ratio: FloatArray
    power_w: FloatArray
    wanted_w: FloatArray
    """What the last step's new work would draw at the clock in force, without a cap."""
    cap_clock_ratio: FloatArray
    """Clock that the power cap allows."""
    granted_ratio: FloatArray
    """Share of the last step's waiting work that fitted under the cap."""

    @classmethod
    def at_rest(cls, kinds: ChipColumns) -> Self:
        chips = len(kinds.tdp_w)
        return cls(
            kinds=kinds,
            powered=np.ones(chips, dtype=np.bool_),
            tripped=np.zeros(chips, dtype=np.bool_),
            dead=np.zeros(chips, dtype=np.bool_),
            unfit=np.zeros(chips, dtype=np.bool_),
            power_cap_w=kinds.tdp_w.copy(),
            speed_ratio=np.ones(chips),
            tensor_ratio=np.zeros(chips),
            hbm_ratio=np.zeros(chips),
            power_w=kinds.idle_w.copy(),
            wanted_w=np.zeros(chips),
            granted_ratio=np.ones(chips),
            cap_clock_ratio=np.ones(chips),
        )

    @property
    def usable(self) -> BoolArray:
        return self.alive & ~self.unfit

    @property
    def alive(self) -> BoolArray:
        """Draws power."""
        return self.powered & ~self.tripped & ~self.dead

    def protect(
        self,
        *,
        powered: BoolArray,
        cap_ratio: FloatArray,
        slow_ratio: FloatArray,
        dead: BoolArray,
        unfit: BoolArray,
        junction_c: FloatArray,
    ) -> None:
        """Take requests and temperatures, trip what is too hot, set the clocks.

        `slow_ratio` is the share of its speed that a chip has left by a fault.
        """
        # A chip that lost its power comes back without its trip.
        self.tripped = (self.tripped & self.powered & powered) | (
            powered & (junction_c >= self.kinds.trip_c)
        )
        self.powered, self.dead, self.unfit = powered, dead, unfit
        self.power_cap_w = cap_ratio * self.kinds.tdp_w
        # What the last step's work would draw at full clock.
        full_w = self.wanted_w / self.speed_ratio
        fitting = self.dynamic_budget_w(junction_c) / np.maximum(full_w, _LEAST_W)
        self.cap_clock_ratio = np.minimum(
            np.minimum(fitting, 1.0), self.cap_clock_ratio + _CLOCK_RISE_RATIO
        )
        hot_clock_ratio = thermal_speed_ratio(self.kinds, junction_c)
        speed = np.minimum(self.cap_clock_ratio, hot_clock_ratio) * slow_ratio
        self.speed_ratio = np.clip(speed, self.kinds.slowest_ratio, 1.0)

    def expect(self, tensor_ratio: FloatArray, hbm_ratio: FloatArray) -> None:
        """Remember what a step's new work would draw, for the clock of the next step.

        Work was held back for the share that the step before did not grant.
        """
        drawn_w = dynamic_w(self.kinds, tensor_ratio, hbm_ratio)
        self.wanted_w = drawn_w / np.maximum(self.granted_ratio, self.kinds.slowest_ratio)

    def dynamic_budget_w(self, junction_c: FloatArray) -> FloatArray:
        """What work may draw under the cap."""
        idle = static_w(self.kinds, junction_c)
        return np.maximum(self.power_cap_w - idle, 0.0)

    def allowed_ratio(
        self, tensor_ratio: FloatArray, hbm_ratio: FloatArray, junction_c: FloatArray
    ) -> FloatArray:
        """Share of the wanted work that fits under the cap and on a chip that works."""
        wanted = dynamic_w(self.kinds, tensor_ratio, hbm_ratio)
        budget = self.dynamic_budget_w(junction_c)
        share = np.minimum(budget / np.maximum(wanted, _LEAST_W), 1.0)
        self.granted_ratio = np.where(self.usable, share, 0.0)
        return self.granted_ratio

    def draw(self, tensor_ratio: FloatArray, hbm_ratio: FloatArray, junction_c: FloatArray) -> None:
        """Set utilizations and power from what was executed; 0 W without power.

        A trip opens the chip's regulators: leakage alone would heat a chip without flow for ever.
        """
        self.tensor_ratio = np.where(self.usable, tensor_ratio, 0.0)
        self.hbm_ratio = np.where(self.usable, hbm_ratio, 0.0)
        work_w = dynamic_w(self.kinds, self.tensor_ratio, self.hbm_ratio)
        drawn_w = static_w(self.kinds, junction_c) + work_w
        self.power_w = np.where(self.alive, drawn_w, 0.0)
