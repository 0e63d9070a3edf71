"""Centrifugal pumps: curve and affinity laws, one loop at a time.

Drives, wear and power, for all loops at once, are in `thermal.plant.pumps`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from thermal.manifold import SystemCurve

_STEPS: Final = 20
_HALVINGS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PumpCurve:
    """Head at full speed, H = shutoff - (shutoff - runout head) (Q / runout)^2.

    The shape follows the Vertiv XDU1350 record of the LBNL Buildings library (head at runout is
    0.26 of shut-off); its 500 kPa scale disagrees with the vendor and is not used. Default
    (estimate): two pumps move a 360 kW loop's 540 l/min against 180 kPa at 0.85 of their speed;
    one left at that speed moves 63 % (the reference: 55..65 %), at full speed 75 %.
    """

    shutoff_kpa: float = 467.0
    runout_lpm: float = 400.0
    runout_head_ratio: float = 0.26


@dataclass(frozen=True, slots=True, kw_only=True)
class PumpDrive:
    """Motor and drive."""

    ramp_s: float = 30.0
    """0 to 100 % of speed (LBNL `Generic_epsNTU`)."""
    coast_s: float = 2.0
    """Estimate: time constant of the coast-down after a trip."""
    minimum_ratio: float = 0.3
    """Estimate (30..45 %): slowest speed of a running pump."""
    rated_w: float = 2_200.0
    """Estimate: 316 l/min x 251 kPa, the pump's best point, at 60 % wire to water."""
    rated_flow_ratio: float = 0.79
    """Estimate: flow of the best point over runout, near where two pumps share the design flow."""
    idle_share: float = 0.4
    """Estimate: power at no flow over rated power, at the same speed."""


def head_kpa(curve: PumpCurve, speed_ratio: float, flow_lpm: float) -> float:
    """Affinity: flow scales with speed, head with its square."""
    drop = 1.0 - curve.runout_head_ratio
    return curve.shutoff_kpa * (speed_ratio**2 - drop * (flow_lpm / curve.runout_lpm) ** 2)


def flow_at_head_lpm(curve: PumpCurve, speed_ratio: float, head: float) -> float:
    """Flow against `head` kPa; a check valve stops it from running backwards."""
    left = speed_ratio**2 - head / curve.shutoff_kpa
    if left <= 0.0:
        return 0.0
    return curve.runout_lpm * math.sqrt(left / (1.0 - curve.runout_head_ratio))


def operating_point(
    curve: PumpCurve, speed_ratios: Sequence[float], system: SystemCurve
) -> tuple[float, float]:
    """Flow (l/min) and head (kPa) where equal pumps in parallel meet the system.

    Newton in the head, held inside a shrinking bracket, because the slope of a pump is infinite
    at its shut-off head: where a step along it is next to none, and in the end, that is halved.
    """
    low, high = 0.0, curve.shutoff_kpa * max(speed_ratios) ** 2
    if high <= 1e-9 or math.isinf(system.coefficient):
        return 0.0, high
    head = 0.5 * high
    for turn in range(_STEPS + _HALVINGS):
        excess, slope = _excess_lpm(curve, speed_ratios, system, head)
        low, high = (head, high) if excess > 0.0 else (low, head)
        step = head - excess / slope
        short = abs(step - head) < 1e-11 * head
        if short and abs(excess) < 1e-7 * system.flow_lpm(head):
            break
        along = turn < _STEPS and low < step < high and not short
        head = step if along else 0.5 * (low + high)
    return system.flow_lpm(head), head


def _excess_lpm(
    curve: PumpCurve, speed_ratios: Sequence[float], system: SystemCurve, head: float
) -> tuple[float, float]:
    """Pump flow less system flow at a head, and its (negative) slope in the head."""
    taken = system.flow_lpm(head)
    excess, slope = -taken, -taken / (system.exponent * head)
    bend = curve.runout_lpm**2 / (2.0 * curve.shutoff_kpa * (1.0 - curve.runout_head_ratio))
    for speed in speed_ratios:
        given = flow_at_head_lpm(curve, speed, head)
        if given > 0.0:
            excess += given
            slope -= bend / given
    return excess, slope
