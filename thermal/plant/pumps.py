"""The pumps of all loops: drives, worn curves, and the flow where they meet their loop."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from thermal.arrays import BoolArray, FloatArray
from thermal.plant.parameters import column
from thermal.plant.settings import PlantSettings

_TOLERANCE = 1e-9
_FLOW_TOLERANCE = 1e-6
_MOST_STEPS = 60
# Heads and coefficients beyond these count as none and as shut.
_NO_HEAD_KPA = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemCurves:
    """Pressure difference over each loop by its flow; laminar (straight) below the knee."""

    coefficient: FloatArray
    """[loops] kPa at 1 l/min; infinite when every branch is shut."""
    knee_lpm: FloatArray
    """[loops]"""
    exponent: float

    straight_kpa_per_lpm: FloatArray = field(init=False)
    """[loops] slope of the laminar part."""

    def __post_init__(self) -> None:
        slope = self.coefficient * self.knee_lpm ** (self.exponent - 1.0)
        object.__setattr__(self, "straight_kpa_per_lpm", slope)

    def flow_lpm(self, dp_kpa: FloatArray) -> FloatArray:
        turbulent = (dp_kpa / self.coefficient) ** (1.0 / self.exponent)
        flow: FloatArray = np.where(
            turbulent >= self.knee_lpm, turbulent, dp_kpa / self.straight_kpa_per_lpm
        )
        return flow


class Pumps:
    """Equal pumps side by side in each loop, each behind a check valve; arrays [loops, pumps]."""

    def __init__(self, settings: Sequence[PlantSettings]) -> None:
        self._shutoff_kpa = column(settings, "pump.shutoff_kpa")[:, None]
        self._runout_lpm = column(settings, "pump.runout_lpm")[:, None]
        self._drop = 1.0 - column(settings, "pump.runout_head_ratio")[:, None]
        self._ramp_s = column(settings, "drive.ramp_s")[:, None]
        self._coast_s = column(settings, "drive.coast_s")[:, None]
        self._minimum = column(settings, "drive.minimum_ratio")[:, None]
        self._rated_w = column(settings, "drive.rated_w")[:, None]
        self._rated_lpm = column(settings, "drive.rated_flow_ratio")[:, None] * self._runout_lpm
        self._idle_share = column(settings, "drive.idle_share")[:, None]

    def next_speed(
        self, speed_ratio: FloatArray, command_ratio: FloatArray, driven: BoolArray, dt_s: float
    ) -> FloatArray:
        """Speed after `dt_s`: ramped towards the command when driven, coasting down when not."""
        coasting = speed_ratio * np.exp(-dt_s / self._coast_s)
        coasting = np.where(coasting > 1e-3, coasting, 0.0)
        reach = dt_s / self._ramp_s
        gap = np.clip(command_ratio, self._minimum, 1.0) - speed_ratio
        following = speed_ratio + np.clip(gap, -reach, reach)
        speed: FloatArray = np.where(driven, following, coasting)
        return speed

    def flow_at_head_lpm(
        self, speed_ratio: FloatArray, head_ratio: FloatArray, head_kpa: FloatArray
    ) -> FloatArray:
        """Each pump's flow against the loop's head [loops]; check valves stop what runs back.

        `head_ratio` is 1 for a new pump, less for a worn one or for gas in the coolant.
        """
        shutoff = np.maximum(self._shutoff_kpa * head_ratio, _NO_HEAD_KPA)
        return self._flow_lpm(speed_ratio**2, shutoff, head_kpa)

    def _flow_lpm(
        self, speed_squared_ratio: FloatArray, shutoff_kpa: FloatArray, head_kpa: FloatArray
    ) -> FloatArray:
        left = np.maximum(speed_squared_ratio - head_kpa[:, None] / shutoff_kpa, 0.0)
        flow: FloatArray = self._runout_lpm * np.sqrt(left / self._drop)
        return flow

    def balance(
        self,
        speed_ratio: FloatArray,
        head_ratio: FloatArray,
        system: SystemCurves,
        guess_kpa: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Flow (l/min) and head (kPa) [loops] where the pumps of each loop meet its system.

        Newton in the head for all loops at once, held inside shrinking brackets, because the
        slope of a pump is infinite at its shut-off head.
        """
        squared_ratio = speed_ratio**2
        most_kpa = (self._shutoff_kpa * head_ratio * squared_ratio).max(axis=1)
        shutoff = np.maximum(self._shutoff_kpa * head_ratio, _NO_HEAD_KPA)
        bend_square_lpm_per_kpa = self._runout_lpm**2 / (2.0 * shutoff * self._drop)
        still = (most_kpa <= _NO_HEAD_KPA) | np.isinf(system.coefficient)
        low, high = np.zeros_like(most_kpa), np.where(still, 1.0, most_kpa)
        head = np.where((guess_kpa > low) & (guess_kpa < high), guess_kpa, 0.5 * high)
        for _ in range(_MOST_STEPS):
            given = self._flow_lpm(squared_ratio, shutoff, head)
            excess, slope = _excess(given, bend_square_lpm_per_kpa, system, head)
            flows = excess > 0.0
            low, high = np.where(flows, head, low), np.where(flows, high, head)
            step = head - excess / slope
            step = np.where(still, head, step)
            # Where a pump just begins to flow the slope is so steep that a step is next to none,
            # wherever the balance is: there the bracket is halved.
            short = np.abs(step - head) <= _TOLERANCE * head
            settled = still | (short & (np.abs(excess) <= _FLOW_TOLERANCE * given.sum(axis=1)))
            inside = settled | ((step > low) & (step < high) & ~short)
            head = np.where(inside, step, 0.5 * (low + high))
            if settled.all():
                break
        return np.where(still, 0.0, system.flow_lpm(head)), np.where(still, most_kpa, head)

    def electric_w(self, speed_ratio: FloatArray, flow_lpm: FloatArray) -> FloatArray:
        """Wire power: cube of speed, straight in relative flow between idle and runout."""
        rated_lpm = self._rated_lpm * np.maximum(speed_ratio, 1e-6)
        relative = np.minimum(flow_lpm / rated_lpm, 1.4)
        share = self._idle_share + (1.0 - self._idle_share) * relative
        power: FloatArray = self._rated_w * speed_ratio**3 * share
        return power


def _excess(
    given_lpm: FloatArray,
    bend_square_lpm_per_kpa: FloatArray,
    system: SystemCurves,
    head_kpa: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Pump flow less system flow at a head, and its (negative) slope in the head; a pump's slope
    is `bend_square_lpm_per_kpa` [loops, pumps] over its flow.
    """
    taken = system.flow_lpm(head_kpa)
    laminar = taken < system.knee_lpm
    steepness = np.where(
        given_lpm > 0.0, bend_square_lpm_per_kpa / np.maximum(given_lpm, 1e-9), 0.0
    ).sum(axis=1)
    slope = -taken / (np.where(laminar, 1.0, system.exponent) * head_kpa) - steepness
    return given_lpm.sum(axis=1) - taken, np.minimum(slope, -1e-12)
