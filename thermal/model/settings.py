"""What the controller believes about a loop: data sheet values, to be corrected by estimation.

These are design figures, not the plant's truth: no spread, no ageing, no fouling.
"""

from dataclasses import dataclass, field

from thermal.cold_plate import ColdPlateSettings
from thermal.heat_exchanger import ExchangerSettings
from thermal.pump import PumpCurve, PumpDrive
from thermal.valve import ValveSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopModelSettings:
    """One CDU and its sleds as designed. Default: 288 chips of 1 kW, 360 kW, 540 l/min."""

    exchanger: ExchangerSettings = field(default_factory=ExchangerSettings)
    fouling_ratio: float = 0.0
    """Share of UA believed lost; estimated online."""
    valve: ValveSettings = field(default_factory=ValveSettings)
    pump: PumpCurve = field(default_factory=PumpCurve)
    drive: PumpDrive = field(default_factory=PumpDrive)
    design_flow_lpm: float = 540.0
    design_dp_kpa: float = 180.0
    """Over the pumps at the design flow (estimate, to be measured at commissioning)."""
    plate: ColdPlateSettings = field(default_factory=ColdPlateSettings)
    junction_to_case_k_per_w: float = 0.012
    """Estimate: 8..20 K/kW by package."""
    chip_flow_share: float = 0.8
    """Estimate: share of the loop's flow that passes chip plates."""
    heat_transit_s: float = 8.0
    """Estimate: from a change of chip power to the heat exchanger at the design flow
    (plates 3 s, header 6 s)."""

    supply_pipe_l: float = 72.0
    """Estimate: header of 150 l/MW and the sleds' hoses, at 288 chips."""
    return_pipe_l: float = 54.0
    """Estimate: header of 150 l/MW."""
    heat_lag_s: float = 3.8
    """Estimate: junctions and plates, before the coolant in them."""
    chip_heat_share: float = 0.85
    """Estimate: of the coolant's heat; CPU, NIC and switch give the rest to flow of their own."""
    plates_l: float = 21.6
    """Estimate: coolant in the plates of the chips, plena and hoses, 75 ml each."""
    others_l: float = 27.0
    """Estimate: plates of CPU, NIC and switch, their metal counted as coolant."""
    exchanger_lag_s: float = 4.0
    """Estimate: metal and fluid of the exchanger at its nominal flows."""
    supply_sensor_s: float = 3.0
    """Lag of temperature sensors in their wells: 3..8 s."""
