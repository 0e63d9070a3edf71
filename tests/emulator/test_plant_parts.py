from dataclasses import replace

import pytest

from emulator.plant_parts import CHANGEABLE, PlantChange, PlantParts, figures
from emulator.sensors import SENSOR_DATA
from fleet.metrics import BY_NAME
from thermal.facility import HeatRejection
from thermal.plant.air_settings import AirRowSettings
from thermal.plant.settings import InRowSettings, PlantSettings

PARTS = PlantParts()


def test_the_files_say_what_the_controllers_data_sheets_say() -> None:
    """Those defaults stand in `thermal`, which reads no files."""
    assert PARTS.liquid_loop(288) == PlantSettings()
    assert PARTS.in_row() == InRowSettings()
    assert PARTS.air_row() == AirRowSettings()


def test_a_loop_grows_with_its_chips() -> None:
    assert PARTS.liquid_loop(144) == PlantSettings.sized(144)
    assert PARTS.liquid_loop(144).in_row_share == 0.5


@pytest.mark.parametrize("rejection", HeatRejection)
def test_every_heat_rejection_has_its_file(rejection: HeatRejection) -> None:
    assert PARTS.facility(rejection).rejection is rejection
    assert PARTS.liquid_loop(72, rejection).facility.rejection is rejection


def test_limits_leave_room_above_what_the_controller_aims_at() -> None:
    limits = PARTS.return_limits()
    assert limits.coolant_return_c > 55.0


def test_a_changed_figure_changes_that_alone_wherever_it_stands() -> None:
    changes = (
        PlantChange(part="loop", figure="pumps", value=3),
        PlantChange(part="pump", figure="shutoff_kpa", value=500.0),
        PlantChange(part="in_row", figure="coil.ua_w_per_k", value=30_000.0),
    )
    parts = PlantParts(changes=changes)
    usual = PlantSettings()
    assert parts.liquid_loop(288) == replace(
        usual, pumps=3, pump=replace(usual.pump, shutoff_kpa=500.0)
    )
    assert parts.in_row().coil == replace(InRowSettings().coil, ua_w_per_k=30_000.0)
    assert parts.air_row() == AirRowSettings()


@pytest.mark.parametrize("part", CHANGEABLE)
def test_every_figure_can_be_changed_within_a_span_around_what_is_described(part: str) -> None:
    for name, figure in figures(part).items():
        assert figure.low < figure.high
        for value in (figure.low, figure.high):
            change = PlantChange(part=part, figure=name, value=value)
            parts = PlantParts(changes=(change,))
            rejection = HeatRejection(part) if part in list(HeatRejection) else HeatRejection.TOWER
            made = (
                parts.liquid_loop(288, rejection),
                *(parts.in_row(), parts.air_row(), parts.hall(), parts.return_limits()),
            )
            usual = PARTS.liquid_loop(288, rejection), PARTS.in_row(), PARTS.air_row()
            assert made != (*usual, PARTS.hall(), PARTS.return_limits())


def test_every_sensor_is_of_a_metric_that_exists() -> None:
    assert set(SENSOR_DATA) - set(BY_NAME) == set()
