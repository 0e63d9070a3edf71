import pytest

from emulator import plant_parts
from emulator.sensors import SENSOR_DATA
from fleet.metrics import BY_NAME
from thermal.facility import HeatRejection
from thermal.plant.air_settings import AirRowSettings
from thermal.plant.settings import InRowSettings, PlantSettings


def test_the_files_say_what_the_controllers_data_sheets_say() -> None:
    """Those defaults stand in `thermal`, which reads no files."""
    assert plant_parts.liquid_loop(288) == PlantSettings()
    assert plant_parts.in_row() == InRowSettings()
    assert plant_parts.air_row() == AirRowSettings()


def test_a_loop_grows_with_its_chips() -> None:
    assert plant_parts.liquid_loop(144) == PlantSettings.sized(144)
    assert plant_parts.liquid_loop(144).in_row_share == 0.5


@pytest.mark.parametrize("rejection", HeatRejection)
def test_every_heat_rejection_has_its_file(rejection: HeatRejection) -> None:
    assert plant_parts.facility(rejection).rejection is rejection
    assert plant_parts.liquid_loop(72, rejection).facility.rejection is rejection


def test_limits_leave_room_above_what_the_controller_aims_at() -> None:
    limits = plant_parts.return_limits()
    assert limits.coolant_return_c > 55.0


def test_every_sensor_is_of_a_metric_that_exists() -> None:
    assert set(SENSOR_DATA) - set(BY_NAME) == set()
