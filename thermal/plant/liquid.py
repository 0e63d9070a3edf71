"""All cooling loops of a hall, stepped together: facility, CDUs, headers, sleds, chips."""

import math
from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from thermal import facility, valve
from thermal.arrays import BoolArray, FloatArray, IntArray
from thermal.coolant import (
    LITRES_PER_MINUTE_PER_M3_PER_S,
    WATER_W_PER_K_PER_LPM,
    w_per_k_per_lpm,
)
from thermal.humidity import dew_point_c
from thermal.plant.exchanger import Exchangers, Side
from thermal.plant.hydraulics import Manifolds
from thermal.plant.in_row import InRowCoolers
from thermal.plant.layout import PlantLayout
from thermal.plant.parameters import column, common
from thermal.plant.pipe import PlugFlow
from thermal.plant.pumps import Pumps
from thermal.plant.settings import PlantSettings
from thermal.plant.sleds import LoopFlow, Shares, SledBatch
from thermal.plant.state import Commands, PlantFaults, PlantState, Weather

_ATMOSPHERE_KPA = 101.3
# Pumps draw gas when less than this share of the vessel is left.
_PRIME_LEVEL_RATIO = 0.05


class LiquidPlant(PlantState):
    """The truth about the liquid loops of a hall; one loop is a batch of one.

    `step` advances it; its fields are the state after the step. `weather` may be changed between
    steps, faults through `break_parts`. `settings` has one entry a loop. `rng` draws the spread of
    built hardware once, here, and later the noise of gas in the coolant. Raises ValueError when
    `settings` does not fit `layout`, or loops differ in what a hall has in common.
    """

    def __init__(
        self,
        settings: Sequence[PlantSettings],
        *,
        layout: PlantLayout,
        rng: np.random.Generator,
    ) -> None:
        if len(settings) != layout.loops:
            raise ValueError(f"{layout.loops} loops need as many settings, got {len(settings)}")
        self.settings = tuple(settings)
        self.layout = layout
        self.pumps = common(settings, lambda loop: loop.pumps)
        self.weather = Weather.of(common(settings, lambda loop: loop.weather))
        self._rng = rng
        self._facility = common(settings, lambda loop: loop.facility)
        self._valve = common(settings, lambda loop: loop.valve)
        self._longest_step_s = common(settings, lambda loop: loop.longest_step_s)
        self._gas = common(settings, lambda loop: loop.gas)
        self._manifolds = Manifolds(settings, layout, rng)
        self._pumps = Pumps(settings)
        self._exchangers = Exchangers(settings)
        self._by_air: BoolArray = np.array([loop.in_row is not None for loop in settings])
        by_air = np.flatnonzero(self._by_air)
        self._in_row = InRowCoolers(settings, by_air) if len(by_air) else None
        self._sleds = SledBatch(settings, layout)
        self._keep_figures(settings)
        start_c = column(settings, "start_c")
        rest = PlantState.at_rest(layout=layout, pumps=self.pumps, start_c=start_c)
        super().__init__(**{f.name: getattr(rest, f.name) for f in fields(PlantState)})
        self.facility_c = facility.reject(
            self._facility,
            dry_bulb_c=np.full(layout.loops, self.weather.dry_bulb_c),
            wet_bulb_c=np.full(layout.loops, self.weather.wet_bulb_c),
            heat_w=np.zeros(layout.loops),
            rated_w=self._rated_w,
            fan_limit_ratio=np.ones(layout.loops),
        ).supply_c
        spread = column(settings, "chip.resistance_spread_ratio")
        self._built_ratio = 1.0 + np.repeat(spread, layout.chips_of_loop) * np.clip(
            rng.standard_normal(layout.chips, dtype=np.float32), -3.0, 3.0
        )
        self.faults = PlantFaults.none(layout=layout, pumps=self.pumps)
        self._open_up(np.arange(layout.sleds))

    def _keep_figures(self, settings: Sequence[PlantSettings]) -> None:
        loops, start_c = self.layout.loops, column(settings, "start_c")
        self.facility_setpoint_c: FloatArray = np.full(loops, self._facility.setpoint_c)
        """[loops] what the building's controller holds; may be changed between steps."""
        self._vessel_l = column(settings, "vessel.volume_l")
        self._gas_l = column(settings, "vessel.gas_l")
        self._fill_kpa = column(settings, "vessel.fill_kpa")
        self._hot_nominal_lpm = column(settings, "exchanger.hot_nominal_lpm")
        self._cold_nominal_lpm = column(settings, "exchanger.cold_nominal_lpm")
        self._exchanger_lag_s = column(settings, "pipes.exchanger_lag_s")
        self._rated_w = self._facility.range_k * self._cold_nominal_lpm * WATER_W_PER_K_PER_LPM
        header_l = column(settings, "pipes.header_l")
        self._supply_header = PlugFlow(header_l, start_c)
        self._return_header = PlugFlow(header_l, start_c)
        self._lost_l = np.zeros(loops)
        self._open_leaks_lpm: FloatArray = np.zeros(loops)
        self._valve_moving = np.zeros(loops, np.bool_)

    # --- what is done to it ------------------------------------------------------------------

    def step(
        self,
        dt_s: float,
        *,
        chip_power_w: FloatArray,
        sled_other_liquid_w: FloatArray,
        commands: Commands,
    ) -> None:
        """Advance by `dt_s`, with powers [chips] and [sleds] and commands held over the step.

        Raises ValueError when an array has the wrong shape.
        """
        self._check(chip_power_w, sled_other_liquid_w, commands)
        parts = max(1, math.ceil(dt_s / self._longest_step_s - 1e-9))
        for _ in range(parts):
            self._move_actuators(dt_s / parts, commands)
            self._advance_facility(dt_s / parts)
            self._balance_flows()
            self._leak(dt_s / parts)
            rise_k = self._advance_sleds(dt_s / parts, (chip_power_w, sled_other_liquid_w))
            self._advance_exchanger(dt_s / parts, rise_k)

    def break_parts(self, faults: PlantFaults) -> None:
        """Set the faults to exactly these. Handing the same object again costs nothing."""
        before, self.faults = self.faults, faults
        if faults is before:
            return
        self._open_leaks_lpm = np.add.reduceat(self.leaking_lpm(), self.layout.first_sled)
        loops = before.air_ratio != faults.air_ratio
        chips = (before.chip_blockage_ratio != faults.chip_blockage_ratio) | (
            before.chip_resistance_ratio != faults.chip_resistance_ratio
        )
        sleds = (before.sled_blockage_ratio != faults.sled_blockage_ratio) | (
            before.sled_isolated != faults.sled_isolated
        )
        sleds |= loops[self.layout.loop_of_sled]
        sleds[self.layout.sled_of_chip[chips]] = True
        if sleds.any():
            self._open_up(np.flatnonzero(sleds))

    def refill(self) -> None:
        """Fill the expansion vessels again, as a technician does after a leak."""
        self._lost_l[:] = 0.0

    # --- what can be asked -------------------------------------------------------------------

    @property
    def chip_flow_lpm(self) -> FloatArray:
        """[chips]"""
        flow: FloatArray = self.sled_flow_lpm[self.layout.sled_of_chip] * self._manifolds.chip_share
        return flow

    def leaking_lpm(self) -> FloatArray:
        """[sleds] leaks in force at the fill pressure, where no valve isolates them."""
        leak: FloatArray = np.where(self.faults.sled_isolated, 0.0, self.faults.leak_lpm)
        return leak

    # --- one step ----------------------------------------------------------------------------

    def _check(self, power_w: FloatArray, other_w: FloatArray, commands: Commands) -> None:
        layout = self.layout
        if power_w.shape != (layout.chips,) or other_w.shape != (layout.sleds,):
            raise ValueError(
                f"expected power of {layout.chips} chips and {layout.sleds} sleds,"
                f" got {power_w.shape} and {other_w.shape}"
            )
        wanted = (layout.loops, self.pumps)
        if commands.pump_ratio.shape != wanted or commands.pump_enabled.shape != wanted:
            raise ValueError(
                f"expected commands for {layout.loops} loops of {self.pumps} pumps,"
                f" got {commands.pump_ratio.shape}"
            )

    def _open_up(self, sleds: IntArray) -> None:
        self._manifolds.open_up(self.faults, sleds)
        chips = self.layout.chips_in(sleds)
        gas = (
            1.0
            + self._gas.film_loss_factor * self.faults.air_ratio[self.layout.loop_of_sled[sleds]]
        )
        ratio = self._built_ratio[chips] * self.faults.chip_resistance_ratio[chips]
        self._sleds.set_resistance(chips, ratio * np.repeat(gas, self.layout.chips_of_sled[sleds]))

    def _move_actuators(self, dt_s: float, commands: Commands) -> None:
        faults = self.faults
        powered: BoolArray = ~faults.power_feed_lost
        self.valve_ratio, self._valve_moving = valve.next_position(
            self._valve,
            self.valve_ratio,
            commands.valve_ratio,
            moving=self._valve_moving,
            reach_ratio=np.where(
                faults.valve_stuck | self._by_air | ~powered,
                0.0,
                (1.0 - faults.valve_slow_ratio) * (dt_s / self._valve.stroke_s),
            ),
        )
        if self._in_row is not None:
            self._move_fans(self._in_row, commands.fan_ratio, powered, dt_s)
        driven = commands.pump_enabled & ~faults.pump_tripped & powered[:, None]
        self.pump_speed_ratio = self._pumps.next_speed(
            self.pump_speed_ratio, commands.pump_ratio, driven, dt_s
        )

    def _move_fans(
        self, cooler: InRowCoolers, fan_ratio: FloatArray, powered: BoolArray, dt_s: float
    ) -> None:
        speed, power_w = np.zeros(self.layout.loops), np.zeros(self.layout.loops)
        speed[cooler.rows] = cooler.next_speed(self.fan_speed_ratio, fan_ratio, powered, dt_s)
        power_w[cooler.rows] = cooler.fan_power_w(speed)
        self.fan_speed_ratio, self.fan_power_w = speed, power_w

    @property
    def outdoor_wet_bulb_c(self) -> FloatArray:
        """[loops]"""
        return self.weather.wet_bulb_c + self.faults.wet_bulb_offset_k

    def _advance_facility(self, dt_s: float) -> None:
        weather, faults = self.weather, self.faults
        settled = facility.reject(
            self._facility,
            dry_bulb_c=weather.dry_bulb_c + faults.wet_bulb_offset_k,
            wet_bulb_c=weather.wet_bulb_c + faults.wet_bulb_offset_k,
            # Water that a loop does not take mixes back, so the towers see its heat, not its rise.
            heat_w=self.heat_removed_w,
            rated_w=self._rated_w,
            fan_limit_ratio=np.where(faults.power_feed_lost, 0.0, 1.0),
            asked_c=self.facility_setpoint_c,
        )
        self.facility_c = facility.next_supply_c(
            self._facility, self.facility_c, settled.supply_c, dt_s
        )
        self.hall_air_c = np.full(self.layout.loops, weather.hall_air_c)
        self.primary_supply_c = np.where(
            self._by_air, self.hall_air_c, self.facility_c + faults.facility_offset_k
        )
        self.primary_flow_lpm = np.where(
            self._by_air,
            0.0,
            self._cold_nominal_lpm * valve.flow_ratio(self._valve, self.valve_ratio),
        )
        self.facility_power_w = (
            settled.fan_power_w
            + settled.chiller_power_w
            + facility.pump_power_w(self._facility, self.primary_flow_lpm)
        )
        if self._in_row is not None:
            onward_w = self._in_row.hall_power_w(self.heat_removed_w)
            self.facility_power_w[self._in_row.rows] += onward_w
        humidity = weather.hall_humidity_ratio + faults.humidity_offset_ratio
        self.dew_point_c = dew_point_c(self.hall_air_c, humidity)

    def _balance_flows(self) -> None:
        prime = np.sqrt(np.minimum(1.0, self.reservoir_level_ratio / _PRIME_LEVEL_RATIO))
        speed = self.pump_speed_ratio * prime[:, None]
        head_ratio = (1.0 - self.faults.pump_wear_ratio) * self._head_with_gas()[:, None]
        flow, head = self._pumps.balance(
            speed,
            head_ratio,
            self._manifolds.curves(0.5 * (self.supply_c + self.return_c)),
            self.secondary_dp_kpa,
        )
        self.secondary_flow_lpm, self.secondary_dp_kpa = flow, head
        self.pump_heat_w = head * 1e3 * flow / LITRES_PER_MINUTE_PER_M3_PER_S
        own_lpm = self._pumps.flow_at_head_lpm(speed, head_ratio, head)
        self.pump_power_w = self._pumps.electric_w(speed, own_lpm)

    def _head_with_gas(self) -> FloatArray:
        """[loops] head of the pumps over that with clean coolant; gas comes in slugs."""
        air = self.faults.air_ratio
        if not air.any():
            return np.ones(self.layout.loops)
        slugs = 1.0 + self._gas.noise_ratio * self._rng.standard_normal(self.layout.loops)
        left: FloatArray = np.clip(1.0 - self._gas.head_loss_factor * air * slugs, 0.0, 1.0)
        return left

    def _leak(self, dt_s: float) -> None:
        """Lose coolant; the pressure falls with the gas cushion's growth before the level."""
        driving = np.sqrt(np.maximum(self.return_pressure_kpa, 0.0) / self._fill_kpa)
        lost_lpm = driving * self._open_leaks_lpm
        self._lost_l = np.minimum(self._lost_l + lost_lpm * (dt_s / 60.0), self._vessel_l)
        self.reservoir_level_ratio = 1.0 - self._lost_l / self._vessel_l
        gas = self._gas_l / (self._gas_l + self._lost_l)
        self.return_pressure_kpa = (self._fill_kpa + _ATMOSPHERE_KPA) * gas - _ATMOSPHERE_KPA
        self.supply_pressure_kpa = self.return_pressure_kpa + self.secondary_dp_kpa
        self.return_flow_lpm = np.maximum(0.0, self.secondary_flow_lpm - lost_lpm)

    def _advance_sleds(self, dt_s: float, powers_w: tuple[FloatArray, FloatArray]) -> FloatArray:
        """Temperature rise [loops] from the arriving coolant to the mixed return."""
        manifolds = self._manifolds
        self._w_per_k_per_lpm = w_per_k_per_lpm(0.5 * (self.supply_c + self.return_c))
        loop = LoopFlow(
            flow_lpm=self.secondary_flow_lpm,
            arriving_c=self._supply_header.push(
                self.secondary_flow_lpm * (dt_s / 60.0), self.supply_c
            ),
            w_per_k_per_lpm=self._w_per_k_per_lpm,
        )
        shares = Shares(
            sled_share=manifolds.sled_share,
            chip_share=manifolds.chip_share,
            other_share=manifolds.other_share,
        )
        return self._sleds.advance(self, shares, loop, powers_w, dt_s)

    def _advance_exchanger(self, dt_s: float, rise_k: FloatArray) -> None:
        flow = self.secondary_flow_lpm
        self.return_c = self._return_header.push(
            flow * (dt_s / 60.0), self._supply_header.outlet_c + rise_k
        )
        hot_w_per_k = flow * self._w_per_k_per_lpm
        # Pump heat warms the coolant by dP / (rho cp), whatever the flow.
        warmed_k = np.where(
            flow > 0.0, self.pump_heat_w / np.where(flow > 0.0, hot_w_per_k, 1.0), 0
        )
        hot = Side(
            inlet_c=self.return_c + warmed_k,
            w_per_k=hot_w_per_k,
            flow_ratio=flow / self._hot_nominal_lpm,
        )
        cold = self._cold_side()
        hot_out_c, cold_out_c = self._exchangers.outlets_c(hot, cold, self.faults.fouling_ratio)
        if self._in_row is not None:
            rows = self._in_row.rows
            hot_out_c[rows], cold_out_c[rows] = self._in_row.outlets_c(
                hot, cold, flow, self.faults.fouling_ratio
            )
        renewed = 0.5 * (hot.flow_ratio + cold.flow_ratio)
        share = -np.expm1(-dt_s * renewed / self._exchanger_lag_s)
        self.supply_c = self.supply_c + share * (hot_out_c - self.supply_c)
        self.primary_return_c = self.primary_return_c + share * (cold_out_c - self.primary_return_c)
        self.heat_removed_w = cold.w_per_k * (self.primary_return_c - self.primary_supply_c)

    def _cold_side(self) -> Side:
        """Facility water, or air."""
        w_per_k = self.primary_flow_lpm * WATER_W_PER_K_PER_LPM
        flow_ratio = self.primary_flow_lpm / self._cold_nominal_lpm
        if self._in_row is not None:
            w_per_k[self._in_row.rows] = self._in_row.air_w_per_k(self.fan_speed_ratio)
            flow_ratio = flow_ratio + self.fan_speed_ratio
        return Side(inlet_c=self.primary_supply_c, w_per_k=w_per_k, flow_ratio=flow_ratio)
