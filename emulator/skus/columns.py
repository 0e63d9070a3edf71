"""Settings of a mixed fleet as columns: each chip or sled has the figures of its generation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from emulator.skus.settings import SkuSettings, SledSettings
from thermal.arrays import FloatArray

Rows = NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChipColumns:
    """Arrays [chips], named as in `SkuSettings`, `ChipPowerSettings` and `ChipLimitSettings`."""

    peak_flop_per_s: FloatArray
    hbm_bytes_per_s: FloatArray
    tdp_w: FloatArray
    idle_w: FloatArray
    idle_junction_c: FloatArray
    leakage_w: FloatArray
    leakage_reference_c: FloatArray
    leakage_per_k: FloatArray
    tensor_w: FloatArray
    hbm_w: FloatArray
    throttle_c: FloatArray
    trip_c: FloatArray
    throttle_floor_ratio: FloatArray
    slowest_ratio: FloatArray

    @classmethod
    def of(cls, skus: Sequence[SkuSettings], rows: Rows) -> Self:
        """`rows` says for each chip which of `skus` it is."""
        return cls(
            **{
                name: np.array([_found(name, sku, sku.power, sku.limits) for sku in skus])[rows]
                for name in cls.__slots__
            }
        )

    @classmethod
    def alike(cls, sku: SkuSettings, *, chips: int) -> Self:
        return cls.of([sku], np.zeros(chips, dtype=np.int32))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SledColumns:
    """Arrays [sleds], named as in `SledSettings`."""

    cpu_w: FloatArray
    cpu_idle_ratio: FloatArray
    nitro_w: FloatArray
    switch_w: FloatArray
    regulator_loss_ratio: FloatArray
    other_liquid_ratio: FloatArray
    standby_w: FloatArray
    vcpu_idle_ratio: FloatArray
    vcpu_busy_ratio: FloatArray
    leak_warning_l: FloatArray
    leak_critical_l: FloatArray

    @classmethod
    def of(cls, sleds: Sequence[SledSettings], rows: Rows) -> Self:
        """`rows` says for each sled which of `sleds` it is."""
        return cls(
            **{
                name: np.array([_found(name, sled) for sled in sleds])[rows]
                for name in cls.__slots__
            }
        )


def _found(name: str, *settings: object) -> float:
    return next(float(getattr(part, name)) for part in settings if hasattr(part, name))
