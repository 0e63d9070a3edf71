"""Sleds and chips of all loops: one implicit step, tile by tile, in place.

The chain of a chip is junction - plate - coolant - inlet, advanced by backward Euler and solved by
elimination. With S = C / dt for each node, a the junction-to-plate conductance, G plate to coolant
and K coolant to inlet, and j = a / (Sj + a), b = Sp + a (1 - j):

    e = j (Sj Tj + P) / b,    n = (Sp / b) Tp + e,    H = G b / (G + b)   (plate behind its store)
    To' = (So To + K Tin + H n) / (So + K + H),    Tp' = n + (H / b)(To' - n),
    Tj' = (b / a) e + j Tp',    heat into the flow = K (To' - Tin)

Stable for every flow and step; what a step takes in equals what it stores and gives off. Each line
is one pass over a tile in single precision, with K and H kept divided by So. A pass over what is in
the cache is cheap, a column that comes from memory is not: only H / So is kept for each chip.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from thermal.arrays import FloatArray, IntArray
from thermal.cold_plate import ColdPlateSettings
from thermal.coolant import w_per_k_per_lpm
from thermal.plant.layout import PlantLayout
from thermal.plant.settings import ChipSettings, PlantSettings, SledSettings
from thermal.plant.state import PlantState

Floats = npt.NDArray[np.float32]

TILE_CHIPS: Final = 131072
"""Chips whose columns are passed over together: large enough that a pass costs more than its call,
small enough for the cache."""
_SCRATCH_ROWS = 5
# Within 0.5 % over 15..60 C: good enough to ask which flow a film sees.
_W_PER_K_PER_LPM = float(w_per_k_per_lpm(40.0))
# Heat capacity rates below this leave an outlet where it was.
_STILL_W_PER_K = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """Adjacent sleds of one make."""

    number: int
    sleds: slice
    chips: slice
    chips_per_sled: int
    loops: slice
    sleds_of_loop: IntArray
    """How many of the tile's sleds are on each of `loops`."""
    chip: ChipSettings
    plate: ColdPlateSettings
    sled: SledSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipLaw:
    """The elimination's figures for one make of chip and one step length."""

    coolant_w_per_k: float
    plate_w_per_k: float
    coolant_share: float
    """So / b: turns H / So into H / b."""
    junction_gain: float
    kept_junction_factor: float
    power_k_per_w: float
    kept_plate_factor: float
    drive_factor: float
    hbm_kept_ratio: float
    hbm_drive_factor: float
    """Of the power already scaled by `power_k_per_w`."""

    @classmethod
    def of(cls, chip: ChipSettings, dt_s: float) -> "ChipLaw":
        junction, plate = chip.junction_j_per_k / dt_s, chip.plate_j_per_k / dt_s
        a = 1.0 / chip.junction_to_case_k_per_w
        gain = a / (junction + a)
        b = plate + a * (1.0 - gain)
        keeps = math.exp(-dt_s / chip.hbm_lag_s)
        return cls(
            coolant_w_per_k=chip.coolant_j_per_k / dt_s,
            plate_w_per_k=b,
            coolant_share=chip.coolant_j_per_k / dt_s / b,
            junction_gain=gain,
            kept_junction_factor=gain * junction / b,
            power_k_per_w=gain / b,
            kept_plate_factor=plate / b,
            drive_factor=b / a,
            hbm_kept_ratio=keeps,
            hbm_drive_factor=(1.0 - keeps) * chip.hbm_rise_k_per_w * b / gain,
        )

    def coupling(self, plate_k_per_w: FloatArray) -> FloatArray:
        """H / So of plates with these resistances to the coolant."""
        ratio: FloatArray = 1.0 / (
            (1.0 / self.plate_w_per_k + plate_k_per_w) * self.coolant_w_per_k
        )
        return ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopFlow:
    """What reaches the manifolds during a step; arrays [loops]."""

    flow_lpm: FloatArray
    arriving_c: FloatArray
    w_per_k_per_lpm: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How flow divides: of the loop [sleds], of the sled [chips], past CPU, NIC, switch [sleds]."""

    sled_share: FloatArray
    chip_share: FloatArray
    other_share: FloatArray
    least_chip_share: FloatArray
    """[sleds] smallest `chip_share` of a sled."""


class SledBatch:
    """Advances the [chips] and [sleds] columns of a `PlantState`."""

    def __init__(
        self, settings: Sequence[PlantSettings], layout: PlantLayout, tile_chips: int = TILE_CHIPS
    ) -> None:
        self._tiles = tuple(_tiles(settings, layout, tile_chips))
        self._plate_k_per_w = np.zeros(layout.chips, np.float32)
        self._coupling = np.zeros(layout.chips, np.float32)
        """H / So, plate to coolant behind the plate's store: above the knee of the plate, for the
        last step length."""
        self._usual_w_per_k = [0.0] * len(self._tiles)
        """[tiles] heat capacity rate above which no chip is slow."""
        self._prepared_s = [0.0] * len(self._tiles)
        """[tiles] the step length for which `_coupling` holds; 0 when it has to be worked out."""
        most_chips = max(tile.chips.stop - tile.chips.start for tile in self._tiles)
        most_sleds = max(tile.sleds.stop - tile.sleds.start for tile in self._tiles)
        self._chip_rows = np.empty((_SCRATCH_ROWS, most_chips), np.float32)
        self._sled_rows = np.empty((_SCRATCH_ROWS, most_sleds), np.float32)
        self._mixing = np.zeros(layout.sleds, np.float32)
        self._first_sled = layout.first_sled

    def set_resistance(self, rows: IntArray, resistance_ratio: FloatArray) -> None:
        """Plate resistance over the make's clean one, for the chips of the given rows."""
        for tile in self._tiles:
            first, end = np.searchsorted(rows, (tile.chips.start, tile.chips.stop))
            if first < end:
                clean = tile.plate.resistance_k_per_w
                self._plate_k_per_w[rows[first:end]] = clean * resistance_ratio[first:end]
                self._prepared_s[tile.number] = 0.0

    def advance(
        self,
        state: PlantState,
        shares: Shares,
        loop: LoopFlow,
        powers_w: tuple[FloatArray, FloatArray],
        dt_s: float,
    ) -> FloatArray:
        """One step under powers [chips] and [sleds].

        Returns how much warmer the mixed return of each loop is than what arrives, K [loops].
        """
        for tile in self._tiles:
            law = ChipLaw.of(tile.chip, dt_s)
            if dt_s != self._prepared_s[tile.number]:
                self._prepare(tile, law, dt_s)
            self._supply(tile, state, shares, loop, dt_s)
            self._chips(tile, law, state, shares, powers_w[0])
            self._outlets(tile, law, state, shares, powers_w[1], dt_s)
        rise_k: FloatArray = np.add.reduceat(self._mixing, self._first_sled).astype(np.float64)
        return rise_k

    def _prepare(self, tile: Tile, law: ChipLaw, dt_s: float) -> None:
        resistance = self._plate_k_per_w[tile.chips]
        self._coupling[tile.chips] = law.coupling(resistance)
        knee_w_per_k = tile.plate.knee_lpm * _W_PER_K_PER_LPM
        self._usual_w_per_k[tile.number] = max(knee_w_per_k, 0.5 / float(resistance.min()))
        self._prepared_s[tile.number] = dt_s

    # Scratch rows of a tile, by use: sleds 0 rate W/K, 1 arriving °C, 2-4 free;
    # chips 0 K / So, 1 K Tin / So, 2-3 free. A tile's three parts hand them on.

    def _supply(
        self, tile: Tile, state: PlantState, shares: Shares, loop: LoopFlow, dt_s: float
    ) -> None:
        """Flow, heat capacity rate and inlet temperature of each sled."""
        rate, arriving, renewed, heat = self._scratch(self._sled_rows, tile.sleds, 4)
        flow, inlet = state.sled_flow_lpm[tile.sleds], state.sled_inlet_c[tile.sleds]
        np.multiply(_spread(tile, loop.flow_lpm), shares.sled_share[tile.sleds], out=flow)
        np.multiply(_spread(tile, loop.w_per_k_per_lpm), flow, out=rate)
        arriving[:] = _spread(tile, loop.arriving_c)
        # The hose as one well mixed volume, implicit like the chips.
        np.multiply(flow, dt_s / 60.0 / tile.sled.hose_l, out=renewed)
        np.multiply(renewed, arriving, out=heat)
        inlet += heat
        renewed += 1.0
        inlet /= renewed

    def _chips(
        self, tile: Tile, law: ChipLaw, state: PlantState, shares: Shares, power_w: FloatArray
    ) -> None:
        to_inlet, inlet_heat, one, drive = self._scratch(self._chip_rows, tile.chips, 4)
        junction, plate = state.junction_c[tile.chips], state.plate_c[tile.chips]
        coolant, hbm = state.coolant_c[tile.chips], state.hbm_c[tile.chips]
        coupling = self._coupling[tile.chips]
        slow, usual = self._exchange(tile, law, shares)
        _repeat(state.sled_inlet_c[tile.sleds], inlet_heat, tile.chips_per_sled)
        inlet_heat *= to_inlet
        np.multiply(power_w[tile.chips], law.power_k_per_w, out=drive, casting="same_kind")
        junction *= law.kept_junction_factor
        junction += drive  #                       e
        plate *= law.kept_plate_factor
        plate += junction  #                       n
        coolant += inlet_heat
        np.multiply(coupling, plate, out=one)
        coolant += one
        np.add(to_inlet, coupling, out=one)
        one += 1.0
        coolant /= one  #                          To'
        np.subtract(coolant, plate, out=one)
        one *= coupling
        one *= law.coolant_share
        plate += one  #                            Tp'
        junction *= law.drive_factor
        np.multiply(plate, law.junction_gain, out=one)
        junction += one  #                         Tj'
        to_inlet *= coolant
        to_inlet -= inlet_heat  #                  heat into the flow / So
        hbm *= law.hbm_kept_ratio
        np.multiply(junction, 1.0 - law.hbm_kept_ratio, out=one)
        hbm += one
        drive *= law.hbm_drive_factor
        hbm += drive
        coupling[slow] = usual

    def _exchange(self, tile: Tile, law: ChipLaw, shares: Shares) -> tuple[IntArray, Floats]:
        """Leaves K / So in scratch row 0, and H / So of this step among the tile's couplings.

        Above the plate's knee, coolant warms straight along the plate (K is twice the rate) and
        the film is constant; only chips below are worked out one by one. Returns which those are
        in the tile, and the couplings that they have above the knee.
        """
        (to_inlet,) = self._scratch(self._chip_rows, tile.chips, 1)
        rate, _, free = self._scratch(self._sled_rows, tile.sleds, 3)
        np.multiply(rate, 2.0 / law.coolant_w_per_k, out=free)
        _repeat(free, to_inlet, tile.chips_per_sled)
        to_inlet *= shares.chip_share[tile.chips]
        usual_w_per_k = self._usual_w_per_k[tile.number]
        np.multiply(rate, shares.least_chip_share[tile.sleds], out=free)
        sleds = np.flatnonzero(free < usual_w_per_k)
        rows = (sleds[:, None] * tile.chips_per_sled + np.arange(tile.chips_per_sled)).ravel()
        slow = rows[to_inlet[rows] < 2.0 / law.coolant_w_per_k * usual_w_per_k]
        usual: Floats = self._coupling[tile.chips][slow]
        if len(slow):
            self._slow_exchange(tile, law, slow)
        return slow, usual

    def _slow_exchange(self, tile: Tile, law: ChipLaw, rows: IntArray) -> None:
        """`_exchange` for the chips of a tile in `rows`, whose flow is low."""
        (to_inlet,) = self._scratch(self._chip_rows, tile.chips, 1)
        rate = to_inlet[rows] * (0.5 * law.coolant_w_per_k)
        plate = tile.plate
        flow = np.clip(rate / _W_PER_K_PER_LPM, plate.stagnant_lpm, plate.knee_lpm)
        # exp(log) is three times faster than a power in single precision.
        thicker = np.exp(-plate.low_flow_exponent * np.log(flow / np.float32(plate.knee_lpm)))
        resistance = self._plate_k_per_w[tile.chips][rows] * thicker
        weight = np.maximum(1.0 - rate * resistance, 0.5)
        to_inlet[rows] = rate / (weight * law.coolant_w_per_k)
        self._coupling[tile.chips][rows] = law.coupling(resistance)

    def _outlets(
        self,
        tile: Tile,
        law: ChipLaw,
        state: PlantState,
        shares: Shares,
        other_w: FloatArray,
        dt_s: float,
    ) -> None:
        """CPU, NIC and switch, and what leaves each sled."""
        rate, arriving, heat, own, warmer = self._scratch(self._sled_rows, tile.sleds, 5)
        inlet, other = state.sled_inlet_c[tile.sleds], state.other_c[tile.sleds]
        outlet = state.sled_outlet_c[tile.sleds]
        chip_heat, spare = self._scratch(self._chip_rows, tile.chips, 2)
        _sum_chips(chip_heat, spare, heat, tile.chips_per_sled)
        heat *= law.coolant_w_per_k
        store = tile.sled.other_j_per_k / dt_s
        np.multiply(rate, shares.other_share[tile.sleds], out=own)
        np.subtract(other, inlet, out=warmer)
        warmer *= store
        np.add(warmer, other_w[tile.sleds], out=warmer, casting="same_kind")
        np.add(own, store, out=other)
        warmer /= other
        np.add(inlet, warmer, out=other)
        warmer *= own
        heat += warmer
        if float(rate.min()) >= _STILL_W_PER_K:
            heat /= rate
            np.add(inlet, heat, out=outlet)
        else:
            moves = rate >= _STILL_W_PER_K
            np.divide(heat, rate, out=heat, where=moves)
            np.add(inlet, heat, out=outlet, where=moves)
        np.subtract(outlet, arriving, out=warmer)
        np.multiply(warmer, shares.sled_share[tile.sleds], out=self._mixing[tile.sleds])

    def _scratch(self, rows: Floats, part: slice, count: int) -> list[Floats]:
        return [row[: part.stop - part.start] for row in rows[:count]]


