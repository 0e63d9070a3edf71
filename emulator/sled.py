"""Electric power of whole sleds, part by part, and where its heat goes; arrays [sleds]."""

from dataclasses import dataclass

import numpy as np

from emulator.skus import SledColumns
from thermal.arrays import BoolArray, FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SledPower:
    """What each part of a sled draws. A sled that is off draws standby power alone."""

    chips_w: FloatArray
    cpu_w: FloatArray
    nitro_w: FloatArray
    switch_w: FloatArray
    """This sled's share of the switches."""
    regulators_w: FloatArray
    """Lost in voltage regulators."""
    standby_w: FloatArray
    other_liquid_w: FloatArray
    """Heat into the coolant besides that of the chips."""

    @property
    def total_w(self) -> FloatArray:
        parts = (self.chips_w, self.cpu_w, self.nitro_w, self.switch_w, self.regulators_w)
        return sum(parts, self.standby_w)

    @property
    def other_w(self) -> FloatArray:
        """Everything but the chips."""
        return self.total_w - self.chips_w


def sled_power(
    kinds: SledColumns,
    *,
    chip_w: FloatArray,
    vcpu_ratio: FloatArray,
    powered: BoolArray,
    fed: BoolArray | None = None,
) -> SledPower:
    """`chip_w` is the sum over the sled's chips; what is not `fed` has no standby power either."""
    busy = kinds.cpu_idle_ratio + (1.0 - kinds.cpu_idle_ratio) * vcpu_ratio
    cpu_w = np.where(powered, kinds.cpu_w * busy, 0.0)
    nitro_w = np.where(powered, kinds.nitro_w, 0.0)
    switch_w = np.where(powered, kinds.switch_w, 0.0)
    chips_w = np.where(powered, chip_w, 0.0)
    board_w = cpu_w + nitro_w + switch_w
    return SledPower(
        chips_w=chips_w,
        cpu_w=cpu_w,
        nitro_w=nitro_w,
        switch_w=switch_w,
        regulators_w=kinds.regulator_loss_ratio * (chips_w + board_w),
        standby_w=np.where(powered, 0.0, kinds.standby_w) * (1.0 if fed is None else fed),
        other_liquid_w=kinds.other_liquid_ratio * board_w,
    )


def vcpu_busy_ratio(kinds: SledColumns, busy_chips_ratio: FloatArray) -> FloatArray:
    """vCPUs in use when this share of a sled's chips works."""
    spread = kinds.vcpu_busy_ratio - kinds.vcpu_idle_ratio
    busy: FloatArray = kinds.vcpu_idle_ratio + spread * np.minimum(busy_chips_ratio, 1.0)
    return busy
