"""Air-cooled rows, all of a hall in one batch: chips, sinks, server fans, aisle, air handler."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from thermal import coil
from thermal.arrays import FloatArray, IntArray
from thermal.coolant import WATER_W_PER_K_PER_LPM
from thermal.plant.air_settings import AirRowSettings


@dataclass(slots=True, kw_only=True)
class AirFaults:
    """Faults in force; arrays may be changed between steps."""

    chip_resistance_ratio: FloatArray
    """[chips] sink resistance over clean: dust or a dried interface."""
    sled_blockage_ratio: FloatArray
    """[sleds] share of the air lost: clogged filter, dead fans; 1 = no fan turns."""
    fouling_ratio: FloatArray
    """[rows] share of the handler coil's UA lost."""
    fan_tripped: npt.NDArray[np.bool_]
    """[rows] the handler's fans have stopped."""

    @classmethod
    def none(cls, *, chips: int, sleds: int, rows: int) -> Self:
        return cls(
            chip_resistance_ratio=np.ones(chips, np.float32),
            sled_blockage_ratio=np.zeros(sleds),
            fouling_ratio=np.zeros(rows),
            fan_tripped=np.zeros(rows, np.bool_),
        )


@dataclass(slots=True, kw_only=True)
class RowCommands:
    """What the air handlers are told, arrays [rows]."""

    fan_ratio: FloatArray
    water_lpm: FloatArray
    """What the valve of the moment lets through."""
    facility_c: FloatArray


