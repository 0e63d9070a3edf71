"""How a device that speaks Modbus is reached: the seam, its real side over TCP, and its map."""

import threading
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Final, Protocol

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ModbusPDU

from agent.transport import NoAnswerError
from fleet.errors import ConfigurationError, DeviceError
from fleet.register_map import RegisterMap, parse_register_map

MAP_FILE: Final = "registers/orv3.yaml"
DEFAULT_PORT: Final = 502
_DESCRIPTORS: Final = 1024
"""FD_SETSIZE: pymodbus' synchronous client waits by select(), which takes no descriptor from here
up (select(2), BUGS), and then says that the device had closed the connection.
"""
_EXCEPTIONS: Final = {
    1: "illegal function",
    2: "illegal address",
    3: "illegal value",
    4: "device failure",
    6: "device busy",
    11: "nobody at this unit id",
}


class Registers(Protocol):
    """One device's registers; `ModbusTcp` and in-process devices have this shape."""

    def read_registers(self, address: int, count: int) -> list[int]:
        """`count` words of 16 bits; NoAnswerError if nothing came back. Safe between threads."""

    def write_registers(self, address: int, words: list[int]) -> None:
        """DeviceError when the device does not take them."""


@cache
def orv3() -> RegisterMap:
    text = files("fleet").joinpath(MAP_FILE).read_text(encoding="utf-8")
    return parse_register_map(text, MAP_FILE)


class ModbusTcp:
    """A device at `host:port`; a call that fails ends the connection, and the next one begins anew.

    So what a confused device still sends can not be taken for the answer to a later question.
    """

    def __init__(self, place: str, *, unit_id: int, timeout_s: float = 0.5) -> None:
        host, port = host_and_port(place)
        self.name = f"modbus://{host}:{port}"
        self._unit_id = unit_id
        self._turn = threading.Lock()
        self._client = ModbusTcpClient(host, port=port, timeout=timeout_s, retries=0)
        self._end: Callable[[], None] = self._client.close

    def read_registers(self, address: int, count: int) -> list[int]:
        with self._turn:
            answer = self._asked(address, count, None)
        words = answer.registers
        if len(words) != count:
            self.close()
            raise DeviceError(
                f"{self.name}: {len(words)} words from {address} where {count} were asked for"
            )
        return list(words)

    def write_registers(self, address: int, words: list[int]) -> None:
        with self._turn:
            self._asked(address, len(words), words)

    def close(self) -> None:
        self._end()

    def _asked(self, address: int, count: int, words: list[int] | None) -> ModbusPDU:
        client, unit_id = self._client, self._unit_id
        try:
            self._check_descriptor()
            if words is None:
                answer = client.read_holding_registers(address, count=count, device_id=unit_id)
            else:
                answer = client.write_registers(address, words, device_id=unit_id)
        except (ModbusException, OSError) as error:
            self._end()
            reason = " ".join(str(error).split()) or type(error).__name__
            raise NoAnswerError(f"{self.name} does not answer: {reason[:200]}") from error
        except DeviceError:
            client.close()  # type: ignore[no-untyped-call]
            raise
        except Exception as error:
            self._end()
            raise DeviceError(f"{self.name}: an answer that is not Modbus: {error}") from error
        if answer.isError():
            code = getattr(answer, "exception_code", 0)
            raise DeviceError(
                f"{self.name}: register {address}: {_EXCEPTIONS.get(code, f'exception {code}')}"
            )
        return answer

    def _check_descriptor(self) -> None:
        client = self._client
        if not client.connect():  # type: ignore[no-untyped-call]
            raise ConnectionException("no connection")
        number = client.socket.fileno() if client.socket else -1
        if number >= _DESCRIPTORS:
            raise DeviceError(
                f"{self.name} was not asked: this process has too many open files (descriptor "
                f"{number}, Modbus needs one below {_DESCRIPTORS}): run fewer devices in a process"
            )


def host_and_port(place: str) -> tuple[str, int]:
    """`host`, `host:port` or `[host]:port`; ConfigurationError if it is none of them."""
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):
        host, port = place, str(DEFAULT_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port[:6]) <= 65_535:
        raise ConfigurationError(f"{place!r} is not a Modbus address: use HOST:PORT")
    return host, int(port)
