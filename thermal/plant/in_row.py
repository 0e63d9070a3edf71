"""In-row coolers of a batch: the loops whose coolant gives its heat to the hall's air by fans."""

from collections.abc import Sequence

import numpy as np

from thermal import coil
from thermal.arrays import BoolArray, FloatArray, IntArray
from thermal.plant.exchanger import Side
from thermal.plant.parameters import column, common
from thermal.plant.settings import PlantSettings


class InRowCoolers:
    """One a loop of `rows`; arguments are [loops] of the whole batch, results of `rows` alone.

    Raises ValueError when the coolers differ by more than their size.
    """

    def __init__(self, settings: Sequence[PlantSettings], rows: IntArray) -> None:
        own = [settings[row] for row in rows]
        parts = common(own, lambda loop: loop.in_row)
        assert parts is not None, "rows are of loops with a cooler"
        self.rows = rows
        self._parts = parts
        self._share = column(own, "in_row_share")

    def next_speed(
        self, speed_ratio: FloatArray, command_ratio: FloatArray, powered: BoolArray, dt_s: float
    ) -> FloatArray:
        reach = dt_s / self._parts.fan_ramp_s
        asked = np.where(powered, np.clip(command_ratio, 0.0, 1.0), 0.0)[self.rows]
        now = speed_ratio[self.rows]
        following: FloatArray = now + np.clip(asked - now, -reach, reach)
        return following

    def fan_power_w(self, speed_ratio: FloatArray) -> FloatArray:
        return self._share * coil.fan_power_w(self._parts.coil, speed_ratio[self.rows])

    def hall_power_w(self, heat_w: FloatArray) -> FloatArray:
        """Electric: what the hall's own air handlers take to carry the heat on."""
        return self._parts.hall_w_per_w * heat_w[self.rows]

    def air_w_per_k(self, speed_ratio: FloatArray) -> FloatArray:
        """Heat capacity rate of the air through the coils."""
        return self._share * coil.air_w_per_k(self._parts.coil, speed_ratio[self.rows])

    def outlets_c(
        self, coolant: Side, air: Side, coolant_lpm: FloatArray, fouling_ratio: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Steady coolant and air outlets; coolant that stands takes the temperature of the air."""
        rows, share = self.rows, self._share
        rate = np.maximum(coolant.w_per_k[rows], coil.STILL * share)
        exchanged_w = share * coil.exchanged_w(
            self._parts.coil,
            liquid_in_c=coolant.inlet_c[rows],
            air_in_c=air.inlet_c[rows],
            liquid_lpm=coolant_lpm[rows] / share,
            liquid_w_per_k=rate / share,
            fan_ratio=air.flow_ratio[rows],
            fouling_ratio=fouling_ratio[rows],
        )
        return (
            coolant.inlet_c[rows] - exchanged_w / rate,
            air.inlet_c[rows] + exchanged_w / air.w_per_k[rows],
        )
