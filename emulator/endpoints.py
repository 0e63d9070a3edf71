"""The emulator on HTTP: its devices, and the strings of the world (faults, load) for people.

Loopback only: whoever reaches the port may switch sleds off.
"""

import socket
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import unquote

import msgspec

from emulator.app_server import AppServer
from emulator.datacenter import World
from emulator.devices.answer import Answer
from emulator.devices.catalogue import Devices
from emulator.devices.over_http import (
    DeviceApp,
    Receive,
    Scope,
    Send,
    no_resource,
    problem,
    read_body,
    reply,
    target_of,
    too_large,
)
from emulator.faults.catalogue import usual_course
from emulator.faults.fault import Fault
from emulator.faults.kinds import CourseKind, FaultKind
from emulator.hall_metrics import CONTENT_TYPE, HallMetrics
from fleet.errors import ConfigurationError, UnknownIdError
from fleet.topology import Cooling, FleetMap


class _FaultBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /faults`; see `emulator.faults.fault.Fault`."""

    kind: FaultKind
    place: str
    severity: float | None = None
    start_s: float = 0.0
    duration_s: float | None = None
    course: CourseKind | None = None
    over_s: float | None = None
    period_s: float | None = None
    duty_ratio: float | None = None
    seed: int | None = None


class _LoadBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PUT /load`: arrivals over the capacity of the replicas that run."""

    load_ratio: float


_fault_decoder: Final = msgspec.json.Decoder(_FaultBody)
_load_decoder: Final = msgspec.json.Decoder(_LoadBody)


class EmulatorApp:
    """ASGI app: `/devices...`, `/faults`, `/load`, `/metrics`, `/livez`."""

    def __init__(
        self,
        world: World,
        devices: Devices,
        alive: Callable[[], bool],
        modbus: Mapping[str, str],
    ) -> None:
        self._world = world
        self._alive = alive
        self._devices = DeviceApp(devices)
        self._metrics = HallMetrics(world)
        self._listing = _json({**listing(world.fleet_map), "modbus": modbus})
        self._routes: dict[str, dict[str, Callable[[bytes], Answer]]] = {
            "/devices": {"GET": lambda _: self._listing},
            "/livez": {"GET": self._livez},
            "/metrics": {"GET": self._exposition},
            "/load": {"GET": self._load, "PUT": self._set_load},
            "/faults": {"GET": self._faults, "POST": self._inject},
        }

    def stop(self) -> None:
        """Ends streams; may be called from any thread."""
        self._devices.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = target_of(scope).partition("?")[0]
        if path.startswith("/devices/"):
            await self._devices(scope, receive, send)
            return
        body = await read_body(receive)
        method = scope["method"]
        answer = too_large() if body is None else self._answer(method, path.rstrip("/"), body)
        await reply(send, answer, head=method == "HEAD")

    def _answer(self, method: str, path: str, body: bytes) -> Answer:
        try:
            if path.startswith("/faults/"):
                return self._on_fault(method, path)
            methods = self._routes.get(path)
            if methods is None:
                return no_resource(path)
            handler = methods.get("GET" if method == "HEAD" else method)
            return handler(body) if handler else _not_allowed(method, path, tuple(methods))
        except UnknownIdError as error:
            return problem(404, "Not found", str(error))
        except (ConfigurationError, msgspec.ValidationError) as error:
            return problem(422, "Not possible", str(error))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return problem(400, "Malformed JSON", str(error))

    def _livez(self, _body: bytes) -> Answer:
        if self._alive():
            return _json({"status": "ok", "emulated_s": round(self._world.now_s, 3)})
        return problem(503, "World stands still", "the thread that steps the world has ended")

    def _exposition(self, _body: bytes) -> Answer:
        return Answer(status=200, body=self._metrics.render(), content_type=CONTENT_TYPE)

    def _load(self, _body: bytes) -> Answer:
        return _json({"load_ratio": self._world.load_ratio})

    def _set_load(self, body: bytes) -> Answer:
        wanted = _load_decoder.decode(body).load_ratio
        if not 0.0 <= wanted <= 2.0:
            raise ConfigurationError(f"load_ratio {wanted:g} is outside 0 to 2")
        self._world.load_ratio = wanted
        return self._load(body)

    def _faults(self, _body: bytes) -> Answer:
        return _json({"items": [_shown(fault) for fault in self._world.faults()]})

    def _inject(self, body: bytes) -> Answer:
        asked = _fault_decoder.decode(body)
        fault = Fault(
            kind=asked.kind,
            place=asked.place,
            severity=asked.severity,
            start_s=asked.start_s,
            duration_s=asked.duration_s,
            course=usual_course(
                asked.kind,
                asked.course,
                over_s=asked.over_s,
                period_s=asked.period_s,
                duty_ratio=asked.duty_ratio,
                seed=asked.seed,
            ),
        )
        self._world.inject(fault)
        return Answer(status=201, body=msgspec.json.encode(_shown(fault)))

    def _on_fault(self, method: str, path: str) -> Answer:
        """`DELETE /faults/{kind}/{place}`; the `#` of a place is written `%23`."""
        if method != "DELETE":
            return _not_allowed(method, path, ("DELETE",))
        kind, _, place = path.removeprefix("/faults/").partition("/")
        if kind not in set(FaultKind):
            raise UnknownIdError("fault kind", kind)
        self._world.clear(FaultKind(kind), unquote(place))
        return Answer(status=204)


class EmulatorServer(AppServer):
    """Serves a world. `alive` answers `/livez`; `modbus` lists where CDUs speak Modbus, `host:port`
    by id.
    """

    def __init__(
        self,
        world: World,
        devices: Devices,
        *,
        port: int = 0,
        alive: Callable[[], bool] = lambda: True,
        listener: socket.socket | None = None,
        modbus: Mapping[str, str] | None = None,
    ) -> None:
        app = EmulatorApp(world, devices, alive, modbus or {})
        super().__init__(app, port=port, listener=listener)


def _json(document: object) -> Answer:
    return Answer(status=200, body=msgspec.json.encode(document))


def _shown(fault: Fault) -> dict[str, object]:
    return {
        "kind": fault.kind.value,
        "place": fault.place,
        "severity": fault.strength,
        "start_s": fault.start_s,
        "duration_s": fault.duration_s,
        "course": fault.growth.kind.value,
    }


def listing(fleet_map: FleetMap) -> dict[str, object]:
    """What agents need to know of each device; air handlers look after themselves."""
    rows = fleet_map.loops_cooled_by(Cooling.LIQUID)
    cdus = {fleet_map.cdu_ids[row]: fleet_map.loop_ids[row] for row in rows}
    loops = [fleet_map.loop_ids[row] for row in fleet_map.loop_of_sled]
    sleds = dict(zip(fleet_map.sled_ids, loops, strict=True))
    chips = dict(zip(fleet_map.sled_ids, fleet_map.chips_of_sled.tolist(), strict=True))
    air = [
        sled_id
        for row, sled_id in enumerate(fleet_map.sled_ids)
        if fleet_map.cooling_of_sled(row) is Cooling.AIR
    ]
    return {
        "sleds": list(sleds),
        "cdus": list(cdus),
        "loops": {**sleds, **cdus},
        "chips": chips,
        "air": air,
    }


def _not_allowed(method: str, path: str, allow: tuple[str, ...]) -> Answer:
    body = problem(405, "Method not allowed", f"{path} does not take {method}").body
    return Answer(status=405, body=body, headers=(("Allow", ", ".join(allow)),))
