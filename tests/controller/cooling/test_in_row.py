"""An in-row loop under the same law and shell: its fans are what the valve is elsewhere."""

from dataclasses import replace

import numpy as np
import pytest

from controller.cooling.control import Mode
from controller.cooling.laws.law import LawState
from controller.cooling.reset import Outlook
from controller.cooling.settings import CoolingSettings, ResetSettings
from controller.options import ControllerOptions
from fleet.topology import LoopKind
from tests.controller.cooling.loop_bench import LoopBench
from tests.controller.cooling.test_reset import inputs, readings
from tests.thermal.plant.builders import make_plant
from thermal.plant.settings import InRowSettings, PlantSettings

IN_ROW = CoolingSettings.sized(288, LoopKind.LIQUID_TO_AIR)


def test_fans_hold_the_supply_over_a_load_step() -> None:
    plant = replace(PlantSettings.sized(288), in_row=InRowSettings(), longest_step_s=1.0)
    bench = LoopBench(plant=make_plant(plant), settings=IN_ROW)
    bench.load_ratio = 0.3
    bench.run(150).forget()
    bench.load_ratio = 0.9
    bench.run(120)
    off_k = np.array(bench.supply_c) - 40.0
    assert bench.mode() is Mode.AUTO
    assert bench.control.sensor_faults == ()
    assert off_k.max() < 1.5
    assert np.abs(off_k[-30:]).max() < 0.4
    assert np.ptp(bench.valve[-30:]) < 0.05
    assert bench.valve[-1] - bench.valve[0] > 0.2
    assert max(bench.hottest_c) < 80.0


def test_each_kind_of_loop_has_its_own_settings() -> None:
    options = ControllerOptions()
    assert options.cooling_of(288, LoopKind.LIQUID_TO_LIQUID).in_row is None
    small, large = (options.cooling_of(n, LoopKind.LIQUID_TO_AIR).in_row for n in (144, 288))
    assert small is not None
    assert large is not None
    assert large.coil.fan_rated_w == pytest.approx(2.0 * small.coil.fan_rated_w)


def test_the_slow_layer_pays_for_the_fans_and_asks_nobody_for_water() -> None:
    settings = replace(IN_ROW, reset=ResetSettings())
    shown = inputs(facility_c=27.0)
    outlook = Outlook(settings, LawState(), readings(15.0), shown)
    assert not outlook.asks
    cool, warm = outlook.bill(38.0, 27.0), outlook.bill(43.0, 27.0)
    assert cool.facility_pump_w == 0.0
    assert cool.fan_w > 1.5 * warm.fan_w > 0.0
