"""How far a loop is from its limits: the figures that operators watch.

Pure arithmetic on what is believed; NaN where something is not known.
"""

import math
from dataclasses import dataclass

from thermal.model.settings import LoopModelSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleSettings:
    """A chip that loses its flow. Estimates (+-40 %): a model of a 1 kW cold plate says so."""

    throttle_c: float = 90.0
    store_j_per_k: float = 370.0
    """Package 70, plate 200, coolant that stands in it 100."""
    coast_s: float = 2.0
    """Pumps coast down over so long before a chip is alone with its heat."""


def time_to_throttle_s(
    settings: ThrottleSettings, *, junction_c: float, chip_power_w: float
) -> float:
    """Until the hottest chips throttle if all flow is lost now: what they store, and coast-down.

    Within 15 % of the reference's table for supplies of 30 to 45 °C at half and full load.
    """
    if not chip_power_w > 0.0:
        return math.nan
    left_k = settings.throttle_c - junction_c
    if left_k <= 0.0:
        return 0.0
    return left_k * settings.store_j_per_k / chip_power_w + settings.coast_s


def pump_kw_per_lps(pump_power_w: float, flow_lpm: float) -> float:
    """Specific power of a loop's pumps; NaN without flow."""
    return pump_power_w / 1e3 / (flow_lpm / 60.0) if flow_lpm > 0.0 else math.nan


def pump_power_w(
    model: LoopModelSettings, speed_ratio: float, flow_lpm: float, pumps: int
) -> float:
    """Electric power of `pumps` equal pumps that share a flow, as their data sheet says.

    Affinity: idle share and hydraulic work at the best point's efficiency, by the cube of speed.
    """
    drive = model.drive
    best_lpm = drive.rated_flow_ratio * model.pump.runout_lpm * max(speed_ratio, 1e-6)
    share = flow_lpm / max(pumps, 1) / best_lpm
    loaded = drive.idle_share + (1.0 - drive.idle_share) * share
    return pumps * drive.rated_w * speed_ratio**3 * loaded
