"""Power of chips from what they execute, and how chips protect themselves; arrays [chips]."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from emulator.settings import ChipLimitSettings, ChipPowerSettings, SkuSettings
from thermal.arrays import BoolArray, FloatArray

_HOTTEST_FITTED_C: Final = 150.0
_LEAST_W: Final = 1e-6
_CLOCK_RISE_RATIO: Final = 0.1
"""A capped clock rises by this a step at most, so that bursts do not make it swing."""


def leakage_w(power: ChipPowerSettings, junction_c: FloatArray | float) -> FloatArray:
    """P exp(k (Tj - Tref)), up to the hottest junction for which that was fitted."""
    fitted_c = np.minimum(junction_c, _HOTTEST_FITTED_C)
    rise_k = fitted_c - power.leakage_reference_c
    leaked: FloatArray = power.leakage_w * np.exp(power.leakage_per_k * rise_k)
    return leaked


def static_w(power: ChipPowerSettings, junction_c: FloatArray) -> FloatArray:
    """Drawn without work; `idle_w` at `idle_junction_c`."""
    at_idle = leakage_w(power, power.idle_junction_c)
    drawn: FloatArray = power.idle_w - at_idle + leakage_w(power, junction_c)
    return drawn


def dynamic_w(
    power: ChipPowerSettings, tensor_ratio: FloatArray, hbm_ratio: FloatArray
) -> FloatArray:
    """Drawn by work, above `static_w`."""
    drawn: FloatArray = power.tensor_w * tensor_ratio + power.hbm_w * hbm_ratio
    return drawn


def thermal_speed_ratio(limits: ChipLimitSettings, junction_c: FloatArray) -> FloatArray:
    """Clock that the junction allows: 1 up to `throttle_c`, falling to the floor at `trip_c`."""
    share = (junction_c - limits.throttle_c) / (limits.trip_c - limits.throttle_c)
    slowed = 1.0 - (1.0 - limits.throttle_floor_ratio) * share
    speed: FloatArray = np.clip(slowed, limits.throttle_floor_ratio, 1.0)
    return speed


@dataclass(slots=True, kw_only=True)
class ChipBank:
    """All chips of the hall. `protect` before work is served, `draw` after it is executed."""

    sku: SkuSettings
    powered: BoolArray
    tripped: BoolArray
    """Stopped by heat, until the sled's next power-up."""
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
    def at_rest(cls, sku: SkuSettings, *, chips: int) -> Self:
        return cls(
            sku=sku,
            powered=np.ones(chips, dtype=np.bool_),
            tripped=np.zeros(chips, dtype=np.bool_),
            power_cap_w=np.full(chips, sku.power.tdp_w),
            speed_ratio=np.ones(chips),
            tensor_ratio=np.zeros(chips),
            hbm_ratio=np.zeros(chips),
            power_w=np.full(chips, sku.power.idle_w),
            wanted_w=np.zeros(chips),
            granted_ratio=np.ones(chips),
            cap_clock_ratio=np.ones(chips),
        )

    @property
    def usable(self) -> BoolArray:
        return self.powered & ~self.tripped

    def protect(
        self,
        *,
        powered: BoolArray,
        cap_ratio: FloatArray,
        slow_ratio: FloatArray,
        junction_c: FloatArray,
    ) -> None:
        """Take requests and temperatures, trip what is too hot, set the clocks.

        `slow_ratio` is the share of its speed that a chip has left by a fault.
        """
        limits = self.sku.limits
        # A chip that lost its power comes back without its trip.
        self.tripped = (self.tripped & self.powered & powered) | (
            powered & (junction_c >= limits.trip_c)
        )
        self.powered = powered
        self.power_cap_w = cap_ratio * self.sku.power.tdp_w
        # What the last step's work would draw at full clock.
        full_w = self.wanted_w / self.speed_ratio
        fitting = self.dynamic_budget_w(junction_c) / np.maximum(full_w, _LEAST_W)
        self.cap_clock_ratio = np.minimum(
            np.minimum(fitting, 1.0), self.cap_clock_ratio + _CLOCK_RISE_RATIO
        )
        hot_clock_ratio = thermal_speed_ratio(limits, junction_c)
        speed = np.minimum(self.cap_clock_ratio, hot_clock_ratio) * slow_ratio
        self.speed_ratio = np.clip(speed, limits.slowest_ratio, 1.0)

    def expect(self, tensor_ratio: FloatArray, hbm_ratio: FloatArray) -> None:
        """Remember what a step's new work would draw, for the clock of the next step.

        Work was held back for the share that the step before did not grant.
        """
        drawn_w = dynamic_w(self.sku.power, tensor_ratio, hbm_ratio)
        self.wanted_w = drawn_w / np.maximum(self.granted_ratio, self.sku.limits.slowest_ratio)

    def dynamic_budget_w(self, junction_c: FloatArray) -> FloatArray:
        """What work may draw under the cap."""
        idle = static_w(self.sku.power, junction_c)
        return np.maximum(self.power_cap_w - idle, 0.0)

    def allowed_ratio(
        self, tensor_ratio: FloatArray, hbm_ratio: FloatArray, junction_c: FloatArray
    ) -> FloatArray:
        """Share of the wanted work that fits under the cap and on a chip that works."""
        wanted = dynamic_w(self.sku.power, tensor_ratio, hbm_ratio)
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
        work_w = dynamic_w(self.sku.power, self.tensor_ratio, self.hbm_ratio)
        drawn_w = static_w(self.sku.power, junction_c) + work_w
        self.power_w = np.where(self.usable, drawn_w, 0.0)
