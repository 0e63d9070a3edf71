"""What lost networks, lost agents and wrong clocks make of the readings that devices show."""

from dataclasses import replace
from typing import Final

import numpy as np

from emulator.faults.columns import FaultColumns
from emulator.readings import CduReadings, SledReadings
from fleet.clock import NS_PER_S
from fleet.errors import DeviceError

_NOBODY: Final = "{} does not answer: it is cut off"


def sleds_as_reached(
    readings: tuple[SledReadings, ...], broken: FaultColumns
) -> tuple[SledReadings, ...]:
    """Only rows with a fault are made anew."""
    struck = np.flatnonzero(broken.sled_silent | (broken.clock_skew_s != 0.0)).tolist()
    if not struck:
        return readings
    shown = list(readings)
    for row in struck:
        skew_ns = round(float(broken.clock_skew_s[row]) * NS_PER_S)
        shown[row] = replace(
            readings[row],
            at_unix_ns=readings[row].at_unix_ns + skew_ns,
            answers=not broken.sled_silent[row],
        )
    return tuple(shown)


def cdus_as_reached(
    readings: tuple[CduReadings, ...], broken: FaultColumns
) -> tuple[CduReadings, ...]:
    """Only rows with a fault are made anew."""
    struck = np.flatnonzero(broken.cdu_silent).tolist()
    if not struck:
        return readings
    shown = list(readings)
    for row in struck:
        shown[row] = replace(readings[row], answers=False)
    return tuple(shown)


def check_answers(device: str, readings: SledReadings | CduReadings) -> None:
    """DeviceError while nothing gets to a device or back."""
    if not readings.answers:
        raise DeviceError(_NOBODY.format(device))
