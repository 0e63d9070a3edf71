"""A whole data center in one process: every role, on a bus in files and SQLite."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from agent.build import cdu_agent, sled_agent
from agent.inputs.devices import CduDevices, SledDevices
from agent.options import AgentOptions
from agent.runtime import AgentRuntime
from controller.options import ControllerOptions
from controller.runtime import ControllerRuntime
from controller.store import Store
from emulator.datacenter import World
from emulator.devices.catalogue import Devices
from emulator.options import EmulatorOptions
from emulator.recording.replay import Replay
from emulator.recording.runtime import ReplayRuntime
from emulator.runtime import EmulatorRuntime
from emulator.scenario.course import played_runtime
from emulator.scenario.scenario import Scenario
from fleet.bus_local import LocalBus
from fleet.clock import Clock
from fleet.topology import Cooling, FleetMap
from isotherm.up.trust import trusting


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedOptions:
    """`state_dir` keeps the agents' durable counters and spools, the bus and the database."""

    state_dir: Path
    emulator: EmulatorOptions = field(default_factory=EmulatorOptions)
    controller: ControllerOptions = field(default_factory=ControllerOptions)
    seed: int = 0
    scenario: Scenario | None = None
    """Its load and faults happen in the world; hall and options are the caller's to take over."""
    replay: Path | None = None
    """A recording whose devices stand in place of a world's; the hall is the recording's."""

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.state_dir / 'isotherm.db'}"


class EmbeddedDatacenter:
    """World, agents and controller; what agents read are the bytes that devices would send.

    `tick` is one second by hand; `start` and `stop` run the roles in their own threads.
    """

    def __init__(self, options: EmbeddedOptions, fleet_map: FleetMap, clock: Clock) -> None:
        options.state_dir.mkdir(parents=True, exist_ok=True)
        self.fleet_map = fleet_map
        self.bus = LocalBus(options.state_dir / "bus", clock)
        self.store = Store(options.database_url)
        self.emulator: EmulatorRuntime | ReplayRuntime
        self.devices: Devices | Replay
        if options.replay is not None:
            self.emulator = ReplayRuntime(options.replay, clock)
            self.devices = self.emulator.replay
        else:
            self.emulator = _emulator(options, fleet_map, clock)
            self.devices = Devices(self.emulator.world, clock)
        self.agents = self._host_agents(options.state_dir / "agent", clock)
        self.controller = ControllerRuntime(
            trusting(options.controller),
            fleet_map,
            self.bus,
            self.store,
            clock,
            rng=np.random.default_rng(options.seed),
        )

    def _host_agents(self, state_dir: Path, clock: Clock) -> AgentRuntime:
        options = AgentOptions(state_dir=state_dir)
        fleet_map, devices = self.fleet_map, self.devices
        # Of a recording's hall some devices may not have been recorded.
        standing = {*devices.sled_ids, *devices.cdu_ids}
        sleds = [
            sled_agent(
                options,
                sled_id,
                fleet_map.loop_ids[fleet_map.loop_of_sled[row]],
                SledDevices(
                    lines=devices.neuron_monitor(sled_id),
                    bmc=devices.sled_bmc(sled_id),
                    runtime=devices.sled_runtime(sled_id),
                    chips=int(fleet_map.chips_of_sled[row]),
                    liquid=fleet_map.cooling_of_sled(row) is Cooling.LIQUID,
                ),
                clock,
            )
            for row, sled_id in enumerate(fleet_map.sled_ids)
            if sled_id in standing
        ]
        cdus = [
            cdu_agent(
                options,
                fleet_map.cdu_ids[loop],
                fleet_map.loop_ids[loop],
                self._cdu_devices(fleet_map.cdu_ids[loop]),
                clock,
            )
            for loop in fleet_map.loops_cooled_by(Cooling.LIQUID)
            if fleet_map.cdu_ids[loop] in standing
        ]
        return AgentRuntime(options, [*sleds, *cdus], self.bus, clock)

    def _cdu_devices(self, cdu_id: str) -> CduDevices:
        registers = self.devices.modbus.get(cdu_id)
        if registers is not None:
            return CduDevices(registers=registers)
        return CduDevices(bmc=self.devices.cdu(cdu_id))

    @property
    def world(self) -> World:
        """Not there behind a recording."""
        assert isinstance(self.emulator, EmulatorRuntime), "a recording has no world"
        return self.emulator.world

    def tick(self) -> None:
        """One second of everything, in the order in which facts travel."""
        self.emulator.tick()
        self.agents.tick()
        self.controller.cycle()
        self.agents.poll_commands()

    def start(self) -> None:
        self.emulator.start()
        self.agents.start()
        self.controller.start()

    def stop(self) -> None:
        """Within 5 s; the agents outlive the controller, so that they tell the CDU to hold on. The
        world is halted first: it would take the time that the others need to end.
        """
        self.emulator.halt()
        self.controller.stop()
        self.agents.stop()
        self.emulator.stop()

    def close(self) -> None:
        """Let go of bus and store, after `stop` where roles were started."""
        if isinstance(self.emulator, ReplayRuntime):
            self.emulator.close()
        self.bus.close()
        self.store.close()


def _emulator(options: EmbeddedOptions, fleet_map: FleetMap, clock: Clock) -> EmulatorRuntime:
    if options.scenario is None:
        return EmulatorRuntime(options.emulator, fleet_map, clock)
    # Its jobs are submitted to the API, whose placement they are for.
    return played_runtime(options.scenario, options.emulator, clock, places_jobs=False)
