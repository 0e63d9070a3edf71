"""Everything remote is gone: sled and CDU agents, their devices, and a plant that loses its flow.

No controller, no bus, no network; a second passes when the test says so.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agent.build import cdu_agent, sled_agent
from agent.cdu import CduAgent
from agent.guard import GuardLevel
from agent.inputs.devices import CduDevices, SledDevices
from agent.options import AgentOptions
from agent.sled import SledAgent
from emulator.datacenter import World
from emulator.devices.catalogue import Devices
from emulator.faults.fault import Fault
from emulator.faults.kinds import FaultKind
from emulator.options import EmulatorOptions
from emulator.readings import JobSpec
from fleet.clock import ManualClock
from fleet.topology import FleetMap, trn3_datacenter

JUNCTION_LIMIT_C = 105.0
THROTTLE_C = 90.0


class Alone:
    """One UltraServer at full load with all of its agents, and nobody else."""

    def __init__(self, state_dir: Path) -> None:
        self.clock = ManualClock()
        fleet_map = FleetMap(trn3_datacenter(ultraservers=1))
        self.world = World(
            EmulatorOptions(load_ratio=1.0, settle_s=120.0, emulated_peak_flop_per_s=5e6),
            fleet_map,
            np.random.default_rng(5),
            self.clock,
        )
        devices, options = Devices(self.world, self.clock), AgentOptions(state_dir=state_dir)
        self.sleds = [
            self._sled(devices, options, fleet_map, row) for row in range(fleet_map.sleds)
        ]
        bmc = CduDevices(bmc=devices.cdu(fleet_map.cdu_ids[0]))
        self.cdu: CduAgent = cdu_agent(
            options, fleet_map.cdu_ids[0], fleet_map.loop_ids[0], bmc, self.clock
        )

    def _sled(
        self, devices: Devices, options: AgentOptions, fleet_map: FleetMap, row: int
    ) -> SledAgent:
        sled_id = fleet_map.sled_ids[row]
        own = SledDevices(
            lines=devices.neuron_monitor(sled_id),
            bmc=devices.sled_bmc(sled_id),
            runtime=devices.sled_runtime(sled_id),
            chips=int(fleet_map.chips_of_sled[row]),
        )
        return sled_agent(options, sled_id, fleet_map.loop_ids[0], own, self.clock)

    def work(self) -> None:
        """Every chip at its rated power, which is harder than any job."""
        for row in range(self.world.fleet_map.sleds):
            gang = (self.world.fleet_map.sled_ids[row],)
            self.world.sled_requests(row).start_job(
                JobSpec(
                    job_id=f"j{row}",
                    attempt=1,
                    model="llama-3-8b",
                    chips=(0, 1, 2, 3),
                    tensor_parallel=4,
                    gang=gang,
                )
            )

    def run(self, seconds: int, look: Callable[[int], None] = lambda _: None) -> float:
        """The hottest junction of these seconds."""
        hottest_c = -273.0
        for second in range(1, seconds + 1):
            self.clock.advance(1.0)
            self.world.step(1.0)
            for agent in self.sleds:
                agent.tick()
            self.cdu.tick()
            hottest_c = max(hottest_c, float(self.world.loops.column("junction_c").max()))
            look(second)
        return hottest_c

    def break_pumps(self) -> None:
        cdu_id = self.world.fleet_map.cdu_ids[0]
        for pump in (1, 2):
            self.world.inject(
                Fault(kind=FaultKind.PUMP_TRIP, place=f"{cdu_id}#{pump}", severity=1.0)
            )


@pytest.fixture
def alone(tmp_path: Path) -> Alone:
    site = Alone(tmp_path)
    site.work()
    site.run(40)
    return site


def test_no_chip_passes_its_limit_when_all_flow_is_lost(alone: Alone) -> None:
    before_c = alone.run(1)
    shed_at: dict[int, GuardLevel] = {}
    alone.break_pumps()

    def look(second: int) -> None:
        levels = {agent.level for agent in alone.sleds}
        shed_at[second] = max(levels, key=list(GuardLevel).index)
        if second == 5:
            assert GuardLevel.NONE not in levels, "every sled has shed within 5 s"

    hottest_c = alone.run(90, look)
    assert hottest_c > before_c + 2.0, "the fault hurts"
    assert hottest_c < THROTTLE_C < JUNCTION_LIMIT_C
    assert {agent.level for agent in alone.sleds} == {GuardLevel.OFF}
    assert min(s for s, level in shed_at.items() if level is GuardLevel.OFF) <= 60


def test_a_leak_in_one_sled_is_isolated_and_the_others_go_on(alone: Alone) -> None:
    sled_id = alone.world.fleet_map.sled_ids[7]
    alone.world.inject(Fault(kind=FaultKind.LEAK, place=sled_id, severity=0.5))
    alone.run(60)
    levels = [agent.level for agent in alone.sleds]
    assert levels[7] is GuardLevel.OFF
    assert set(levels[:7] + levels[8:]) == {GuardLevel.NONE}
    assert alone.world.sled_requests(7).isolated
    flows = alone.world.loops.column("sled_flow_lpm")
    assert flows[7] < 0.1
    assert flows[8] > 4.0
    assert float(alone.world.loops.leak_lpm().sum()) == 0.0
