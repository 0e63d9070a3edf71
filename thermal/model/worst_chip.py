"""The worst chips of a loop, as the controller foresees them: package, plate, coolant as lumps."""

from dataclasses import dataclass

import numpy as np

from thermal.cold_plate import case_to_inlet_k_per_w
from thermal.coolant import w_per_k_per_lpm
from thermal.model.settings import LoopModelSettings

_PG25_W_PER_K_PER_LPM = float(w_per_k_per_lpm(40.0))
_STILL_LPM = 1e-3
_MOST_RISE_K = 200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstChipSettings:
    """Estimates, of a chip of 1 kW and its share of plate and coolant."""

    package_j_per_k: float = 70.0
    plate_j_per_k: float = 200.0
    coolant_j_per_k: float = 100.0
    least_film_k_per_w: float = 0.003


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstChip:
    """Temperatures from die to coolant."""

    junction_c: float
    plate_c: float
    outlet_c: float
    """Coolant behind the plate."""


def settled(
    model: LoopModelSettings,
    figures: WorstChipSettings,
    *,
    power_w: float,
    inlet_c: float,
    chip_lpm: float,
    resistance_ratio: float = 1.0,
) -> WorstChip:
    """Where it comes to rest; `resistance_ratio` is chip to coolant over the data sheet's."""
    rise_k = min(power_w / _w_per_k(chip_lpm), _MOST_RISE_K)
    film = _film_k_per_w(model, figures, chip_lpm) * resistance_ratio
    package = model.junction_to_case_k_per_w * resistance_ratio
    outlet_c = inlet_c + rise_k
    plate_c = outlet_c + power_w * film
    return WorstChip(
        junction_c=plate_c + power_w * package,
        plate_c=plate_c,
        outlet_c=outlet_c,
    )


def later(
    model: LoopModelSettings,
    figures: WorstChipSettings,
    chip: WorstChip,
    *,
    power_w: float,
    inlet_c: float,
    chip_lpm: float,
    resistance_ratio: float = 1.0,
) -> WorstChip:
    """A second later: backward Euler in the three lumps."""
    package = 1.0 / (model.junction_to_case_k_per_w * resistance_ratio)
    film = 1.0 / (_film_k_per_w(model, figures, chip_lpm) * resistance_ratio)
    rate = _w_per_k(chip_lpm)
    held = np.array([figures.package_j_per_k, figures.plate_j_per_k, figures.coolant_j_per_k])
    flows = np.array(
        [[package, -package, 0.0], [-package, package + film, -film], [0.0, -film, film + rate]]
    )
    before = np.array([chip.junction_c, chip.plate_c, chip.outlet_c])
    given = held * before + np.array([power_w, 0.0, rate * inlet_c])
    junction_c, plate_c, outlet_c = np.linalg.solve(np.diag(held) + flows, given).tolist()
    return WorstChip(junction_c=junction_c, plate_c=plate_c, outlet_c=outlet_c)


def _w_per_k(chip_lpm: float) -> float:
    return max(chip_lpm, _STILL_LPM) * _PG25_W_PER_K_PER_LPM


def _film_k_per_w(model: LoopModelSettings, figures: WorstChipSettings, chip_lpm: float) -> float:
    """Plate to the coolant that leaves it."""
    flow_lpm = max(chip_lpm, _STILL_LPM)
    case = case_to_inlet_k_per_w(
        np.array([flow_lpm]), model.plate, w_per_k_per_lpm=_PG25_W_PER_K_PER_LPM
    )
    caloric = 1.0 / (flow_lpm * _PG25_W_PER_K_PER_LPM)
    return max(float(case[0]) - caloric, figures.least_film_k_per_w)
