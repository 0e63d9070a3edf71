import math

import numpy as np
import pytest

from thermal.model import margins
from thermal.model.margins import ThrottleSettings
from thermal.model.settings import LoopModelSettings
from thermal.plant.pumps import Pumps
from thermal.plant.settings import PlantSettings


@pytest.mark.parametrize(
    ("junction_c", "chip_power_w", "to_90_s"),
    [
        # Loss of flow of a 1 kW cold plate: supply 30, 40, 45 °C at full and at half load.
        (64.0, 1000.0, 10.5),
        (74.0, 1000.0, 8.0),
        (79.0, 1000.0, 7.0),
        (47.0, 500.0, 37.0),
        (57.0, 500.0, 27.0),
        (62.0, 500.0, 22.0),
    ],
)
def test_time_to_throttle_is_that_of_the_reference_table(
    junction_c: float, chip_power_w: float, to_90_s: float
) -> None:
    told = margins.time_to_throttle_s(
        ThrottleSettings(), junction_c=junction_c, chip_power_w=chip_power_w
    )
    assert told == pytest.approx(to_90_s, rel=0.15)


def test_there_is_no_time_left_at_the_limit_and_none_is_told_without_power() -> None:
    settings = ThrottleSettings()
    assert margins.time_to_throttle_s(settings, junction_c=91.0, chip_power_w=900.0) == 0.0
    for power_w in (0.0, math.nan):
        told = margins.time_to_throttle_s(settings, junction_c=60.0, chip_power_w=power_w)
        assert math.isnan(told)


def test_specific_power_needs_flow() -> None:
    assert margins.pump_kw_per_lps(2_700.0, 540.0) == pytest.approx(0.3)
    assert math.isnan(margins.pump_kw_per_lps(100.0, 0.0))


@pytest.mark.parametrize("speed_ratio", [0.4, 0.7, 1.0])
def test_pump_power_is_that_of_the_plants_pumps(speed_ratio: float) -> None:
    flow_lpm = 540.0 * speed_ratio
    truth = Pumps([PlantSettings()]).electric_w(
        np.full((1, 2), speed_ratio), np.full((1, 2), flow_lpm / 2)
    )
    believed = margins.pump_power_w(LoopModelSettings(), speed_ratio, flow_lpm, 2)
    assert believed == pytest.approx(float(truth.sum()), rel=0.01)