def _spread(tile: Tile, values: FloatArray) -> Floats:
    """[loops] to the tile's sleds."""
    single = values[tile.loops].astype(np.float32)
    return np.repeat(single, tile.sleds_of_loop)


def _repeat(values: FloatArray, out: Floats, chips_per_sled: int) -> None:
    """Give each chip its sled's value: one strided copy a chip of the sled, not one a sled."""
    for chip in range(chips_per_sled):
        out[chip::chips_per_sled] = values


def _sum_chips(values: Floats, spare: Floats, out: Floats, chips_per_sled: int) -> None:
    """Neighbours first, which halves what strides pass over; overwrites `values` and `spare`."""
    while chips_per_sled % 2 == 0:
        half = spare[: len(values) // 2]
        np.add(values[::2], values[1::2], out=half)
        values, spare, chips_per_sled = half, values, chips_per_sled // 2
    np.copyto(out, values[::chips_per_sled])
    for chip in range(1, chips_per_sled):
        out += values[chip::chips_per_sled]


def _tiles(
    settings: Sequence[PlantSettings], layout: PlantLayout, tile_chips: int
) -> Sequence[Tile]:
    """Cut where the make of sled changes, and where a tile would grow too large."""
    makes = [(loop.chip, loop.plate, loop.sled) for loop in settings]
    new_make = np.array([row > 0 and makes[row] != makes[row - 1] for row in range(len(makes))])
    make_of_loop = np.cumsum(new_make)
    make_of_sled = make_of_loop[layout.loop_of_sled]
    changes = (np.diff(layout.chips_of_sled) != 0) | (np.diff(make_of_sled) != 0)
    cuts = np.concatenate(([0], np.flatnonzero(changes) + 1, [layout.sleds]))
    parts: list[slice] = []
    for begin, end in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        stride = max(1, tile_chips // int(layout.chips_of_sled[begin]))
        parts.extend(slice(first, min(first + stride, end)) for first in range(begin, end, stride))
    return [_tile(layout, makes, sleds, number) for number, sleds in enumerate(parts)]


def _tile(
    layout: PlantLayout,
    makes: Sequence[tuple[ChipSettings, ColdPlateSettings, SledSettings]],
    sleds: slice,
    number: int,
) -> Tile:
    first_loop = int(layout.loop_of_sled[sleds.start])
    chip, plate, sled = makes[first_loop]
    first_chip = int(layout.first_chip[sleds.start])
    per_sled = int(layout.chips_of_sled[sleds.start])
    return Tile(
        number=number,
        sleds=sleds,
        chips=slice(first_chip, first_chip + per_sled * (sleds.stop - sleds.start)),
        chips_per_sled=per_sled,
        loops=slice(first_loop, int(layout.loop_of_sled[sleds.stop - 1]) + 1),
        sleds_of_loop=np.bincount(layout.loop_of_sled[sleds] - first_loop),
        chip=chip,
        plate=plate,
        sled=sled,
    )
