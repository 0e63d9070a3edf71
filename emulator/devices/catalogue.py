from functools import cached_property

from emulator.devices.cdu_redfish import CduRedfish
from emulator.devices.neuron_monitor import NeuronMonitor, NeuronMonitorSettings
from emulator.devices.sled_bmc import SledBmc
from emulator.devices.sled_runtime import SledRuntime
from emulator.devices.view import WorldView
from fleet.clock import Clock


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

    def sled_bmc(self, sled_id: str) -> SledBmc:
        return self._bmcs[self.fleet_map.sled(sled_id)]

    def sled_runtime(self, sled_id: str) -> SledRuntime:
        return self._runtimes[self.fleet_map.sled(sled_id)]

    def neuron_monitor(self, sled_id: str) -> NeuronMonitor:
        """A new run of the tool, as each reader starts its own."""
        return NeuronMonitor(self._world, self.fleet_map.sled(sled_id), self._monitor)

    def cdu(self, cdu_id: str) -> CduRedfish:
        return self._cdus[self.fleet_map.cdu(cdu_id)]

    @cached_property
    def _bmcs(self) -> tuple[SledBmc, ...]:
        return tuple(SledBmc(self._world, row) for row in range(self.fleet_map.sleds))

    @cached_property
    def _runtimes(self) -> tuple[SledRuntime, ...]:
        return tuple(SledRuntime(self._world, row) for row in range(self.fleet_map.sleds))

    @cached_property
    def _cdus(self) -> tuple[CduRedfish, ...]:
        rows = range(len(self.fleet_map.cdu_ids))
        return tuple(CduRedfish(self._world, row, self._clock) for row in rows)
