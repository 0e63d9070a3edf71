"""The first command after the CDU's own loop starts where that loop is at this moment.

A controller knows it from telemetry that is a second old, by when the loop has moved on; only here
can it be asked and followed at once. From the second command on the controller moves as it likes.
"""

from dataclasses import dataclass

import msgspec

from agent.options import CoolingLimits
from fleet.commands import SetCooling


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """Valve and fastest pump, as they are asked for or as they stand; NaN where nobody says."""

    valve_ratio: float
    pump_ratio: float


def eased(
    limits: CoolingLimits, wanted: SetCooling, *, told: InForce, shown: InForce
) -> SetCooling:
    """`wanted`, as near to what the CDU has told its actuators as a change of hands may move them.
    What they are not near to is no command in force, and is passed over.
    """
    return msgspec.structs.replace(
        wanted,
        valve_ratio=_near_ratio(limits, wanted.valve_ratio, told.valve_ratio, shown.valve_ratio),
        pump_ratio=_near_ratio(limits, wanted.pump_ratio, told.pump_ratio, shown.pump_ratio),
    )


def _near_ratio(
    limits: CoolingLimits, wanted_ratio: float, told_ratio: float, shown_ratio: float
) -> float:
    # NaN compares as false.
    if not abs(told_ratio - shown_ratio) <= limits.following_ratio:
        return wanted_ratio
    most = limits.first_move_ratio
    return min(max(wanted_ratio, told_ratio - most, 0.0), told_ratio + most, 1.0)
