"""Parallel branches on one manifold: who gets how much of the flow.

Every element obeys dP = k m^n with one exponent for the loop (1.85: LBNL Buildings library;
1.90 from a GB300 rack table), so series and parallel elements join in closed form through the
conductance g = k^(-1/n), m = g dP^(1/n). The only equation left to iterate is the scalar pump
balance of `thermal.pump`.
"""

from dataclasses import dataclass

import numpy as np

from thermal.arrays import BoolArray, FloatArray, IntArray
from thermal.cold_plate import open_share

EXPONENT = 1.85


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemCurve:
    """Pressure difference over a whole loop by its flow; laminar (straight) below the knee."""

    coefficient: float
    """kPa at 1 l/min; infinite when every branch is shut."""
    knee_lpm: float
    exponent: float = EXPONENT

    def dp_kpa(self, flow_lpm: float) -> float:
        if flow_lpm >= self.knee_lpm:
            return float(self.coefficient * flow_lpm**self.exponent)
        return float(self.coefficient * flow_lpm * self.knee_lpm ** (self.exponent - 1.0))

    def flow_lpm(self, dp_kpa: float) -> float:
        if dp_kpa <= 0.0:
            return 0.0
        turbulent = float((dp_kpa / self.coefficient) ** (1.0 / self.exponent))
        if turbulent >= self.knee_lpm:
            return turbulent
        return float(dp_kpa / (self.coefficient * self.knee_lpm ** (self.exponent - 1.0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SledBranches:
    """Clean flow elements of all sleds on a manifold."""

    chip_conductance: FloatArray
    """[chips] l/min at 1 kPa through each cold plate."""
    other_conductance: FloatArray
    """[sleds] l/min at 1 kPa through the plates of CPU, NIC and switch together."""
    coupling_coefficient: FloatArray
    """[sleds] kPa at 1 l/min of the quick disconnects and the place along the manifold."""
    sled_of_chip: IntArray
    """[chips] row of the sled that holds each chip."""
    exponent: float = EXPONENT


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchConductance:
    """What the faults of the moment leave open, l/min at 1 kPa."""

    chip: FloatArray
    """[chips]."""
    inner: FloatArray
    """[sleds] all plates of a sled together, behind its couplings."""
    sled: FloatArray
    """[sleds] plates and couplings in series; 0 when isolated or fully blocked."""


def conductance(
    branches: SledBranches,
    *,
    chip_blockage_ratio: FloatArray,
    sled_blockage_ratio: FloatArray,
    sled_isolated: BoolArray,
) -> BranchConductance:
    """Conductances under blockages [chips], [sleds] (1 = no flow) and isolation [sleds]."""
    sleds = len(branches.other_conductance)
    chip = branches.chip_conductance * open_share(chip_blockage_ratio)
    of_chips = np.bincount(branches.sled_of_chip, weights=chip, minlength=sleds)
    inner = branches.other_conductance + of_chips.astype(chip.dtype, copy=False)
    series = branches.coupling_coefficient + inner ** (-branches.exponent)
    sled = series ** (-1.0 / branches.exponent) * open_share(sled_blockage_ratio)
    sled[sled_isolated] = 0.0
    return BranchConductance(chip=chip, inner=inner, sled=sled)


def share_of_flow(conductances: FloatArray) -> FloatArray:
    """Each branch's share of the manifold's flow; all zero when every branch is shut."""
    total = float(conductances.sum())
    share: FloatArray = conductances / total if total > 0.0 else np.zeros_like(conductances)
    return share


def chip_flow_lpm(
    sled_flow_lpm: FloatArray, open_now: BranchConductance, sled_of_chip: IntArray
) -> FloatArray:
    """[chips] flow through each cold plate, given [sleds] flow through each sled."""
    per_conductance = sled_flow_lpm / open_now.inner
    flow: FloatArray = open_now.chip * per_conductance[sled_of_chip]
    return flow