class AirRows:
    """Truth after each step; public arrays are its own, replace nothing from outside.

    [chips] arrays are float32, [sleds] and [rows] float64. Sleds stand row by row, chips sled by
    sled.
    """

    def __init__(
        self,
        settings: AirRowSettings,
        *,
        row_of_sled: IntArray,
        sled_of_chip: IntArray,
        chip_rated_w: FloatArray,
        sled_rated_w: FloatArray,
        rng: np.random.Generator,
    ) -> None:
        """`sled_rated_w` [sleds] is a sled's power with its chips. Raises ValueError for maps that
        leave a row or a sled empty or out of order.
        """
        self._check(row_of_sled, sled_of_chip)
        self.settings = settings
        chips, sleds, rows = len(sled_of_chip), len(row_of_sled), int(row_of_sled[-1]) + 1
        self._sled_of_chip, self._row_of_sled = sled_of_chip, row_of_sled
        self._first_chip = np.flatnonzero(np.diff(sled_of_chip, prepend=-1))
        self._first_sled = np.flatnonzero(np.diff(row_of_sled, prepend=-1))
        self._chips_of_sled = np.bincount(sled_of_chip)
        self._rated_w = sled_rated_w.astype(np.float64)
        self.rated_w: FloatArray = np.add.reduceat(self._rated_w, self._first_sled)
        """[rows] heat that the handlers are built for."""
        self._handler_share = self.rated_w / settings.handler_w
        self._chip_w = chip_rated_w.astype(np.float32)
        spread = np.clip(rng.standard_normal(chips), -3.0, 3.0)
        self._unevenness = (1.0 + settings.sink.spread_ratio * spread).astype(np.float32)
        self.faults = AirFaults.none(chips=chips, sleds=sleds, rows=rows)
        self._rest(chips, sleds, rows)

    def _rest(self, chips: int, sleds: int, rows: int) -> None:
        start_c = self.settings.start_c
        self.junction_c: FloatArray = np.full(chips, start_c, np.float32)
        self.hbm_c: FloatArray = np.full(chips, start_c, np.float32)
        self.sink_c: FloatArray = np.full(chips, start_c, np.float32)
        self.fan_speed_ratio: FloatArray = np.full(sleds, self.settings.server.slowest_ratio)
        self.fan_power_w: FloatArray = np.zeros(sleds)
        self.inlet_air_c: FloatArray = np.full(sleds, start_c)
        self.outlet_air_c: FloatArray = np.full(sleds, start_c)
        self.air_w_per_k: FloatArray = np.zeros(sleds)
        self.supply_air_c: FloatArray = np.full(rows, start_c)
        self.return_air_c: FloatArray = np.full(rows, start_c)
        self.hot_aisle_c: FloatArray = np.full(rows, start_c)
        self.recirculated_share: FloatArray = np.zeros(rows)
        self.handler_fan_ratio: FloatArray = np.zeros(rows)
        self.handler_fan_w: FloatArray = np.zeros(rows)
        self.heat_removed_w: FloatArray = np.zeros(rows)
        """[rows] into the chilled water, handler fans included."""

    def step(
        self,
        dt_s: float,
        *,
        chip_power_w: FloatArray,
        sled_other_w: FloatArray,
        commands: RowCommands,
    ) -> None:
        """Advance by `dt_s`, with powers [chips] and [sleds] held over the step."""
        if chip_power_w.shape != self.junction_c.shape or sled_other_w.shape != self._rated_w.shape:
            raise ValueError(
                f"expected power of {len(self.junction_c)} chips and {len(self._rated_w)} sleds,"
                f" got {chip_power_w.shape} and {sled_other_w.shape}"
            )
        power_w = chip_power_w.astype(np.float32, copy=False)
        self._move_fans(dt_s, commands)
        self._breathe()
        beside_w = sled_other_w + self.fan_power_w
        sink_w = self._advance_chips(dt_s, power_w, beside_w)
        self._warm_air(sink_w + beside_w, dt_s)
        self._handle_air(dt_s, commands)

    def _move_fans(self, dt_s: float, commands: RowCommands) -> None:
        server = self.settings.server
        hottest_c = np.maximum.reduceat(self.junction_c, self._first_chip)
        demand = np.clip((hottest_c - server.quiet_c) / (server.full_c - server.quiet_c), 0.0, 1.0)
        wanted = server.slowest_ratio + (1.0 - server.slowest_ratio) * demand
        self.fan_speed_ratio += -math.expm1(-dt_s / server.lag_s) * (wanted - self.fan_speed_ratio)
        turning = self.fan_speed_ratio * (1.0 - self.faults.sled_blockage_ratio)
        self.fan_power_w = server.fan_w_per_w * self._rated_w * turning**3
        moved = np.maximum(turning, server.still_air_ratio)
        self.air_w_per_k = self._rated_w / server.air_rise_k * moved
        ramp = dt_s / self.settings.fan_ramp_s
        asked = np.where(self.faults.fan_tripped, 0.0, np.clip(commands.fan_ratio, 0.0, 1.0))
        self.handler_fan_ratio += np.clip(asked - self.handler_fan_ratio, -ramp, ramp)

    def _breathe(self) -> None:
        """Servers draw what the handler gives, and the hot aisle's air for the rest."""
        drawn = np.add.reduceat(self.air_w_per_k, self._first_sled)
        given = self._handler_share * coil.air_w_per_k(
            self.settings.handler, self.handler_fan_ratio
        )
        self.recirculated_share = np.maximum(1.0 - given / drawn, self.settings.leak_share)
        mixed_c = self.supply_air_c + self.recirculated_share * (
            self.hot_aisle_c - self.supply_air_c
        )
        self.inlet_air_c = mixed_c[self._row_of_sled]
        through = drawn * (1.0 - self.recirculated_share) / given
        self.return_air_c = self.supply_air_c + through * (self.hot_aisle_c - self.supply_air_c)

    def _advance_chips(self, dt_s: float, power_w: FloatArray, beside_w: FloatArray) -> FloatArray:
        """Backward Euler over junction - sink - sled inlet; [sleds] heat that sinks give off.

        Half of what warms the sled's air warms it before the mean sink: `beside_w` [sleds] as a
        warmer inlet, the chips' own heat as a resistance in series, each with its share of the air.
        """
        sink, chip = self.settings.sink, self._sled_of_chip
        halfway = 0.5 / self.air_w_per_k
        ambient_c = (self.inlet_air_c + beside_w * halfway).astype(np.float32)[chip]
        own_k_per_w = (self._chips_of_sled * halfway).astype(np.float32)[chip]
        air_ratio = self.air_w_per_k * self.settings.server.air_rise_k / self._rated_w
        film = (air_ratio**sink.air_exponent).astype(np.float32)[chip]
        dirty = self._unevenness * self.faults.chip_resistance_ratio
        film_k_per_w = np.float32(sink.sink_rise_k) * dirty / (self._chip_w * film)
        to_air = 1 / (film_k_per_w + own_k_per_w)
        to_sink = self._chip_w / np.float32(sink.case_rise_k)
        store_junction = np.float32(sink.junction_j_per_k / dt_s)
        store_sink = np.float32(sink.sink_j_per_k / dt_s)
        drive = store_junction * self.junction_c + power_w
        gain = to_sink / (store_junction + to_sink)
        self.sink_c = (store_sink * self.sink_c + gain * drive + to_air * ambient_c) / (
            store_sink + to_sink * (1 - gain) + to_air
        )
        self.junction_c = (drive + to_sink * self.sink_c) / (store_junction + to_sink)
        settled_c = self.junction_c + np.float32(sink.hbm_rise_k) * power_w / self._chip_w
        self.hbm_c = settled_c + (self.hbm_c - settled_c) * np.float32(
            math.exp(-dt_s / sink.hbm_lag_s)
        )
        given_w = (to_air * (self.sink_c - ambient_c)).astype(np.float64)
        heat: FloatArray = np.add.reduceat(given_w, self._first_chip)
        return heat

    def _warm_air(self, heat_w: FloatArray, dt_s: float) -> None:
        self.outlet_air_c = self.inlet_air_c + heat_w / self.air_w_per_k
        drawn = np.add.reduceat(self.air_w_per_k, self._first_sled)
        mixed_c = np.add.reduceat(self.air_w_per_k * self.outlet_air_c, self._first_sled) / drawn
        share = -math.expm1(-dt_s / self.settings.aisle_s)
        self.hot_aisle_c += share * (mixed_c - self.hot_aisle_c)

    def _handle_air(self, dt_s: float, commands: RowCommands) -> None:
        """The handler cools the return air; its fans' heat goes into it before the coil."""
        handler, share = self.settings.handler, self._handler_share
        fan = self.handler_fan_ratio
        self.handler_fan_w = share * coil.fan_power_w(handler, fan)
        air = share * coil.air_w_per_k(handler, fan)
        entering_c = self.return_air_c + self.handler_fan_w / air
        lpm = commands.water_lpm / share
        taken_w = -share * coil.exchanged_w(
            handler,
            liquid_in_c=commands.facility_c,
            air_in_c=entering_c,
            liquid_lpm=lpm,
            liquid_w_per_k=lpm * WATER_W_PER_K_PER_LPM,
            fan_ratio=fan,
            fouling_ratio=self.faults.fouling_ratio,
        )
        lag = -math.expm1(-dt_s / self.settings.coil_s)
        self.supply_air_c += lag * (entering_c - taken_w / air - self.supply_air_c)
        self.heat_removed_w = air * (entering_c - self.supply_air_c)

    @staticmethod
    def _check(row_of_sled: IntArray, sled_of_chip: IntArray) -> None:
        for name, owner, owners in (
            ("row_of_sled", row_of_sled, None),
            ("sled_of_chip", sled_of_chip, len(row_of_sled)),
        ):
            steps = np.diff(owner, prepend=-1)
            if not len(owner) or not np.isin(steps[1:], (0, 1)).all() or steps[0] != 1:
                raise ValueError(f"{name} must count up from 0 without a gap")
            if owners is not None and int(owner[-1]) != owners - 1:
                raise ValueError(f"{name} must name all of {owners} sleds")
