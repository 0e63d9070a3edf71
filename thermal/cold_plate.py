"""A chip's cold plate: resistance to the coolant by flow, and the caloric rise of the coolant.

Case-to-inlet resistance is split in two. The plate part (interface, copper, film) is nearly
constant above a knee in flow; the caloric part is the coolant's own mean rise and follows from
the energy balance, so the limit of vanishing flow stays right.
"""

from dataclasses import dataclass

import numpy as np

from thermal.arrays import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdPlateSettings:
    """Fit to the OCP 1 kW OAM plate with PG25 (OCP OAI guidelines 2023, Fig. 7)."""

    resistance_k_per_w: float = 0.0167
    """Plate to mean fluid above the knee; 0.0166..0.0175 over the table."""
    knee_lpm: float = 0.49
    """The table has one point below: at 0.4 l/min the resistance is 1.2 times that above."""
    low_flow_exponent: float = 0.9
    """Estimate: below the knee heat leaves the channels hardly faster than the flow carries it.
    Any exponent meets that one point with a knee of its own; this one, the flow below and the heat
    stored in plate and coolant (`ChipSettings`) are one fit to the reference's two tables of a
    total loss of flow: with full load left on, and with load shed."""
    stagnant_lpm: float = 0.08
    """Estimate: below 5 % of the design flow, buoyancy and conduction between channels and plena
    end the growth."""


def resistance_k_per_w(flow_lpm: FloatArray, settings: ColdPlateSettings) -> FloatArray:
    """Plate to mean fluid, shape of `flow_lpm`."""
    flow = np.minimum(np.maximum(flow_lpm, settings.stagnant_lpm), settings.knee_lpm)
    result: FloatArray = settings.resistance_k_per_w * (flow / settings.knee_lpm) ** (
        -settings.low_flow_exponent
    )
    return result


def mean_fluid_weight(conductance_w_per_k: FloatArray, rate_w_per_k: FloatArray) -> FloatArray:
    """Mean fluid rise over outlet rise, 0.5..1.

    One half (a straight profile) until the outlet would pass the plate's own temperature; from
    there down to no flow the outlet equals the plate. `conductance_w_per_k` is plate to mean
    fluid, `rate_w_per_k` the coolant's heat capacity rate.
    """
    weight: FloatArray = np.maximum(0.5, 1.0 - rate_w_per_k / conductance_w_per_k)
    return weight


def case_to_inlet_k_per_w(
    flow_lpm: FloatArray, settings: ColdPlateSettings, *, w_per_k_per_lpm: float
) -> FloatArray:
    """Steady case temperature above the inlet for each watt; infinite without flow."""
    plate = resistance_k_per_w(flow_lpm, settings)
    rate = flow_lpm * w_per_k_per_lpm
    with np.errstate(divide="ignore"):
        caloric: FloatArray = mean_fluid_weight(1.0 / plate, rate) / rate
    total: FloatArray = plate + caloric
    return total


def open_share(blockage_ratio: FloatArray) -> FloatArray:
    """Flow at an unchanged pressure difference over clean flow; a blockage of 1 lets none pass."""
    share: FloatArray = np.minimum(np.maximum(1.0 - blockage_ratio, 0.0), 1.0)
    return share
