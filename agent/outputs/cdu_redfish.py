import math

from agent.inputs.cdu_redfish import CDU
from agent.inputs.lenient import number, within
from agent.taking_over import InForce
from agent.transport import NoAnswerError, Transport, get_json, send_json
from fleet.commands import SetCooling
from fleet.errors import DeviceError
from fleet.units import ratio_to_percent


class CduRedfishActuators:
    """Valve, pumps and set-point of one CDU, by Redfish. Writing valve or pumps takes the CDU out
    of its own loop's hands; `hand_back` gives it back.
    """

    def __init__(self, transport: Transport, *, pumps: int) -> None:
        self._transport = transport
        self._pumps = pumps
        self._supply_c: float | None = None

    def apply(self, wanted: SetCooling) -> str:
        """What part of it did not work, if the rest cools on; DeviceError if it does not.

        The set-point goes first: it is what the CDU's own loop holds if all else fails.
        """
        self._set_supply(wanted.supply_c)
        self._patch(
            "PrimaryCoolantConnectors/1",
            {"ValvePositionControlPercent": {"SetPoint": _percent(wanted.valve_ratio)}},
        )
        return self._set_pumps(wanted.pump_ratio)

    def told(self) -> InForce:
        """What it asks of valve and fastest pump."""
        valve = self._set_point("PrimaryCoolantConnectors/1", "ValvePositionControlPercent")
        pumps = [
            self._set_point(f"Pumps/{pump}", "SpeedControlPercent")
            for pump in range(1, self._pumps + 1)
        ]
        fastest = max(filter(math.isfinite, pumps), default=math.nan)
        return InForce(valve_ratio=valve, pump_ratio=fastest)

    def hold(self, supply_c: float) -> None:
        """What the CDU's own loop is to hold; it stays in its hands."""
        self._set_supply(supply_c)

    def ask_water(self, facility_c: float) -> None:
        """Facility water, of the building behind the primary connector."""
        document = {"SupplyTemperatureControlCelsius": {"SetPoint": round(facility_c, 2)}}
        self._patch("PrimaryCoolantConnectors/1", document)

    def hand_back(self) -> None:
        """The CDU's own loop takes over."""
        self._patch("", {"Oem": {"Isotherm": {"ControlMode": "Local"}}})

    def _set_point(self, name: str, control: str) -> float:
        document = get_json(self._transport, f"{CDU}/{name}")
        return number(within(document, control).get("SetPoint")) / 100.0

    def _set_supply(self, supply_c: float) -> None:
        if supply_c != self._supply_c:
            self._supply_c = None
            document = {"SupplyTemperatureControlCelsius": {"SetPoint": round(supply_c, 2)}}
            self._patch("SecondaryCoolantConnectors/1", document)
            self._supply_c = supply_c

    def _set_pumps(self, ratio: float) -> str:
        refused: list[str] = []
        for pump in range(1, self._pumps + 1):
            try:
                document = {"SpeedControlPercent": {"SetPoint": _percent(ratio)}}
                self._patch(f"Pumps/{pump}", document)
            except NoAnswerError:
                raise
            except DeviceError as error:
                refused.append(f"pump {pump}: {error}")
        if len(refused) == self._pumps:
            raise DeviceError(refused[0])
        return "; ".join(refused)

    def _patch(self, name: str, document: object) -> None:
        path = f"{CDU}/{name}" if name else CDU
        send_json(self._transport, "PATCH", path, document)


def _percent(ratio: float) -> float:
    return round(ratio_to_percent(ratio), 2)
