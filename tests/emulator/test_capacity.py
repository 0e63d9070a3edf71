import pytest

from emulator.capacity import (
    Capacity,
    air_row,
    full_flow_lpm,
    liquid_to_air,
    liquid_to_liquid,
    refuse_impossible,
)
from emulator.plant_parts import ReturnLimits
from fleet.errors import ConfigurationError
from thermal.coil import CoilSettings
from thermal.plant.air_settings import AirRowSettings
from thermal.plant.settings import PlantSettings

LIMITS = ReturnLimits(coolant_return_c=65.0, air_return_c=55.0)
PLANT, ROW = PlantSettings(), AirRowSettings()


def liquid(wet_bulb_c: float = 26.0, chips: int = 288) -> Capacity:
    plant = PlantSettings.sized(chips)
    return liquid_to_liquid(plant, LIMITS, dry_bulb_c=32.0, wet_bulb_c=wet_bulb_c)


def row(wet_bulb_c: float = 26.0) -> Capacity:
    return air_row(ROW, LIMITS, handler_share=1.0, dry_bulb_c=32.0, wet_bulb_c=wet_bulb_c)


def test_every_kind_of_loop_carries_what_it_is_sized_for() -> None:
    for capacity in (
        liquid(),
        liquid_to_air(PLANT, CoilSettings(), LIMITS, hall_air_c=27.0),
        row(),
    ):
        refuse_impossible("h1/loop01", 360e3, capacity)


def test_no_flow_carries_more_than_its_coolant_can_take() -> None:
    capacity = liquid()
    span_k = capacity.return_c - capacity.sink_c
    assert 0.5 < capacity.heat_w / (capacity.flow_lpm * 66.8 * span_k) < 1.0


def test_warmer_weather_carries_less() -> None:
    assert liquid(30.0).heat_w < liquid(20.0).heat_w
    in_hot_hall, in_cool_hall = (
        liquid_to_air(PLANT, CoilSettings(), LIMITS, hall_air_c=air_c) for air_c in (35.0, 20.0)
    )
    assert in_hot_hall.heat_w < in_cool_hall.heat_w


def test_weather_beyond_any_return_carries_nothing() -> None:
    assert liquid(70.0).heat_w == 0.0


def test_a_loop_of_half_the_chips_carries_half() -> None:
    assert liquid(chips=144).heat_w == pytest.approx(0.5 * liquid().heat_w, rel=1e-6)
    assert full_flow_lpm(PLANT) > PLANT.exchanger.hot_nominal_lpm


def test_an_impossible_loop_is_refused_with_the_numbers() -> None:
    capacity = liquid()
    with pytest.raises(ConfigurationError) as caught:
        refuse_impossible("h1/loop07", 1.5 * capacity.heat_w, capacity)
    text = str(caught.value)
    assert text.startswith("h1/loop07: ")
    for number in (1.5 * capacity.heat_w / 1e3, capacity.heat_w / 1e3, capacity.flow_lpm, 65, 30):
        assert f"{number:.0f}" in text
    assert "\n" not in text


def test_an_air_row_speaks_of_water_and_air() -> None:
    with pytest.raises(ConfigurationError, match=r"to the air, but full flow .* of water"):
        refuse_impossible("h1/row01", 5e6, row())
