"""One cooling loop, stepped through time: facility water, CDU, headers, sleds, chips."""

import math
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from thermal import facility, heat_exchanger, pump, valve
from thermal.arrays import FloatArray, IntArray
from thermal.coolant import (
    LITRES_PER_MINUTE_PER_M3_PER_S,
    WATER_W_PER_K_PER_LPM,
    w_per_k_per_lpm,
)
from thermal.humidity import dew_point_c
from thermal.manifold import BranchConductance, chip_flow_lpm, conductance, share_of_flow
from thermal.plant.chips import ChipInputs, advance_chips
from thermal.plant.hydraulics import LoopResistance, draw_branches, sled_design_lpm
from thermal.plant.pipe import PlugFlow
from thermal.plant.settings import PlantSettings
from thermal.plant.state import Actuators, PlantFaults, PlantState, Weather

_ATMOSPHERE_KPA = 101.3
# Pumps draw gas when less than this share of the vessel is left.
_PRIME_LEVEL_RATIO = 0.05


class LoopPlant(PlantState):
    """The truth about one loop. `step` advances it; its fields are the state after the step.

    `faults` and `weather` may be changed between steps. `sled_of_chip` [chips] gives the row of
    each chip's sled, 0..sleds-1. `rng` draws the spread of built hardware once, here. Chip and
    sled arrays have `dtype`. Raises ValueError when `sled_of_chip` does not fit `sleds`.
    """

    def __init__(
        self,
        settings: PlantSettings,
        *,
        sled_of_chip: IntArray,
        sleds: int,
        rng: np.random.Generator,
        dtype: npt.DTypeLike = np.float64,
    ) -> None:
        chips = len(sled_of_chip)
        if chips == 0 or sled_of_chip.min() < 0 or sled_of_chip.max() >= sleds:
            raise ValueError(f"sled_of_chip must hold rows 0..{sleds - 1} for at least one chip")
        size = {"chips": chips, "sleds": sleds, "pumps": settings.pumps}
        rest = PlantState.at_rest(**size, start_c=settings.start_c, dtype=dtype)
        super().__init__(**{f.name: getattr(rest, f.name) for f in fields(PlantState)})
        self.settings = settings
        self.faults = PlantFaults.none(**size, dtype=dtype)
        climate = settings.weather
        self.weather = Weather(
            dry_bulb_c=climate.dry_bulb_c,
            wet_bulb_c=climate.wet_bulb_c,
            hall_air_c=climate.hall_air_c,
            hall_humidity_ratio=climate.hall_humidity_ratio,
        )
        at_rest = facility.reject(
            settings.facility,
            dry_bulb_c=climate.dry_bulb_c,
            wet_bulb_c=climate.wet_bulb_c,
            heat_w=0.0,
            rated_w=1.0,
            fan_limit_ratio=1.0,
        )
        self.facility_c = float(at_rest.supply_c)
        self._dtype = dtype
        self._sled_of_chip = sled_of_chip
        self._branches = draw_branches(
            settings, sled_of_chip=sled_of_chip, sleds=sleds, rng=rng, dtype=dtype
        )
        self._resistance = LoopResistance(
            settings=settings.hydraulics,
            design_lpm=sleds * sled_design_lpm(settings.sled, chips=chips, sleds=sleds),
        )
        spread = settings.chip.resistance_spread_ratio
        self._resistance_ratio = (
            1.0 + spread * np.clip(rng.standard_normal(chips), -3.0, 3.0)
        ).astype(dtype)
        self._supply_header = PlugFlow(settings.pipes.header_l, settings.start_c)
        self._return_header = PlugFlow(settings.pipes.header_l, settings.start_c)
        self._lost_l = 0.0

    def step(
        self,
        dt_s: float,
        *,
        chip_power_w: FloatArray,
        sled_other_liquid_w: FloatArray,
        actuators: Actuators,
    ) -> None:
        """Advance by `dt_s`, with powers [chips] and [sleds] and commands held over the step.

        Raises ValueError when an array or a command tuple has the wrong length.
        """
        self._check(chip_power_w, sled_other_liquid_w, actuators)
        parts = max(1, math.ceil(dt_s / self.settings.longest_step_s - 1e-9))
        power_w = chip_power_w.astype(self._dtype, copy=False)
        other_w = sled_other_liquid_w.astype(self._dtype, copy=False)
        for _ in range(parts):
            self._advance(dt_s / parts, power_w, other_w, actuators)

    def refill(self) -> None:
        """Fill the expansion vessel again, as a technician does after a leak."""
        self._lost_l = 0.0

    def _advance(
        self, dt_s: float, power_w: FloatArray, other_w: FloatArray, actuators: Actuators
    ) -> None:
        self._move_actuators(dt_s, actuators)
        self._advance_facility(dt_s)
        open_now = conductance(
            self._branches,
            chip_blockage_ratio=self.faults.chip_blockage_ratio,
            sled_blockage_ratio=self.faults.sled_blockage_ratio,
            sled_isolated=self.faults.sled_isolated,
        )
        self._balance_flows(open_now)
        self._leak(dt_s)
        self._advance_sleds(dt_s, power_w, other_w)
        self._advance_exchanger(dt_s)

    def _check(self, power_w: FloatArray, other_w: FloatArray, actuators: Actuators) -> None:
        pumps = self.settings.pumps
        if power_w.shape != self.junction_c.shape or other_w.shape != self.sled_inlet_c.shape:
            raise ValueError(
                f"expected power of {len(self.junction_c)} chips and {len(self.sled_inlet_c)}"
                f" sleds, got {power_w.shape} and {other_w.shape}"
            )
        if len(actuators.pump_ratio) != pumps or len(actuators.pump_enabled) != pumps:
            raise ValueError(f"expected commands for {pumps} pumps, got {actuators}")

    def _move_actuators(self, dt_s: float, actuators: Actuators) -> None:
        if not self.faults.valve_stuck:
            self.valve_ratio = valve.next_position(
                self.settings.valve, self.valve_ratio, actuators.valve_ratio, dt_s
            )
        for row, (command, enabled) in enumerate(
            zip(actuators.pump_ratio, actuators.pump_enabled, strict=True)
        ):
            self.pump_speed_ratio[row] = pump.next_speed(
                self.settings.drive,
                float(self.pump_speed_ratio[row]),
                command,
                driven=enabled and not self.faults.pump_tripped[row],
                dt_s=dt_s,
            )

    def _advance_facility(self, dt_s: float) -> None:
        settings, weather = self.settings, self.weather
        # Water that this loop does not take mixes back, so the towers see its heat, not its rise.
        rated_w = (
            settings.facility.range_k * settings.exchanger.cold_nominal_lpm * WATER_W_PER_K_PER_LPM
        )
        settled = facility.reject(
            settings.facility,
            dry_bulb_c=weather.dry_bulb_c,
            wet_bulb_c=weather.wet_bulb_c,
            heat_w=self.heat_removed_w,
            rated_w=rated_w,
            fan_limit_ratio=1.0,
        )
        self.facility_power_w = (
            settled.fan_power_w
            + settled.chiller_power_w
            + facility.pump_power_w(settings.facility, self.primary_flow_lpm)
        )
        self.facility_c = float(
            facility.next_supply_c(settings.facility, self.facility_c, settled.supply_c, dt_s)
        )
        self.primary_supply_c = self.facility_c + self.faults.facility_offset_k
        self.primary_flow_lpm = settings.exchanger.cold_nominal_lpm * valve.flow_ratio(
            settings.valve, self.valve_ratio
        )
        self.hall_air_c = weather.hall_air_c
        self.dew_point_c = dew_point_c(weather.hall_air_c, weather.hall_humidity_ratio)

    def _balance_flows(self, open_now: BranchConductance) -> None:
        prime = math.sqrt(min(1.0, self.reservoir_level_ratio / _PRIME_LEVEL_RATIO))
        speeds = [float(speed) * prime for speed in self.pump_speed_ratio]
        system = self._resistance.curve(open_now, 0.5 * (self.supply_c + self.return_c))
        flow, head = pump.operating_point(self.settings.pump, speeds, system)
        self.secondary_flow_lpm, self.secondary_dp_kpa = flow, head
        self.sled_flow_lpm = share_of_flow(open_now.sled) * flow
        self.chip_flow_lpm = chip_flow_lpm(self.sled_flow_lpm, open_now, self._sled_of_chip)
        self.pump_heat_w = head * 1e3 * flow / LITRES_PER_MINUTE_PER_M3_PER_S
        for row, speed in enumerate(speeds):
            own = pump.flow_at_head_lpm(self.settings.pump, speed, head)
            self.pump_power_w[row] = pump.electric_w(
                self.settings.drive, self.settings.pump, speed, own
            )

    def _leak(self, dt_s: float) -> None:
        """Lose coolant; the pressure falls with the gas cushion's growth before the level."""
        vessel = self.settings.vessel
        driving = math.sqrt(max(self.return_pressure_kpa, 0.0) / vessel.fill_kpa)
        lost_lpm = driving * float(self.faults.leak_lpm[~self.faults.sled_isolated].sum())
        self._lost_l = min(self._lost_l + lost_lpm * dt_s / 60.0, vessel.volume_l)
        self.reservoir_level_ratio = 1.0 - self._lost_l / vessel.volume_l
        gas = vessel.gas_l / (vessel.gas_l + self._lost_l)
        self.return_pressure_kpa = (vessel.fill_kpa + _ATMOSPHERE_KPA) * gas - _ATMOSPHERE_KPA
        self.supply_pressure_kpa = self.return_pressure_kpa + self.secondary_dp_kpa
        self.return_flow_lpm = max(0.0, self.secondary_flow_lpm - lost_lpm)

    def _advance_sleds(self, dt_s: float, power_w: FloatArray, other_w: FloatArray) -> None:
        sled, flow = self.settings.sled, self.sled_flow_lpm
        arriving_c = self._supply_header.push(self.secondary_flow_lpm * dt_s / 60.0, self.supply_c)
        renewed = -np.expm1(-flow * (dt_s / 60.0 / sled.hose_l))
        self.sled_inlet_c = self.sled_inlet_c + renewed * (arriving_c - self.sled_inlet_c)
        per_lpm = float(w_per_k_per_lpm(0.5 * (self.supply_c + self.return_c)))
        inputs = ChipInputs(
            power_w=power_w,
            inlet_c=self.sled_inlet_c[self._sled_of_chip],
            flow_lpm=self.chip_flow_lpm,
            resistance_ratio=self._resistance_ratio * self.faults.chip_resistance_ratio,
            w_per_k_per_lpm=per_lpm,
        )
        advance_chips(self, inputs, self.settings.chip, self.settings.plate, dt_s)
        chip_lpm, chip_lpm_c = (
            np.bincount(self._sled_of_chip, weights=weights, minlength=len(flow))
            for weights in (self.chip_flow_lpm, self.chip_flow_lpm * self.chip_outlet_c)
        )
        other_lpm = np.maximum(flow - chip_lpm, 0.0)
        self._advance_other(dt_s, other_w, other_lpm * per_lpm)
        mixed_c = (chip_lpm_c + other_lpm * self.other_c) / np.maximum(flow, 1e-6)
        self.sled_outlet_c = np.where(flow > 1e-6, mixed_c, self.sled_outlet_c).astype(
            self._dtype, copy=False
        )

    def _advance_other(self, dt_s: float, other_w: FloatArray, rate_w_per_k: FloatArray) -> None:
        """Well mixed plates of CPU, NIC and switch, implicit like the chips."""
        store = self.settings.sled.other_j_per_k / dt_s
        self.other_c = (
            (store * self.other_c + other_w + rate_w_per_k * self.sled_inlet_c)
            / (store + rate_w_per_k)
        ).astype(self._dtype, copy=False)

    def _advance_exchanger(self, dt_s: float) -> None:
        settings, flow = self.settings, self.secondary_flow_lpm
        mixed_c = self._return_header.outlet_c
        if flow > 0.0:
            mixed_c = float(self.sled_flow_lpm @ self.sled_outlet_c) / flow
        self.return_c = self._return_header.push(flow * dt_s / 60.0, mixed_c)
        hot_per_lpm = float(w_per_k_per_lpm(0.5 * (self.supply_c + self.return_c)))
        # Pump heat warms the coolant by dP / (rho cp), whatever the flow.
        warmed_k = self.pump_heat_w / (flow * hot_per_lpm) if flow > 0.0 else 0.0
        cold_w_per_k = self.primary_flow_lpm * WATER_W_PER_K_PER_LPM
        hot_out_c, cold_out_c = heat_exchanger.outlet_temperatures_c(
            hot_in_c=self.return_c + warmed_k,
            cold_in_c=self.primary_supply_c,
            hot_w_per_k=flow * hot_per_lpm,
            cold_w_per_k=cold_w_per_k,
            ua=heat_exchanger.ua_w_per_k(
                settings.exchanger,
                hot_lpm=flow,
                cold_lpm=self.primary_flow_lpm,
                fouling_ratio=self.faults.fouling_ratio,
            ),
        )
        renewed = 0.5 * (
            flow / settings.exchanger.hot_nominal_lpm
            + self.primary_flow_lpm / settings.exchanger.cold_nominal_lpm
        )
        share = -math.expm1(-dt_s * renewed / settings.pipes.exchanger_lag_s)
        self.supply_c += share * (hot_out_c - self.supply_c)
        self.primary_return_c += share * (cold_out_c - self.primary_return_c)
        self.heat_removed_w = cold_w_per_k * (self.primary_return_c - self.primary_supply_c)
