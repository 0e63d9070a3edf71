"""Junction, plate and coolant of every chip, one implicit step at a time."""

from dataclasses import dataclass

import numpy as np

from thermal.arrays import FloatArray
from thermal.cold_plate import ColdPlateSettings, mean_fluid_weight, resistance_k_per_w
from thermal.plant.settings import ChipSettings
from thermal.plant.state import PlantState


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipInputs:
    """What acts on the chips during a step; arrays [chips]."""

    power_w: FloatArray
    inlet_c: FloatArray
    flow_lpm: FloatArray
    resistance_ratio: FloatArray
    w_per_k_per_lpm: float


def advance_chips(
    state: PlantState,
    inputs: ChipInputs,
    chip: ChipSettings,
    plate: ColdPlateSettings,
    dt_s: float,
) -> None:
    """Backward Euler over the chain junction - plate - coolant - inlet, solved by elimination.

    Stable for every flow and step; what a step takes in equals what it stores and gives off.
    """
    rate = inputs.flow_lpm * inputs.w_per_k_per_lpm
    to_coolant = 1.0 / (resistance_k_per_w(inputs.flow_lpm, plate) * inputs.resistance_ratio)
    weight = mean_fluid_weight(to_coolant, rate)
    to_inlet = rate / weight

    to_plate = 1.0 / chip.junction_to_case_k_per_w
    store_junction = chip.junction_j_per_k / dt_s
    store_plate = chip.plate_j_per_k / dt_s
    store_coolant = chip.coolant_j_per_k / dt_s

    junction_gain = to_plate / (store_junction + to_plate)
    junction_drive = store_junction * state.junction_c + inputs.power_w
    coolant_sum = store_coolant + to_coolant + to_inlet
    coolant_gain = to_coolant / coolant_sum
    coolant_drive = store_coolant * state.coolant_c + to_inlet * inputs.inlet_c

    state.plate_c = (
        store_plate * state.plate_c + junction_gain * junction_drive + coolant_gain * coolant_drive
    ) / (store_plate + to_plate * (1.0 - junction_gain) + to_coolant * (1.0 - coolant_gain))
    state.junction_c = (junction_drive + to_plate * state.plate_c) / (store_junction + to_plate)
    state.coolant_c = coolant_drive / coolant_sum + coolant_gain * state.plate_c
    state.chip_outlet_c = inputs.inlet_c + (state.coolant_c - inputs.inlet_c) / weight
    _advance_hbm(state, inputs.power_w, chip, dt_s)


def _advance_hbm(state: PlantState, power_w: FloatArray, chip: ChipSettings, dt_s: float) -> None:
    settled_c = state.junction_c + chip.hbm_rise_k_per_w * power_w
    state.hbm_c = settled_c + (state.hbm_c - settled_c) * float(np.exp(-dt_s / chip.hbm_lag_s))
