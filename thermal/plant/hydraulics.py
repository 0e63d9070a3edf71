"""The sleds' branches on their manifolds: the spread of built hardware, and what faults leave."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from thermal.arrays import FloatArray, IntArray
from thermal.coolant import viscosity_mpas
from thermal.manifold import SledBranches, conductance
from thermal.plant.layout import PlantLayout
from thermal.plant.parameters import column, common
from thermal.plant.pumps import SystemCurves
from thermal.plant.settings import PlantSettings
from thermal.plant.state import PlantFaults

_DESIGN_C = 40.0


class Manifolds:
    """Every sled's branch; after `open_up` its fields say how each loop's flow divides."""

    def __init__(
        self, settings: Sequence[PlantSettings], layout: PlantLayout, rng: np.random.Generator
    ) -> None:
        """`rng` draws the spread of built hardware, once."""
        self._layout = layout
        self._hydraulics = common(settings, lambda loop: loop.hydraulics)
        self._branches, design_lpm = self._draw(settings, rng)
        n = self._hydraulics.exponent
        self._header = self._hydraulics.header_kpa / design_lpm**n
        self._knee_lpm = self._hydraulics.laminar_ratio * design_lpm
        self._sled_open = np.zeros(layout.sleds)
        self._sleds_coefficient = np.zeros(layout.loops)
        self.sled_share: FloatArray = np.zeros(layout.sleds, np.float32)
        """[sleds] of its loop's flow."""
        self.chip_share: FloatArray = np.zeros(layout.chips, np.float32)
        """[chips] of its sled's flow."""
        self.other_share: FloatArray = np.zeros(layout.sleds, np.float32)
        """[sleds] of the sled's flow that passes CPU, NIC and switch."""

    def open_up(self, faults: PlantFaults, sleds: IntArray) -> None:
        """Take over blockages and isolation of the sleds of the given rows."""
        layout, whole = self._layout, self._branches
        chips, counts = layout.chips_in(sleds), layout.chips_of_sled[sleds]
        local = np.repeat(np.arange(len(sleds)), counts)
        open_now = conductance(
            SledBranches(
                chip_conductance=whole.chip_conductance[chips],
                other_conductance=whole.other_conductance[sleds],
                coupling_coefficient=whole.coupling_coefficient[sleds],
                sled_of_chip=local,
                exponent=whole.exponent,
            ),
            chip_blockage_ratio=faults.chip_blockage_ratio[chips],
            sled_blockage_ratio=faults.sled_blockage_ratio[sleds],
            sled_isolated=faults.sled_isolated[sleds],
        )
        chip_share = open_now.chip / open_now.inner[local]
        self.chip_share[chips] = chip_share
        self.other_share[sleds] = whole.other_conductance[sleds] / open_now.inner
        self._sled_open[sleds] = open_now.sled
        total = np.add.reduceat(self._sled_open, layout.first_sled)
        safe = np.where(total > 0.0, total, 1.0)
        self.sled_share[:] = self._sled_open / safe[layout.loop_of_sled]
        self._sleds_coefficient = np.where(total > 0.0, safe**-whole.exponent, np.inf)

    def curves(self, coolant_c: FloatArray) -> SystemCurves:
        """System curves at coolant temperatures [loops]."""
        hydraulics = self._hydraulics
        thicker = viscosity_mpas(coolant_c) / viscosity_mpas(_DESIGN_C)
        return SystemCurves(
            coefficient=(self._header + self._sleds_coefficient)
            * thicker**hydraulics.viscosity_exponent,
            knee_lpm=self._knee_lpm,
            exponent=hydraulics.exponent,
        )

    def _draw(
        self, settings: Sequence[PlantSettings], rng: np.random.Generator
    ) -> tuple[SledBranches, FloatArray]:
        """Branches, and the design flow [loops]."""
        hydraulics, layout = self._hydraulics, self._layout
        n, loop_of_sled = hydraulics.exponent, layout.loop_of_sled
        at_design = hydraulics.plates_kpa ** (1.0 / n)
        chip_lpm, other_lpm = (
            column(settings, name)[loop_of_sled] for name in ("sled.chip_lpm", "sled.other_lpm")
        )
        # Couplings and hoses are of the size of their sled's own flow.
        sled_lpm = chip_lpm * layout.chips_of_sled + other_lpm
        design_lpm = np.add.reduceat(sled_lpm, layout.first_sled)
        chip_factor = 1.0 + hydraulics.chip_spread_ratio * _normal(rng, layout.chips)
        sled_factor = 1.0 + hydraulics.sled_spread_ratio * _normal(rng, layout.sleds)
        sled_factor *= 1.0 + hydraulics.manifold_gradient_ratio * self._place_along()
        ageing = 1.0 + hydraulics.coupling_ageing_ratio * rng.random(layout.sleds)
        narrower = sled_factor ** (-1.0 / n)
        chip_clean = (chip_lpm * narrower)[layout.sled_of_chip] / at_design * chip_factor
        return (
            SledBranches(
                chip_conductance=chip_clean.astype(np.float32),
                other_conductance=other_lpm / at_design * narrower,
                coupling_coefficient=hydraulics.couplings_kpa / sled_lpm**n * ageing,
                sled_of_chip=layout.sled_of_chip,
                exponent=n,
            ),
            design_lpm,
        )

    def _place_along(self) -> FloatArray:
        """[sleds] 0 at the first sled of each manifold to 1 at its last."""
        layout = self._layout
        row = np.arange(layout.sleds) - layout.first_sled[layout.loop_of_sled]
        place: FloatArray = row / np.maximum(layout.sleds_of_loop[layout.loop_of_sled] - 1, 1)
        return place


def _normal(rng: np.random.Generator, size: int) -> npt.NDArray[np.float64]:
    """Standard normal draws cut at three sigma, so no branch is absurd."""
    return np.clip(rng.standard_normal(size), -3.0, 3.0)
