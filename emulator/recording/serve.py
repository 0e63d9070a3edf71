"""A recording at the pace at which it was made, behind the endpoints of a hall."""

import socket
import threading
from collections.abc import Mapping
from typing import Final

import msgspec
import structlog

from emulator.app_server import AppServer
from emulator.devices.answer import Answer
from emulator.devices.over_http import (
    DeviceApp,
    Receive,
    Scope,
    Send,
    no_resource,
    reply,
    target_of,
)
from emulator.devices.over_modbus import ModbusServer
from emulator.endpoints import listing
from emulator.recording.replay import Replay
from fleet.clock import Clock

_log: Final = structlog.get_logger("emulator")


class ReplayApp:
    """ASGI app: `/devices...` and `/livez`; a recording has no strings to pull."""

    def __init__(self, replay: Replay, modbus: Mapping[str, str]) -> None:
        self._replay = replay
        self._devices = DeviceApp(replay)
        # Of the hall some devices may not have been recorded.
        self._listing = {
            **listing(replay.fleet_map),
            "sleds": replay.sled_ids,
            "cdus": replay.cdu_ids,
            "modbus": modbus,
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
        await reply(send, self._answer(path.rstrip("/")), head=scope["method"] == "HEAD")

    def _answer(self, path: str) -> Answer:
        if path == "/devices":
            return Answer(status=200, body=msgspec.json.encode(self._listing))
        if path == "/livez":
            state = {"status": "ok", "emulated_s": self._replay.now_s}
            return Answer(status=200, body=msgspec.json.encode(state))
        return no_resource(path)


def serve_replay(
    replay: Replay,
    clock: Clock,
    *,
    listener: socket.socket,
    stop: threading.Event,
    speed_factor: float,
    loop: bool,
) -> None:
    """Answer for the recorded devices until `stop`, or until the recording ends without `loop`.

    `speed_factor` is over the pace of the recording. ConfigurationError for a damaged one.
    """
    modbus = ModbusServer(replay.modbus)
    modbus.start()
    server = AppServer(ReplayApp(replay, modbus.addresses), listener=listener)
    try:
        server.start()
        _log.info("the recording runs", url=server.url, devices=f"{server.url}/devices")
        play(replay, clock, stop, speed_factor=speed_factor, loop=loop)
    finally:
        server.stop()
        modbus.stop()


def play(
    replay: Replay, clock: Clock, stop: threading.Event, *, speed_factor: float, loop: bool
) -> None:
    """Step at a multiple of the recording's pace, until `stop` or, without `loop`, its end."""
    gap_s = 1.0
    while not clock.wait(stop, gap_s / speed_factor):
        shown_s = replay.now_s
        if replay.step():
            gap_s = max(replay.now_s - shown_s, 0.0)
        elif loop:
            replay.rewind()
        else:
            _log.info("the recording has ended", emulated_s=replay.now_s)
            return
