"""The technology loop's flows: branches with their spread, and the loop's balance."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thermal.arrays import IntArray
from thermal.coolant import viscosity_mpas
from thermal.manifold import BranchConductance, SledBranches, SystemCurve
from thermal.plant.settings import HydraulicSettings, PlantSettings, SledSettings

_DESIGN_C = 40.0
_DESIGN_MPAS = viscosity_mpas(_DESIGN_C)


def draw_branches(
    settings: PlantSettings,
    *,
    sled_of_chip: IntArray,
    sleds: int,
    rng: np.random.Generator,
    dtype: npt.DTypeLike,
) -> SledBranches:
    """Branches of one manifold with the spread of built hardware, drawn once from `rng`."""
    hydraulics, sled, n = settings.hydraulics, settings.sled, settings.hydraulics.exponent
    at_design = hydraulics.plates_kpa ** (1.0 / n)
    chip_factor = 1.0 + hydraulics.chip_spread_ratio * _normal(rng, len(sled_of_chip))
    sled_factor = (1.0 + hydraulics.sled_spread_ratio * _normal(rng, sleds)) * np.linspace(
        1.0, 1.0 + hydraulics.manifold_gradient_ratio, sleds
    )
    ageing = 1.0 + hydraulics.coupling_ageing_ratio * rng.random(sleds)
    design_lpm = sled_design_lpm(sled, chips=len(sled_of_chip), sleds=sleds)
    other = sled.other_lpm / at_design * sled_factor ** (-1.0 / n)
    chip = sled.chip_lpm / at_design * chip_factor * (sled_factor ** (-1.0 / n))[sled_of_chip]
    return SledBranches(
        chip_conductance=chip.astype(dtype),
        other_conductance=other.astype(dtype),
        coupling_coefficient=(hydraulics.couplings_kpa / design_lpm**n * ageing).astype(dtype),
        sled_of_chip=sled_of_chip,
        exponent=n,
    )


def sled_design_lpm(sled: SledSettings, *, chips: int, sleds: int) -> float:
    """Design flow of a mean sled."""
    return sled.chip_lpm * chips / sleds + sled.other_lpm


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopResistance:
    """The loop around the sleds: heat exchanger, filter, pipes."""

    settings: HydraulicSettings
    design_lpm: float

    def curve(self, open_now: BranchConductance, coolant_c: float) -> SystemCurve:
        """System curve at a coolant temperature; infinitely steep when every sled is shut."""
        n = self.settings.exponent
        total = float(open_now.sled.sum())
        sleds = total**-n if total > 0.0 else float("inf")
        header = self.settings.header_kpa / self.design_lpm**n
        thicker = (viscosity_mpas(coolant_c) / _DESIGN_MPAS) ** self.settings.viscosity_exponent
        return SystemCurve(
            coefficient=(header + sleds) * thicker,
            knee_lpm=self.settings.laminar_ratio * self.design_lpm,
            exponent=n,
        )


def _normal(rng: np.random.Generator, size: int) -> npt.NDArray[np.float64]:
    """Standard normal draws cut at three sigma, so no branch is absurd."""
    return np.clip(rng.standard_normal(size), -3.0, 3.0)
