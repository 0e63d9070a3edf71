"""A valve or pumps that do not follow, in the words of findings."""

from collections.abc import Mapping
from typing import Final

from controller.anomaly.finding import Family, Finding, Place, Severity
from controller.anomaly.wording import Rule, find
from controller.cooling.loop import LoopControl
from controller.state.snapshot import FleetSnapshot

_VALVE: Final = Rule(
    name="valve_does_not_follow",
    family=Family.COOLING,
    severity=Severity.CRITICAL,
    place=Place.CDU,
    text="The facility valve of {subject} stands at {value:.0%} while it is told {limit:.0%}",
    consequence="Pumps and power caps hold the chips; the loop can not take its full load.",
    action="Look at the valve's drive and its power; move it by hand if it has to be.",
    explains=True,
)
_PUMPS: Final = Rule(
    name="pumps_do_not_follow",
    family=Family.COOLING,
    severity=Severity.CRITICAL,
    place=Place.CDU,
    text="The pumps of {subject} run at {value:.0%} while they are told {limit:.0%}",
    consequence="The loop has another flow than its controller counts on.",
    action="Look at the drives and their mode: somebody may have switched them to local.",
    explains=True,
)


class ActuatorDetector:
    """Reads what the loops' control has found out about commands and positions."""

    def __init__(self, controls: Mapping[str, LoopControl]) -> None:
        self._controls = controls

    def observe(self, snapshot: FleetSnapshot) -> list[Finding]:
        found: list[Finding] = []
        for loop_id, control in self._controls.items():
            readings = control.readings
            if readings is None:
                continue
            row = snapshot.fleet_map.loop(loop_id)
            told = control.setpoints
            if control.follow.valve.words:
                found.append(find(_VALVE, snapshot, row, readings.valve_ratio, told.valve_ratio))
            if control.follow.pump.words:
                found.append(find(_PUMPS, snapshot, row, readings.pump_ratio, told.pump_ratio))
        return found
