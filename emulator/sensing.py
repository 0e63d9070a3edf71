"""What the world asks of its sensors and of the CDU's firmware."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from emulator.readings import CduReadings, CduRequests
from thermal.arrays import FloatArray
from thermal.plant.state import Actuators


class SensorFaultKind(StrEnum):
    BIAS = "bias"  # shows the truth plus an offset
    FREEZE = "freeze"  # shows the last value for ever
    DROPOUT = "dropout"  # shows nothing (NaN)
    NOISE = "noise"  # scatters around the truth


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorFault:
    kind: SensorFaultKind
    offset: float = 0.0
    """Of a bias, or one sigma of noise, in the metric's own unit."""


class Sensors(Protocol):
    """The sensors of the whole hall, by metric name of `fleet.metrics`.

    Rows are chips, sleds or loops in FleetMap order; a pump is row `loop * pumps + pump`.
    """

    def read(self, metric: str, truth: FloatArray, dt_s: float) -> FloatArray:
        """What the sensors of a metric show, one entry a row of `truth`; NaN where nothing.

        Called once a step for each metric; a metric without sensor data passes unchanged.
        """

    def set_fault(self, metric: str, row: int, fault: SensorFault | None) -> None:
        """Break one sensor, or mend it with None."""


class CduFirmware(Protocol):
    """The CDU's own loop: one object a CDU, which may keep state between steps."""

    def actuators(
        self, requests: CduRequests, sensed: CduReadings, now_monotonic_s: float, dt_s: float
    ) -> Actuators:
        """Commands for the next step; LOCAL runs the own loop, REMOTE follows the registers.

        May set `requests.control_mode` back to LOCAL when writes stop coming.
        """
