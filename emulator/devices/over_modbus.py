"""CDUs over Modbus/TCP, each at a port of its own on loopback, served by pymodbus."""

import asyncio
import threading
from collections.abc import Mapping
from typing import Final, Protocol

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from emulator.devices.cdu_modbus import RefusedError
from fleet.errors import ConfigurationError, DeviceError, IsothermError
from fleet.register_map import RegisterMap

HOST: Final = "127.0.0.1"
_WITHIN_S: Final = 5.0
_REGISTER_FUNCTIONS: Final = frozenset({3, 4, 6, 16})
"""Of Modbus: read holding, read input, write one, write several; the device has no coils."""


class RegisterDevice(Protocol):
    """A CDU's registers, of a world or of a recording; RefusedError for what it does not take."""

    @property
    def map(self) -> RegisterMap: ...
    def read_registers(self, address: int, count: int) -> list[int]: ...
    def write_registers(self, address: int, words: list[int]) -> None: ...


class ModbusServer:
    """Serves `devices` in a thread of its own, between `start` and `stop`.

    `first_port` 0 takes free ones, else the CDUs stand at ascending ports from there.
    """

    def __init__(self, devices: Mapping[str, RegisterDevice], *, first_port: int = 0) -> None:
        self._devices = dict(devices)
        self._first_port = first_port
        self.ports: dict[str, int] = {}
        """Of each CDU, once started."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._settled = threading.Event()
        self._trouble = ""

    @property
    def addresses(self) -> Mapping[str, str]:
        """`host:port` by CDU id."""
        return {cdu_id: f"{HOST}:{port}" for cdu_id, port in self.ports.items()}

    def start(self) -> None:
        """Returns when every CDU answers; ConfigurationError when a port can not be had."""
        if not self._devices:
            return
        self._thread = threading.Thread(target=self._run, name="emulator-modbus", daemon=True)
        self._thread.start()
        if not self._settled.wait(_WITHIN_S):
            raise IsothermError(f"Modbus at {HOST} did not start within {_WITHIN_S:g} s")
        if self._trouble:
            self.stop()
            raise ConfigurationError(self._trouble)

    def stop(self) -> bool:
        """End connections; False when the thread did not end within 5 s."""
        loop, ending, thread = self._loop, self._ending, self._thread
        if thread is None or loop is None or ending is None:
            return True
        if thread.is_alive():
            loop.call_soon_threadsafe(ending.set)
        thread.join(_WITHIN_S)
        self._thread = None
        return not thread.is_alive()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        servers: list[ModbusTcpServer] = []
        try:
            for place, (cdu_id, device) in enumerate(self._devices.items()):
                port = self._first_port + place if self._first_port else 0
                server = ModbusTcpServer(_sim_devices(device), address=(HOST, port))
                servers.append(server)
                if not await server.listen():
                    self._trouble = f"Modbus of {cdu_id}: port {port} can not be had; is it in use?"
                    return
                self.ports[cdu_id] = _port(server)
            self._settled.set()
            await self._ending.wait()
        finally:
            for server in servers:
                await server.shutdown()  # type: ignore[no-untyped-call]
            self._settled.set()


def _port(server: ModbusTcpServer) -> int:
    listener = server.transport
    assert isinstance(listener, asyncio.Server)
    return int(listener.sockets[0].getsockname()[1])


def _sim_devices(device: RegisterDevice) -> list[SimDevice]:
    """The registers of the map, whose words are asked for when they are read; and nobody at every
    other unit id.
    """

    async def act(
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        written: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        try:
            if function not in _REGISTER_FUNCTIONS:
                return ExcCodes.ILLEGAL_FUNCTION
            if written is not None:
                device.write_registers(address, [int(word) for word in written])
            offset = address - start
            registers[offset : offset + count] = device.read_registers(address, count)
        except RefusedError as error:
            return ExcCodes(error.code)
        except DeviceError:
            return ExcCodes.GATEWAY_NO_RESPONSE
        return None

    data = [
        SimData(register.address, values=[0] * register.length, datatype=DataType.REGISTERS)
        for register in device.map
    ]
    return [
        SimDevice(device.map.unit_id, simdata=data, action=act),
        SimDevice(0, simdata=data, action=_nobody),
    ]


async def _nobody(*_: object) -> ExcCodes:
    return ExcCodes.GATEWAY_NO_RESPONSE
