"""The margins of a loop as it is believed now, for operators, `/metrics` and the API."""

import math
from dataclasses import dataclass

from controller.cooling.estimate import LoopInputs, LoopReadings
from controller.cooling.settings import CoolingSettings
from thermal.model import margins as figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Margins:
    """NaN where something is not known. Learnt figures are of `thermal.model.identity.Identified`:
    ratios over the data sheet, drifts since they were first found.
    """

    time_to_throttle_s: float = math.nan
    """If all flow were lost now."""
    spare_valve_ratio: float = math.nan
    spare_pump_ratio: float = math.nan
    dew_margin_k: float = math.nan
    approach_k: float = math.nan
    """Supply over facility water."""
    junction_rise_k: float = math.nan
    """Of the worst branches over their inlets."""
    flow_lpm_per_kw: float = math.nan
    pump_kw_per_lps: float = math.nan
    """Specific power of the pumps."""
    ua_ratio: float = math.nan
    ua_drift_ratio: float = math.nan
    flow_resistance_ratio: float = math.nan
    plate_resistance_ratio: float = math.nan
    plate_drift_ratio: float = math.nan
    """R_th of the chip that has gained most."""
    worn_plates_count: float = math.nan
    leakage_ratio: float = math.nan
    """Of rated power."""
    transit_s: float = math.nan


def margins(settings: CoolingSettings, readings: LoopReadings, inputs: LoopInputs) -> Margins:
    known = readings.identified
    heat_kw = inputs.heat_w / 1e3
    return Margins(
        time_to_throttle_s=figures.time_to_throttle_s(
            settings.throttle, junction_c=inputs.junction_c, chip_power_w=inputs.chip_power_w
        ),
        spare_valve_ratio=1.0 - inputs.valve_ratio,
        spare_pump_ratio=1.0 - inputs.pump_ratio,
        dew_margin_k=inputs.supply_c - inputs.dew_point_c,
        approach_k=inputs.supply_c - inputs.facility_c,
        junction_rise_k=inputs.junction_c - readings.inlet_c,
        flow_lpm_per_kw=inputs.flow_lpm / heat_kw if heat_kw > 0.0 else math.nan,
        pump_kw_per_lps=figures.pump_kw_per_lps(readings.pump_power_w, inputs.flow_lpm),
        ua_ratio=known.ua_ratio,
        ua_drift_ratio=known.ua_drift_ratio,
        flow_resistance_ratio=known.flow_resistance_ratio,
        plate_resistance_ratio=known.plate_ratio,
        plate_drift_ratio=known.plate_drift_ratio,
        worn_plates_count=float(known.worn_chips),
        leakage_ratio=known.leakage_share,
        transit_s=known.transit_s,
    )
