import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator import weather
from emulator.weather import ClimateSettings, WeatherTable, generated
from fleet.errors import ConfigurationError
from thermal.humidity import humidity_ratio, wet_bulb_c

HOUR_S, DAY_S = 3_600.0, 86_400.0
CSV = """time,dry_bulb_c,relative_humidity_ratio
2025-07-01T00:00,20,0.5
2025-07-01T01:00,30,0.3
2025-07-01T02:00,25,0.5
"""


def epw(*hours: tuple[float, float]) -> str:
    """As EnergyPlus writes it: eight header lines, 35 columns."""
    header = ["LOCATION,Nowhere,-,XXX,TMY3,0,50.0,8.0,1.0,100.0", *(["DESIGN CONDITIONS,0"] * 7)]
    rows = [
        ",".join(["2025", "7", "1", str(hour + 1), "0", "?9", str(dry), str(dew), *["0"] * 27])
        for hour, (dry, dew) in enumerate(hours)
    ]
    return "\n".join([*header, *rows]) + "\n"


def year(seed: int, settings: ClimateSettings | None = None) -> WeatherTable:
    return generated(settings or ClimateSettings(), np.random.default_rng(seed))


def test_a_csv_is_straight_between_its_rows_and_begins_anew() -> None:
    table = weather.parse(CSV, "july.csv")
    assert table.at(0.0).dry_bulb_c == 20.0
    assert table.at(0.0).wet_bulb_c == pytest.approx(13.8, abs=0.2)
    assert table.at(0.0).dew_point_c == pytest.approx(9.3, abs=0.1)
    assert table.at(0.5 * HOUR_S).dry_bulb_c == pytest.approx(25.0)
    assert table.at(2.9 * HOUR_S).dry_bulb_c == 25.0
    assert table.at(3.5 * HOUR_S) == table.at(0.5 * HOUR_S)


def test_an_epw_gives_dry_bulb_and_dew_point() -> None:
    table = weather.parse(epw((20.0, 9.3), (30.0, 10.5)), "july.epw")
    assert table.at(HOUR_S).dry_bulb_c == 30.0
    assert table.at(HOUR_S).dew_point_c == 10.5
    assert table.at(HOUR_S).wet_bulb_c == pytest.approx(18.0, abs=0.2)


def test_each_measure_of_moisture_gives_the_same_air() -> None:
    air = weather.parse(CSV, "rh.csv").at(0.0)
    for column, value in (("dew_point_c", air.dew_point_c), ("wet_bulb_c", air.wet_bulb_c)):
        text = f"time,dry_bulb_c,{column}\n2025-01-01,20,{value}\n2025-01-02,20,{value}\n"
        again = weather.parse(text, "other.csv").at(0.0)
        assert again.dew_point_c == pytest.approx(air.dew_point_c, abs=0.01)
        assert again.wet_bulb_c == pytest.approx(air.wet_bulb_c, abs=0.01)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("30,0.3", "99,0.3", "line 3: dry_bulb_c is '99', expected -60 to 60"),
        ("30,0.3", "nan,0.3", "line 3: dry_bulb_c is 'nan'"),
        ("30,0.3", "30,30", "line 3: relative_humidity_ratio is '30', expected 0 to 1.1"),
        ("30,0.3", "30", "line 3: relative_humidity_ratio is ''"),
        ("T01:00", "T00:00", "line 3: time is not later than in the row before"),
        ("2025-07-01T01:00", "noon", "line 3: time is 'noon', expected ISO 8601"),
        ("dry_bulb_c", "temperature", "line 1: expected columns time, dry_bulb_c and one of"),
        ("relative_humidity_ratio", "rain", "line 1: expected columns time, dry_bulb_c"),
    ],
)
def test_what_can_not_be_used_is_said_with_its_line(old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^weather july\.csv line") as caught:
        weather.parse(CSV.replace(old, new, 1), "july.csv")
    assert message in str(caught.value)


@pytest.mark.parametrize("text", [CSV[:62], epw(), epw((20.0, 9.0))])
def test_fewer_than_two_rows_are_no_weather(text: str) -> None:
    with pytest.raises(ConfigurationError, match="needs at least 2"):
        weather.parse(text, "short")


def test_a_cut_epw_row_names_its_line() -> None:
    text = epw((20.0, 9.0), (21.0, 9.0)).replace(",21.0,9.0", "\n")
    with pytest.raises(ConfigurationError, match="line 10: expected an EPW row of 35 columns"):
        weather.parse(text, "cut.epw")


@given(st.text() | st.text(alphabet="0123456789.,:-T\n").map(lambda t: CSV + t))
def test_nonsense_is_one_clear_line(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^weather x\.csv"):
        weather.parse(text + "\n?,?,?", "x.csv")


def test_files_are_read_from_disk(tmp_path: Path) -> None:
    (tmp_path / "july.csv").write_text("\ufeff" + CSV, encoding="utf-8")
    assert len(weather.read(tmp_path / "july.csv")) == 3
    with pytest.raises(ConfigurationError, match="can not be read"):
        weather.read(tmp_path / "june.csv")


def test_the_generated_year_is_that_of_its_seed() -> None:
    assert year(1).at(5e6) == year(1).at(5e6)
    assert year(1).at(5e6) != year(2).at(5e6)


def test_afternoons_are_warmer_than_nights_and_july_than_january() -> None:
    table, start_h = year(3), ClimateSettings().start_s / HOUR_S % 24
    days = range(365)

    def mean_c(hour: float, chosen: range = days) -> float:
        at_s = [day * DAY_S + (hour - start_h) % 24 * HOUR_S for day in chosen]
        return math.fsum(table.at(s).dry_bulb_c for s in at_s) / len(at_s)

    assert mean_c(15) - mean_c(3) == pytest.approx(12.0, abs=1.0)
    assert mean_c(9, range(31)) - mean_c(9, range(168, 199)) > 15.0
    assert mean_c(9) == pytest.approx(ClimateSettings().mean_c, abs=2.0)


def test_generated_air_is_possible_air() -> None:
    table = year(4)
    for hour in range(0, 8760, 7):
        air = table.at(hour * HOUR_S)
        assert air.dew_point_c <= air.wet_bulb_c + 0.05 <= air.dry_bulb_c + 0.1
        humidity = humidity_ratio(air.dry_bulb_c, air.dew_point_c)
        assert air.wet_bulb_c == pytest.approx(wet_bulb_c(air.dry_bulb_c, humidity), abs=1e-6)


def test_without_fronts_the_weather_is_the_course_of_sun_alone() -> None:
    calm = ClimateSettings(front_k=0.0)
    assert year(1, calm).at(1e6) == year(2, calm).at(1e6)
