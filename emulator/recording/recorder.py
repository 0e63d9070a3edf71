"""Writes down what every device of a hall says, step by step."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Protocol

from emulator.devices.catalogue import Devices
from emulator.devices.cdu_modbus import CduModbus
from emulator.devices.cdu_redfish import CduRedfish
from emulator.devices.neuron_monitor import NeuronMonitor
from emulator.devices.redfish import Collection, RedfishService
from emulator.devices.sled_bmc import SledBmc
from emulator.recording.form import (
    TRUTH,
    VERSION,
    DeviceKind,
    Manifest,
    RecordedDevice,
    RecordedTick,
)
from emulator.recording.stream import LineStream, begin, complete
from fleet.errors import DeviceError
from fleet.hall import described
from fleet.topology import FleetMap, LoopKind

EXPAND: Final = "?$expand=*($levels=1)"


class RecordedWorld(Protocol):
    """What a recorder needs to know of a world."""

    fleet_map: FleetMap
    now_s: float


class Recorder:
    """A recording of `devices` in `directory`, which is made if need be.

    `tick` after each step of the world; `close` completes the recording, and without it a replay
    says that it was cut short. ConfigurationError for a folder that holds a recording already, or
    can not be written.
    """

    def __init__(
        self, directory: Path, world: RecordedWorld, devices: Devices, *, seed: int | None = None
    ) -> None:
        self._world = world
        self._directory = directory
        self._ticks = 0
        fleet_map = world.fleet_map
        self._sources = [*_sled_sources(devices, fleet_map), *_cdu_sources(devices, fleet_map)]
        self._streams = [LineStream(directory / source.file) for source in self._sources]
        self._truth = LineStream(directory / TRUTH)
        self._manifest = Manifest(
            version=VERSION,
            hall=fleet_map.datacenter.hall,
            loops=described(fleet_map.datacenter),
            devices={
                source.id: RecordedDevice(kind=source.kind, file=source.file)
                for source in self._sources
            },
            seed=seed,
        )
        begin(directory, self._manifest)

    def tick(self) -> None:
        now_s = round(self._world.now_s, 6)
        for source, stream in zip(self._sources, self._streams, strict=True):
            stream.write(source.say(now_s))
        self._ticks += 1

    def truth(self, line: Mapping[str, object]) -> None:
        """Add a line that no device says, for scoring."""
        self._truth.write(line)

    def close(self) -> None:
        for stream in (*self._streams, self._truth):
            stream.close()
        complete(self._directory, self._manifest, ticks=self._ticks)


class _Source:
    """One device; says what is new since it was asked before."""

    def __init__(
        self,
        device_id: str,
        kind: DeviceKind,
        *,
        bmc: SledBmc | CduRedfish | None = None,
        monitor: NeuronMonitor | None = None,
        registers: CduModbus | None = None,
    ) -> None:
        self.id = device_id
        self.kind = kind
        self.file = kind.file_of(device_id)
        self._bmc = bmc
        self._paths = () if bmc is None else tuple(_targets(bmc.service))
        self._monitor = monitor
        self._registers = registers
        self._said: dict[str, object] = {}

    def say(self, now_s: float) -> RecordedTick:
        lines = [] if self._monitor is None else self._monitor.read_lines()
        try:
            return RecordedTick(
                s=now_s,
                get=self._bodies(),
                lines=[line.decode() for line in lines],
                words=self._words(),
            )
        except DeviceError:  # cut off
            return RecordedTick(s=now_s, silent=True)

    def _bodies(self) -> dict[str, str]:
        if self._bmc is None:
            return {}
        bodies = {}
        for path in self._paths:
            body = self._bmc.request("GET", path)[1]
            if self._said.get(path) != body:
                self._said[path] = body
                bodies[path] = body.decode()
        return bodies

    def _words(self) -> dict[int, list[int]]:
        if self._registers is None:
            return {}
        found = {}
        for register in self._registers.map:
            words = self._registers.read_registers(register.address, register.length)
            if self._said.get(register.name) != words:
                self._said[register.name] = words
                found[register.address] = words
        return found


def _targets(service: RedfishService) -> Iterable[str]:
    """Every resource once: members of a collection stand in its expanded form."""
    inside = {
        member.path
        for node in service.nodes
        if isinstance(node, Collection)
        for member in node.members
    }
    for path in service.paths:
        if path not in inside:
            yield path
    for node in service.nodes:
        if isinstance(node, Collection):
            yield node.path + EXPAND


def _sled_sources(devices: Devices, fleet_map: FleetMap) -> Iterable[_Source]:
    for sled_id in fleet_map.sled_ids:
        yield _Source(
            sled_id,
            DeviceKind.SLED,
            bmc=devices.sled_bmc(sled_id),
            monitor=devices.neuron_monitor(sled_id),
        )


def _cdu_sources(devices: Devices, fleet_map: FleetMap) -> Iterable[_Source]:
    for cdu_id, kind in zip(fleet_map.cdu_ids, fleet_map.kind_of_loop, strict=True):
        if kind is LoopKind.LIQUID_TO_LIQUID:
            yield _Source(cdu_id, DeviceKind.CDU, bmc=devices.cdu(cdu_id))
        elif kind is LoopKind.LIQUID_TO_AIR:
            yield _Source(cdu_id, DeviceKind.MODBUS, registers=devices.modbus[cdu_id])
