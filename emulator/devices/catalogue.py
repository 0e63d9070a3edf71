from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

from emulator.devices.cdu_modbus import CduModbus
from emulator.devices.cdu_redfish import CduRedfish
from emulator.devices.monitor_config import read_plan
from emulator.devices.neuron_monitor import NeuronMonitor, NeuronMonitorSettings
from emulator.devices.sled_bmc import SledBmc
from emulator.devices.sled_host import SledHost
from emulator.devices.sled_runtime import SledRuntime
from emulator.devices.view import WorldView
from emulator.fabric import Fabric
from emulator.skus.fleet import FleetSkus
from fleet.clock import Clock
from fleet.errors import UnknownIdError
from fleet.topology import LoopKind


class Devices:
    """Every device of a world, by the id of its sled or CDU. Each raises UnknownIdError.

    `clock` is the world's. One of these a world: a runtime's lock guards its sled's chips.
    """

    def __init__(
        self, world: WorldView, clock: Clock, monitor: NeuronMonitorSettings | None = None
    ) -> None:
        self._world = world
        self._clock = clock
        self._monitor = monitor or NeuronMonitorSettings()
        self.fleet_map = world.fleet_map
        self.sled_ids = world.fleet_map.sled_ids
        self.cdu_ids = world.fleet_map.cdu_ids
        self._hosts: dict[int, SledHost] = {}

    def sled_bmc(self, sled_id: str) -> SledBmc:
        return self._bmcs[self.fleet_map.sled(sled_id)]

    def sled_runtime(self, sled_id: str) -> SledRuntime:
        return self._runtimes[self.fleet_map.sled(sled_id)]

    def neuron_monitor(self, sled_id: str, config: bytes | None = None) -> NeuronMonitor:
        """A new run of the tool, as each reader starts its own; `config` is the tool's file.

        ConfigurationError for a configuration that can not be used.
        """
        row = self.fleet_map.sled(sled_id)
        settings = (
            self._monitor if config is None else replace(self._monitor, plan=read_plan(config))
        )
        return NeuronMonitor(self._world, row, settings)

    def sled_host(self, sled_id: str) -> SledHost:
        row = self.fleet_map.sled(sled_id)
        if row not in self._hosts:
            self._hosts[row] = SledHost(self._world, row, self._fabric, self._monitor)
        return self._hosts[row]

    def cdu(self, cdu_id: str) -> CduRedfish:
        """UnknownIdError also for one that does not speak Redfish."""
        found = self._cdus.get(self.fleet_map.cdu(cdu_id))
        if found is None:
            raise UnknownIdError("CDU with Redfish", cdu_id)
        return found

    @cached_property
    def modbus(self) -> Mapping[str, CduModbus]:
        """The CDUs that speak Modbus, by id: those that give their heat to the air of the hall."""
        kinds = self.fleet_map.kind_of_loop
        return {
            cdu_id: CduModbus(self._world, row, self._clock)
            for row, cdu_id in enumerate(self.fleet_map.cdu_ids)
            if kinds[row] is LoopKind.LIQUID_TO_AIR
        }

    @cached_property
    def _fabric(self) -> Fabric:
        """For its wiring; which of it is lost is the world's."""
        return Fabric(FleetSkus(self.fleet_map))

    @cached_property
    def _bmcs(self) -> tuple[SledBmc, ...]:
        return tuple(SledBmc(self._world, row) for row in range(self.fleet_map.sleds))

    @cached_property
    def _runtimes(self) -> tuple[SledRuntime, ...]:
        return tuple(SledRuntime(self._world, row) for row in range(self.fleet_map.sleds))

    @cached_property
    def _cdus(self) -> Mapping[int, CduRedfish]:
        return {
            row: CduRedfish(self._world, row, self._clock)
            for row, kind in enumerate(self.fleet_map.kind_of_loop)
            if kind is LoopKind.LIQUID_TO_LIQUID
        }
