"""An in-row cooler as the model of a loop sees it: fans for a valve, air for facility water.

The model's exchanger is in counter-flow with films that follow m^0.8; a coil is in cross-flow, and
its air film, most of its resistance, follows m^0.5. Over fans from 20 to 100 % that film is a part
that follows m^0.8 and a constant one, which is what deposits are to the model. Held against
`thermal.coil` in `tests/thermal/model/test_in_row.py`.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from thermal.coil import CoilSettings
from thermal.coil import fan_power_w as coil_fan_power_w
from thermal.coolant import WATER_W_PER_K_PER_LPM
from thermal.model.settings import LoopModelSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class InRowModelSettings:
    """What the controller believes about an in-row cooler: as its data sheet has it."""

    coil: CoilSettings = field(default_factory=CoilSettings)
    fan_ramp_s: float = 30.0
    """Estimate: 0 to 100 %."""


_MOVING_SHARE: Final = 0.51
"""Of the air film: x^-0.5 is 0.49 + 0.51 x^-0.8 within 3 % for x from 0.2 to 1."""
_CROSS_FLOW_RATIO: Final = 0.84
"""Conductance in counter-flow that does what 1 does in cross-flow, both at their nominal flows."""
_FAN_RANGEABILITY: Final = 25.0
_FAN_AUTHORITY_RATIO: Final = 0.15
"""Together a valve whose flow follows its position within 0.07, as air follows fans."""


def behind_coil(model: LoopModelSettings, cooler: InRowModelSettings) -> LoopModelSettings:
    """The same loop behind a coil. `facility_c` becomes the air that it draws in."""
    coil = cooler.coil
    air_share = 1.0 - coil.liquid_film_share
    constant = air_share * (1.0 - _MOVING_SHARE)
    films = 1.0 - constant
    return replace(
        model,
        exchanger=replace(
            model.exchanger,
            ua_w_per_k=coil.ua_w_per_k * _CROSS_FLOW_RATIO / films,
            hot_nominal_lpm=coil.liquid_nominal_lpm,
            cold_nominal_lpm=coil.air_nominal_w_per_k / WATER_W_PER_K_PER_LPM,
            hot_film_share=coil.liquid_film_share / films,
        ),
        fouling_ratio=constant / (constant + films),
        valve=replace(
            model.valve,
            rangeability=_FAN_RANGEABILITY,
            authority_ratio=_FAN_AUTHORITY_RATIO,
            stroke_s=cooler.fan_ramp_s,
            dead_band_ratio=0.0,
            stiction_ratio=0.0,
        ),
    )


def fan_power_w(cooler: InRowModelSettings, model: LoopModelSettings, primary_lpm: float) -> float:
    """Of the fans whose air carries what `primary_lpm` of water would in the model."""
    fan_ratio = primary_lpm / model.exchanger.cold_nominal_lpm
    return float(coil_fan_power_w(cooler.coil, min(fan_ratio, 1.0)))
