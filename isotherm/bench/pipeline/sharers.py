"""Controllers in processes of their own, each behind a wire that can be cut."""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from controller.options import ControllerOptions
from controller.runtime import ControllerRuntime
from controller.store import Store
from fleet.bus_kafka import KafkaBus
from fleet.clock import SystemClock
from fleet.kafka_options import KafkaOptions
from fleet.topology import FleetMap, trn3_datacenter
from isotherm.servers.processes import StartError

LOOPS: Final = 6
_START_S: Final = 180.0
_CHUNK: Final = 2**16


def fleet() -> FleetMap:
    return FleetMap(trn3_datacenter(loops=LOOPS, ultraservers=1))


class Sharer:
    """One controller and its wire: a process that passes bytes on between it and the servers.

    A stopped wire is a network partition: what is under way arrives when it goes on.
    """

    def __init__(
        self, name: str, bootstrap: str, database: str, database_port: int | None, log: Path
    ) -> None:
        self.name = name
        context = multiprocessing.get_context("spawn")
        broker_port = int(bootstrap.rpartition(":")[2])
        ports = [broker_port] if database_port is None else [broker_port, database_port]
        self._wire, through = _started(context, _pass_on, ports)
        if database_port is not None:
            database = database.replace(f":{database_port}/", f":{through[database_port]}/")
        self._controller, _ = _started(
            context, _control, name, bootstrap, database, through, str(log)
        )

    def stop(self) -> None:
        _signal(self._controller, signal.SIGSTOP)

    def go_on(self) -> None:
        _signal(self._controller, signal.SIGCONT)

    def cut(self) -> None:
        _signal(self._wire, signal.SIGSTOP)

    def mend(self) -> None:
        _signal(self._wire, signal.SIGCONT)

    def kill(self) -> None:
        for process in (self._controller, self._wire):
            process.kill()
            process.join()


def _signal(process: Any, number: signal.Signals) -> None:
    os.kill(int(process.pid), number)


def _started(context: Any, work: Any, *given: Any) -> tuple[Any, Any]:
    """The process, and what it says when it is ready."""
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(*given, sending), daemon=True)
    process.start()
    sending.close()
    if not receiving.poll(_START_S):
        process.kill()
        raise StartError(f"{work.__name__} said nothing for {_START_S:g} s")
    try:
        return process, receiving.recv()
    except EOFError:
        raise StartError(f"{work.__name__} ended without a word") from None


def _control(
    name: str, bootstrap: str, database: str, through: Mapping[int, int], log: str, ready: Any
) -> None:
    _dial_through(through)
    output = Path(log).open("a", buffering=1)  # noqa: SIM115 - as long as the process
    sys.stderr = output
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(output))
    bus, store = KafkaBus(KafkaOptions(bootstrap=bootstrap)), Store(database)
    runtime = ControllerRuntime(ControllerOptions(holder=name), fleet(), bus, store, SystemClock())
    runtime.start()
    ready.send(None)
    threading.Event().wait()


def _dial_through(through: Mapping[int, int]) -> None:
    """A broker tells its clients its own address; they are to come by the wire all the same."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def changed(address: Any) -> Any:
        if isinstance(address, tuple) and address[1] in through:
            return (address[0], through[address[1]], *address[2:])
        return address

    setattr(socket.socket, "connect", lambda self, to: connect(self, changed(to)))  # noqa: B010
    setattr(socket.socket, "connect_ex", lambda self, to: connect_ex(self, changed(to)))  # noqa: B010


def _pass_on(ports: list[int], ready: Any) -> None:
    asyncio.run(_serve(ports, ready))


async def _serve(ports: list[int], ready: Any) -> None:
    through: dict[int, int] = {}
    for port in ports:

        async def bridge(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int = port
        ) -> None:
            try:
                there, back = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                writer.close()
                return
            await asyncio.gather(_copy(reader, back), _copy(there, writer))

        server = await asyncio.start_server(bridge, "127.0.0.1", 0)
        through[port] = int(server.sockets[0].getsockname()[1])
    ready.send(through)
    await asyncio.Event().wait()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()
