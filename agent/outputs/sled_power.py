import math
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import msgspec

from agent.inputs.lenient import number, text
from agent.inputs.redfish import Collection
from agent.transport import NoAnswerError, Transport, refusal, send_json
from fleet.errors import DeviceError

CONTROLS: Final = "/redfish/v1/Chassis/Sled/Controls"
VALVES: Final = "/redfish/v1/Chassis/Sled/ThermalSubsystem/CoolantConnectors/1"
RESET: Final = "/redfish/v1/Systems/Sled/Actions/ComputerSystem.Reset"
_SUFFIX: Final = "_Power_Limit"


@dataclass(frozen=True, slots=True)
class _Limit:
    name: str
    lowest_w: float
    highest_w: float  # the rated power


class SledPower:
    """Power limits, power switch and coolant valves of one sled, by its BMC."""

    def __init__(self, transport: Transport, *, chips: int, rated_w: float = 1000.0) -> None:
        self._transport = transport
        self._controls = Collection(transport, CONTROLS)
        # Until the BMC has said more: the names that it must have, and the SKU's rated power.
        self._limits = [_Limit(f"TRN{chip}{_SUFFIX}", 0.0, rated_w) for chip in range(chips)]
        self._known = False

    def cap(self, ratio: float) -> None:
        """Limit every chip to `ratio` of its rated power; every chip is tried.

        DeviceError when one of them did not take it.
        """
        self._learn()
        refused: list[str] = []
        for limit in self._limits:
            watts = min(max(ratio * limit.highest_w, limit.lowest_w), limit.highest_w)
            try:
                path = f"{CONTROLS}/{limit.name}"
                send_json(self._transport, "PATCH", path, {"SetPoint": round(watts, 1)})
            except NoAnswerError:
                raise
            except DeviceError as error:
                refused.append(str(error))
        if refused:
            raise DeviceError(f"{len(refused)} of {len(self._limits)} caps: {refused[0]}")

    def switch_on(self) -> None:
        self._reset("On")

    def shut_down(self) -> None:
        self._reset("GracefulShutdown")

    def force_off(self) -> None:
        self._reset("ForceOff")

    def set_valves(self, *, is_open: bool) -> bool:
        """Both valves of the sled's coolant connector (Redfish `ValveState`); False where the sled
        has none, DeviceError where they do not move.
        """
        body = msgspec.json.encode({"ValveState": "Open" if is_open else "Closed"})
        status, answer = self._transport.request("PATCH", VALVES, body)
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            return False
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise DeviceError(f"PATCH {VALVES}: {refusal(status, answer)}")
        return True

    def _reset(self, kind: str) -> None:
        send_json(self._transport, "POST", RESET, {"ResetType": kind})

    def _learn(self) -> None:
        if self._known:
            return
        try:
            members, _ = self._controls.read()
        except NoAnswerError:
            raise
        except DeviceError:
            return  # a cap by the SKU's rated power is better than none
        found = []
        for control in members:
            highest_w = number(control.get("AllowableMax"))
            lowest_w = number(control.get("AllowableMin"))
            name = text(control.get("Id"))
            if name.endswith(_SUFFIX) and math.isfinite(highest_w) and highest_w > 0:
                found.append(_Limit(name, lowest_w if lowest_w >= 0 else 0.0, highest_w))
        if len(found) == len(self._limits):
            self._limits, self._known = found, True
