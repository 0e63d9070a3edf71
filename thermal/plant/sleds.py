"""Sleds and chips of all loops, make by make."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from thermal.arrays import FloatArray, IntArray
from thermal.cold_plate import ColdPlateSettings
from thermal.coolant import w_per_k_per_lpm
from thermal.plant.kernel import MakeLaw, PlantChips, PlantLoops, PlantRuns, PlantSleds, advance
from thermal.plant.layout import PlantLayout
from thermal.plant.settings import ChipSettings, PlantSettings, SledSettings
from thermal.plant.state import PlantState

_S_PER_MIN: Final = 60.0
# Within 0.5 % over 15..60 C: good enough to ask which flow a film sees.
_W_PER_K_PER_LPM: Final = float(w_per_k_per_lpm(40.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Makes:
    """Adjacent sleds of one make."""

    sleds: slice
    chips: slice
    runs: PlantRuns
    chips_per_sled: int
    chip: ChipSettings
    plate: ColdPlateSettings
    sled: SledSettings


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


class SledBatch:
    """Advances the [chips] and [sleds] columns of a `PlantState`."""

    def __init__(self, settings: Sequence[PlantSettings], layout: PlantLayout) -> None:
        self._makes = tuple(_makes(settings, layout))
        self._laws: list[MakeLaw | None] = [None] * len(self._makes)
        """For the last step length; None when it has to be worked out."""
        self._plate_k_per_w = np.zeros(layout.chips, np.float32)
        self._coupling = np.zeros(layout.chips, np.float32)
        """H / So, plate to coolant behind the plate's store: above the knee of the plate."""
        self._loops = layout.loops

    def set_resistance(self, rows: IntArray, resistance_ratio: FloatArray) -> None:
        """Plate resistance over the make's clean one, for the chips of the given rows."""
        for number, makes in enumerate(self._makes):
            first, end = np.searchsorted(rows, (makes.chips.start, makes.chips.stop))
            if first < end:
                clean = makes.plate.resistance_k_per_w
                self._plate_k_per_w[rows[first:end]] = clean * resistance_ratio[first:end]
                self._laws[number] = None

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
        loops = PlantLoops(
            flow_lpm=loop.flow_lpm,
            arriving_c=loop.arriving_c,
            w_per_k_per_lpm=loop.w_per_k_per_lpm,
            rise_k=np.zeros(self._loops),
        )
        for number, makes in enumerate(self._makes):
            law = self._laws[number]
            if law is None or law.step_s != np.float32(dt_s):
                law = self._laws[number] = self._prepare(makes, dt_s)
            chips = self._chip_columns(makes.chips, state, shares, powers_w[0])
            sleds = self._sled_columns(makes.sleds, state, shares, powers_w[1])
            advance(tuple(law), tuple(chips), tuple(sleds), tuple(makes.runs), tuple(loops))
        return loops.rise_k

    def _prepare(self, makes: _Makes, dt_s: float) -> MakeLaw:
        resistance = self._plate_k_per_w[makes.chips]
        law = _law(makes, dt_s, float(resistance.min()))
        self._coupling[makes.chips] = 1.0 / (
            (1.0 / law.plate_w_per_k + resistance) * law.coolant_w_per_k
        )
        return law

    def _chip_columns(
        self, chips: slice, state: PlantState, shares: Shares, power_w: FloatArray
    ) -> PlantChips:
        return PlantChips(
            junction_c=state.junction_c[chips],
            plate_c=state.plate_c[chips],
            coolant_c=state.coolant_c[chips],
            hbm_c=state.hbm_c[chips],
            share=shares.chip_share[chips],
            coupling=self._coupling[chips],
            plate_k_per_w=self._plate_k_per_w[chips],
            power_w=power_w[chips],
        )

    def _sled_columns(
        self, sleds: slice, state: PlantState, shares: Shares, other_w: FloatArray
    ) -> PlantSleds:
        return PlantSleds(
            flow_lpm=state.sled_flow_lpm[sleds],
            inlet_c=state.sled_inlet_c[sleds],
            other_c=state.other_c[sleds],
            outlet_c=state.sled_outlet_c[sleds],
            share=shares.sled_share[sleds],
            other_share=shares.other_share[sleds],
            other_power_w=other_w[sleds],
        )


def _law(makes: _Makes, dt_s: float, least_k_per_w: float) -> MakeLaw:
    """`least_k_per_w` is the smallest resistance among the make's plates."""
    chip, plate = makes.chip, makes.plate
    junction, store = chip.junction_j_per_k / dt_s, chip.plate_j_per_k / dt_s
    a = 1.0 / chip.junction_to_case_k_per_w
    gain = a / (junction + a)
    b = store + a * (1.0 - gain)
    keeps = math.exp(-dt_s / chip.hbm_lag_s)
    knee_w_per_k = plate.knee_lpm * _W_PER_K_PER_LPM
    design_lpm = makes.sled.chip_lpm * makes.chips_per_sled + makes.sled.other_lpm
    return MakeLaw(
        makes.chips_per_sled,
        *(
            np.float32(value)
            for value in (
                dt_s,
                chip.coolant_j_per_k / dt_s,
                b,
                chip.coolant_j_per_k / dt_s / b,
                gain,
                gain * junction / b,
                gain / b,
                store / b,
                b / a,
                keeps,
                (1.0 - keeps) * chip.hbm_rise_k_per_w * b / gain,
                max(knee_w_per_k, 0.5 / least_k_per_w),
                plate.stagnant_lpm * _W_PER_K_PER_LPM,
                knee_w_per_k,
                plate.low_flow_exponent,
                makes.sled.hose_s * design_lpm / _S_PER_MIN,
                makes.sled.other_j_per_k / dt_s,
            )
        ),
    )


def _makes(settings: Sequence[PlantSettings], layout: PlantLayout) -> Sequence[_Makes]:
    """Cut where the make of sled changes."""
    makes = [(loop.chip, loop.plate, loop.sled) for loop in settings]
    new_make = np.array([row > 0 and makes[row] != makes[row - 1] for row in range(len(makes))])
    make_of_sled = np.cumsum(new_make)[layout.loop_of_sled]
    changes = (np.diff(layout.chips_of_sled) != 0) | (np.diff(make_of_sled) != 0)
    cuts = [0, *(np.flatnonzero(changes) + 1).tolist(), layout.sleds]
    return [_between(layout, makes, slice(begin, end)) for begin, end in itertools.pairwise(cuts)]


def _between(
    layout: PlantLayout,
    makes: Sequence[tuple[ChipSettings, ColdPlateSettings, SledSettings]],
    sleds: slice,
) -> _Makes:
    chip, plate, sled = makes[int(layout.loop_of_sled[sleds.start])]
    first_chip = int(layout.first_chip[sleds.start])
    per_sled = int(layout.chips_of_sled[sleds.start])
    loops = layout.loop_of_sled[sleds]
    begin = np.concatenate(([0], np.flatnonzero(np.diff(loops)) + 1, [len(loops)]))
    return _Makes(
        runs=PlantRuns(loop=loops[begin[:-1]], begin=begin),
        sleds=sleds,
        chips=slice(first_chip, first_chip + per_sled * (sleds.stop - sleds.start)),
        chips_per_sled=per_sled,
        chip=chip,
        plate=plate,
        sled=sled,
    )
