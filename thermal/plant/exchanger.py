"""Heat exchangers of all loops: effectiveness-NTU, counter-flow, films by m^0.8, fouling.

The array form of `thermal.heat_exchanger`, which the controller's own model uses; the tests hold
the two against each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thermal.arrays import FloatArray
from thermal.heat_exchanger import FILM_EXPONENT
from thermal.plant.parameters import column
from thermal.plant.settings import PlantSettings

# Below these a side counts as still: a power law of a subnormal flow would overflow.
_NO_FLOW_RATIO = 1e-9
_NO_FLOW_W_PER_K = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of the exchangers; arrays [loops]."""

    inlet_c: FloatArray
    w_per_k: FloatArray
    """Heat capacity rate."""
    flow_ratio: FloatArray
    """Over the nominal flow."""


class Exchangers:
    """One a loop; arrays [loops]."""

    def __init__(self, settings: Sequence[PlantSettings]) -> None:
        self._clean_k_per_w = 1.0 / column(settings, "exchanger.ua_w_per_k")
        self._hot_share = column(settings, "exchanger.hot_film_share")

    def ua_w_per_k(self, hot: Side, cold: Side, fouling_ratio: FloatArray) -> FloatArray:
        """Overall conductance; `fouling_ratio` is the share of the nominal UA lost to deposits."""
        hot_film = np.maximum(hot.flow_ratio, _NO_FLOW_RATIO) ** -FILM_EXPONENT
        cold_film = np.maximum(cold.flow_ratio, _NO_FLOW_RATIO) ** -FILM_EXPONENT
        lost = np.clip(fouling_ratio, 0.0, 0.99)
        films = self._hot_share * hot_film + (1.0 - self._hot_share) * cold_film
        ua = 1.0 / (self._clean_k_per_w * (films + lost / (1.0 - lost)))
        flows = np.minimum(hot.flow_ratio, cold.flow_ratio)
        moving: FloatArray = np.where(flows > _NO_FLOW_RATIO, ua, 0.0)
        return moving

    def outlets_c(
        self, hot: Side, cold: Side, fouling_ratio: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Steady hot and cold outlets. A side without flow takes the other side's inlet."""
        smaller = np.minimum(hot.w_per_k, cold.w_per_k)
        larger = np.maximum(hot.w_per_k, cold.w_per_k)
        safe, still = np.maximum(smaller, _NO_FLOW_W_PER_K), smaller <= _NO_FLOW_W_PER_K
        ratio = np.clip(safe / np.maximum(larger, _NO_FLOW_W_PER_K), 0.0, 1.0)
        share = effectiveness(self.ua_w_per_k(hot, cold, fouling_ratio) / safe, ratio)
        exchanged_w = np.where(still, 0.0, share * safe * (hot.inlet_c - cold.inlet_c))
        return (
            _leaving_c(hot, -exchanged_w, cold.inlet_c, larger),
            _leaving_c(cold, exchanged_w, hot.inlet_c, larger),
        )


def effectiveness(ntu: FloatArray, capacity_ratio: FloatArray) -> FloatArray:
    """Counter-flow effectiveness; `capacity_ratio` = smaller over larger rate, 0..1."""
    uneven = np.minimum(capacity_ratio, 1.0 - 1e-7)
    decay = np.exp(-ntu * (1.0 - uneven))
    share: FloatArray = np.where(
        capacity_ratio > uneven, ntu / (1.0 + ntu), (1.0 - decay) / (1.0 - uneven * decay)
    )
    return share


def _leaving_c(
    side: Side, gained_w: FloatArray, other_inlet_c: FloatArray, larger_w_per_k: FloatArray
) -> FloatArray:
    flows = side.w_per_k > _NO_FLOW_W_PER_K
    moved = side.inlet_c + gained_w / np.maximum(side.w_per_k, _NO_FLOW_W_PER_K)
    # Still on both sides: each keeps its own temperature.
    resting = np.where(larger_w_per_k > _NO_FLOW_W_PER_K, other_inlet_c, side.inlet_c)
    outlet: FloatArray = np.where(flows, moved, resting)
    return outlet
