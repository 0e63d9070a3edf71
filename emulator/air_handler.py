"""Air handlers that look after themselves: nobody outside steers them."""

import math
from dataclasses import dataclass

import numpy as np

from emulator.faults.columns import FaultColumns
from emulator.skus import FleetSkus
from thermal import facility
from thermal.arrays import FloatArray
from thermal.plant.air_row import AirFaults, AirRows, RowCommands
from thermal.plant.air_settings import AirRowSettings
from thermal.plant.settings import WeatherSettings
from thermal.plant.state import Weather


@dataclass(frozen=True, slots=True, kw_only=True)
class AirHandlerSettings:
    """Control of a handler. Estimates."""

    supply_air_c: float = 24.0
    """Inside the 18..27 C that ASHRAE recommends for servers."""
    air_margin_ratio: float = 1.05
    """Air given over air drawn: what keeps the pressure in the cold aisle above the hot one's."""
    valve_per_k: float = 0.08
    """Water valve for each kelvin of supply air over its set-point ..."""
    valve_per_k_s: float = 0.002
    """... and for each kelvin and second."""
    least_fan_ratio: float = 0.2
    longest_step_s: float = 0.5


class AirHandlers:
    """Rows of air-cooled hosts with their handlers; arrays are in the order of their fleet map."""

    def __init__(
        self,
        skus: FleetSkus,
        rng: np.random.Generator,
        row: AirRowSettings,
        settings: AirHandlerSettings | None = None,
    ) -> None:
        self._settings = settings or AirHandlerSettings()
        fleet_map, kinds = skus.fleet_map, skus.sleds
        chip_w = np.add.reduceat(skus.chips.tdp_w, fleet_map.first_chip_of_sled)
        beside_w = kinds.cpu_w + kinds.nitro_w + kinds.switch_w
        self.rows = AirRows(
            row,
            row_of_sled=fleet_map.loop_of_sled,
            sled_of_chip=fleet_map.sled_of_chip,
            chip_rated_w=skus.chips.tdp_w,
            sled_rated_w=(chip_w + beside_w) * (1.0 + kinds.regulator_loss_ratio),
            rng=rng,
        )
        self._first_sled = np.searchsorted(
            fleet_map.loop_of_sled, np.arange(len(fleet_map.loop_ids))
        )
        parts = self.rows.settings
        self._share = self.rows.rated_w / parts.handler_w
        self._held_ratio = np.full(len(self._share), 0.3)
        self._facility_offset_k: FloatArray = np.zeros(len(self._share))
        self._weather = Weather.of(WeatherSettings())
        self._water_lpm: FloatArray = np.zeros(len(self._share))
        self.facility_power_w: FloatArray = np.zeros(len(self._share))
        """[rows] electric: towers, chillers and pumps of the handlers' water."""

    def break_parts(self, broken: FaultColumns) -> None:
        """A clogged filter is a sled's blockage, a dried or dusty sink a chip's resistance."""
        self.rows.faults = AirFaults(
            chip_resistance_ratio=broken.chip_resistance_ratio.astype(np.float32),
            sled_blockage_ratio=broken.sled_blockage_ratio,
            fouling_ratio=broken.fouling_ratio,
            fan_tripped=broken.power_feed_lost,
        )
        self._facility_offset_k = broken.facility_offset_k

    def expose(self, weather: Weather) -> None:
        """Outdoor air, from whose towers the handlers' water comes."""
        self._weather = weather

    def step(self, dt_s: float, *, chip_power_w: FloatArray, sled_other_w: FloatArray) -> None:
        parts = max(1, math.ceil(dt_s / self._settings.longest_step_s))
        for _ in range(parts):
            self.rows.step(
                dt_s / parts,
                chip_power_w=chip_power_w,
                sled_other_w=sled_other_w,
                commands=self._commands(dt_s / parts),
            )
        self.facility_power_w = self._facility_power_w()

    def _facility_power_w(self) -> FloatArray:
        rows, water = self.rows, self.rows.settings.facility
        weather = self._weather
        settled = facility.reject(
            water,
            dry_bulb_c=np.full_like(rows.rated_w, weather.dry_bulb_c),
            wet_bulb_c=np.full_like(rows.rated_w, weather.wet_bulb_c),
            heat_w=rows.heat_removed_w,
            rated_w=rows.rated_w,
            fan_limit_ratio=np.ones_like(rows.rated_w),
        )
        pumps_w = facility.pump_power_w(water, self._water_lpm)
        return settled.fan_power_w + settled.chiller_power_w + pumps_w

    def _commands(self, dt_s: float) -> RowCommands:
        """Fans follow the air that servers draw; the valve holds the supply air (PI)."""
        settings, handler = self._settings, self.rows.settings.handler
        drawn = np.add.reduceat(self.rows.air_w_per_k, self._first_sled)
        fan_ratio = settings.air_margin_ratio * drawn / (self._share * handler.air_nominal_w_per_k)
        over_k = self.rows.supply_air_c - settings.supply_air_c
        self._held_ratio = np.clip(self._held_ratio + settings.valve_per_k_s * over_k * dt_s, 0, 1)
        valve_ratio = np.clip(self._held_ratio + settings.valve_per_k * over_k, 0.02, 1.0)
        self._water_lpm = valve_ratio * handler.liquid_nominal_lpm * self._share
        return RowCommands(
            fan_ratio=np.clip(fan_ratio, settings.least_fan_ratio, 1.0),
            water_lpm=self._water_lpm,
            facility_c=self.rows.settings.facility.setpoint_c + self._facility_offset_k,
        )
