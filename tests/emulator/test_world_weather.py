"""Weather reaches the facility water, and a hall that no flow can cool is not built."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emulator.capacity import check_hall
from emulator.datacenter import World
from emulator.options import EmulatorOptions
from emulator.plant_parts import PlantParts
from emulator.skus import FleetSkus
from emulator.weather import OutdoorAir, hall_weather
from fleet.clock import ManualClock
from fleet.errors import ConfigurationError
from fleet.topology import FleetMap, trn3_datacenter
from thermal.facility import HeatRejection
from thermal.humidity import dew_point_c

PARTS = PlantParts()
FLEET = FleetMap(trn3_datacenter(ultraservers=1))


def world(weather: Path | None = None, **options: object) -> World:
    chosen = replace(EmulatorOptions(settle_s=0.0, weather=weather), **options)  # type: ignore[arg-type]
    return World(chosen, FLEET, np.random.default_rng(1), ManualClock())


def written(path: Path, *dry_bulb_c: float) -> Path:
    rows = [f"2025-07-01T00:{minute:02d},{dry},0.5" for minute, dry in enumerate(dry_bulb_c)]
    path.write_text("\n".join(["time,dry_bulb_c,relative_humidity_ratio", *rows]))
    return path


def test_a_heat_wave_warms_the_facility_water(tmp_path: Path) -> None:
    supply_c = {}
    for name, dry_c in (("mild", 28.0), ("hot", 38.0)):
        hall = world(written(tmp_path / f"{name}.csv", dry_c, dry_c))
        for _ in range(300):
            hall._cool(1.0)
        supply_c[name] = float(hall.loops.scalars("primary_supply_c")[0])
        assert hall.outdoor.dry_bulb_c == dry_c
    assert supply_c["hot"] - supply_c["mild"] > 4.0


def test_weather_moves_with_the_worlds_time(tmp_path: Path) -> None:
    hall = world(written(tmp_path / "rise.csv", 20.0, 30.0, 30.0))
    for _ in range(30):
        hall._cool(1.0)
        hall.now_s += 1.0
    assert hall.outdoor.dry_bulb_c == pytest.approx(25.0, abs=0.5)


def test_the_same_seed_has_the_same_weather() -> None:
    assert world().outdoor == world().outdoor


@pytest.mark.parametrize(("outdoor_c", "hall_c"), [(-20.0, -9.0), (8.0, 8.0), (24.0, 15.0)])
def test_the_halls_dew_point_follows_the_air_outside_within_its_band(
    outdoor_c: float, hall_c: float
) -> None:
    outdoor = OutdoorAir(dry_bulb_c=30.0, wet_bulb_c=25.0, dew_point_c=outdoor_c)
    inside = hall_weather(PARTS.hall(), outdoor)
    assert dew_point_c(inside.hall_air_c, inside.hall_humidity_ratio) == pytest.approx(hall_c)


def test_dry_coolers_follow_the_dry_bulb(tmp_path: Path) -> None:
    weather = written(tmp_path / "dry.csv", 36.0, 36.0)
    warm = world(weather, rejection=HeatRejection.DRY_COOLER)
    for _ in range(600):
        warm._cool(1.0)
    assert warm.loops.scalars("primary_supply_c")[0] > 36.0


def test_a_hall_under_water_too_warm_is_refused_with_the_numbers(tmp_path: Path) -> None:
    weather = written(tmp_path / "oven.csv", 59.0, 59.0)
    with pytest.raises(ConfigurationError, match=r"h1/\w+: its chips and sleds can give 1\d\d kW"):
        world(weather, rejection=HeatRejection.DRY_COOLER)


def test_loops_too_small_for_their_chips_are_refused() -> None:
    skus = FleetSkus(FLEET)
    plants = PARTS.liquid_loops(FLEET, skus, HeatRejection.TOWER)
    warmest = OutdoorAir(dry_bulb_c=34.0, wet_bulb_c=26.0, dew_point_c=20.0)
    check_hall(FLEET, skus, plants, parts=PARTS, warmest=warmest)
    small = [plant.scaled(0.2) for plant in plants]
    with pytest.raises(ConfigurationError, match="or a larger loop"):
        check_hall(FLEET, skus, small, parts=PARTS, warmest=warmest)


def test_weather_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"weather = .*gone\.epw: no such file"):
        EmulatorOptions(weather=tmp_path / "gone.epw").validate()
