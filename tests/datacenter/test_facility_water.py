"""Facility water that the slow layer asks for: by command, through the CDU, to the building."""

from pathlib import Path

import pytest

from controller.options import ControllerOptions
from emulator.loops import WATER_LEASE_S
from emulator.options import EmulatorOptions
from fleet.clock import ManualClock
from fleet.topology import FleetMap, trn3_datacenter
from isotherm.up.embedded import EmbeddedDatacenter, EmbeddedOptions

LOOP = "h1/loop01"


def test_the_building_follows_what_a_loop_asks_for_and_goes_back_to_its_own(tmp_path: Path) -> None:
    clock = ManualClock()
    options = EmbeddedOptions(
        state_dir=tmp_path,
        emulator=EmulatorOptions(load_ratio=0.2),
        controller=ControllerOptions(reset_supply=True),
    )
    hall = EmbeddedDatacenter(options, FleetMap(trn3_datacenter(ultraservers=1)), clock)
    world, coolant = hall.world, hall.world.loops.coolant
    assert coolant is not None
    own_c = float(coolant.plant.facility_setpoint_c[0])

    def tick(seconds: int) -> None:
        for _ in range(seconds):
            clock.advance(1.0)
            hall.tick()

    try:
        tick(100)
        control = hall.controller._shards.controls[LOOP]
        assert control.readings is not None
        assert control.readings.wet_bulb_c == pytest.approx(world.outdoor.wet_bulb_c, abs=2.0)
        asked_c = world.cdu_requests(0).facility_setpoint_c
        assert asked_c is not None
        assert asked_c == pytest.approx(control.reset.facility_c, abs=0.05)
        assert coolant.plant.facility_setpoint_c[0] == asked_c != own_c
        hall.controller.stop()
        for _ in range(round(WATER_LEASE_S) + 5):
            clock.advance(1.0)
            hall.emulator.tick()
            hall.agents.tick()
        assert coolant.plant.facility_setpoint_c[0] == own_c
    finally:
        hall.agents.stop()
        hall.close()
