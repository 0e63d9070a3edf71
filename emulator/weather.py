"""Outdoor air through the year: from a weather file, or from a generator with a seed.

Files: EPW (EnergyPlus weather, hourly) or CSV with the header `time,dry_bulb_c` and one of
`relative_humidity_ratio`, `dew_point_c` or `wet_bulb_c`; times are ISO 8601, in order. What the
file does not give follows from the two that it does. Beyond its end a file begins anew.
"""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from fleet.errors import ConfigurationError
from thermal.arrays import FloatArray
from thermal.humidity import dew_point_c, humidity_ratio, wet_bulb_c
from thermal.plant.state import Weather

_S_PER_HOUR: Final = 3_600.0
_HOURS_PER_DAY: Final = 24
_DAYS_PER_YEAR: Final = 365
_EPW_HEADER_LINES: Final = 8
_EPW_DRY_BULB, _EPW_DEW_POINT = 6, 7
_MOISTURE: Final = ("relative_humidity_ratio", "dew_point_c", "wet_bulb_c")
_SPANS: Final = {
    "dry_bulb_c": (-60.0, 60.0),
    "dew_point_c": (-70.0, 45.0),
    "wet_bulb_c": (-60.0, 45.0),
    "relative_humidity_ratio": (0.0, 1.1),
}
_LARGEST_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ClimateSettings:
    """Of the generator: temperate, continental. Estimates."""

    mean_c: float = 16.0
    """Dry bulb over the year."""
    season_k: float = 12.0
    """Half of the difference between the warmest and the coldest day."""
    day_k: float = 6.0
    """Half of the difference between the warmest and the coldest hour."""
    front_k: float = 4.0
    """One sigma of what fronts add, over days."""
    front_s: float = 2.5 * 86_400.0
    """Correlation time of fronts."""
    depression_k: float = 6.0
    """Dry bulb less dew point of a night."""
    start_s: float = 195.25 * 86_400.0
    """Since the beginning of the year when the world begins: 06:00 on a day in mid-July."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutdoorAir:
    """Outside at one moment."""

    dry_bulb_c: float
    wet_bulb_c: float
    dew_point_c: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HallSettings:
    """Air that the hall's own plant keeps."""

    air_c: float
    driest_c: float
    """Dew point below which air is humidified ..."""
    wettest_c: float
    """... and above which it is dried."""


def hall_weather(settings: HallSettings, outdoor: OutdoorAir) -> Weather:
    """What acts on the plant: outdoor air, and the hall air that takes its moisture from it."""
    dew_c = min(max(outdoor.dew_point_c, settings.driest_c), settings.wettest_c)
    return Weather(
        dry_bulb_c=outdoor.dry_bulb_c,
        wet_bulb_c=outdoor.wet_bulb_c,
        hall_air_c=settings.air_c,
        hall_humidity_ratio=float(humidity_ratio(settings.air_c, dew_c)),
    )


class WeatherTable:
    """Weather that was recorded, straight between its rows."""

    def __init__(
        self, at_s: FloatArray, dry_bulb_c: FloatArray, dew_c: FloatArray, wet_c: FloatArray
    ) -> None:
        """Rows in order of time, at least two, beginning at 0."""
        self._at_s = at_s
        self._columns = (dry_bulb_c, wet_c, dew_c)
        # The last row stands for as long as the one before it.
        self._span_s = float(at_s[-1] + (at_s[-1] - at_s[-2]))

    def __len__(self) -> int:
        return len(self._at_s)

    def at(self, now_s: float) -> OutdoorAir:
        """At seconds since the world began, >= 0."""
        within_s = math.fmod(now_s, self._span_s)
        dry, wet, dew = (float(np.interp(within_s, self._at_s, c)) for c in self._columns)
        return OutdoorAir(dry_bulb_c=dry, wet_bulb_c=wet, dew_point_c=dew)

    def warmest(self) -> OutdoorAir:
        """The highest of each, whenever that is."""
        dry, wet, dew = (float(column.max()) for column in self._columns)
        return OutdoorAir(dry_bulb_c=dry, wet_bulb_c=wet, dew_point_c=dew)


def generated(settings: ClimateSettings, rng: np.random.Generator) -> WeatherTable:
    """One year by the hour: season, day, and fronts that come and go."""
    hours = np.arange(_DAYS_PER_YEAR * _HOURS_PER_DAY, dtype=np.float64)
    since_new_year = settings.start_s / _S_PER_HOUR + hours
    hour, day = since_new_year % _HOURS_PER_DAY, since_new_year / _HOURS_PER_DAY
    # Warmest around 20 July and at 15 h; coldest half a year and half a day away.
    season = np.cos(2.0 * np.pi * (day - 201.0) / _DAYS_PER_YEAR)
    daily = np.cos(2.0 * np.pi * (hour - 15.0) / _HOURS_PER_DAY)
    fronts = _fronts(settings, len(hours), rng)
    dry = settings.mean_c + settings.season_k * season + settings.day_k * daily + fronts
    # Air masses carry their moisture through the day: the dew point has no daily course, and a
    # clear night ends in dew rather than below it.
    moist = settings.mean_c + settings.season_k * season + 0.7 * fronts
    dew = np.minimum(moist - settings.depression_k, dry)
    wet = wet_bulb_c(dry, humidity_ratio(dry, dew))
    return WeatherTable(hours * _S_PER_HOUR, dry, dew, wet)


def _fronts(settings: ClimateSettings, rows: int, rng: np.random.Generator) -> FloatArray:
    keep = math.exp(-_S_PER_HOUR / settings.front_s)
    shocks = rng.standard_normal(rows) * math.sqrt(1.0 - keep * keep)
    front, fronts = 0.0, np.empty(rows)
    for row, shock in enumerate(shocks.tolist()):
        front = keep * front + shock
        fronts[row] = front
    scaled: FloatArray = settings.front_k * np.clip(fronts, -2.5, 2.5)
    return scaled


def read(path: Path) -> WeatherTable:
    """A weather file; ConfigurationError with file and line for what can not be used."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise ConfigurationError(f"weather {path}: larger than {_LARGEST_BYTES} bytes")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"weather {path}: can not be read: {error}") from None
    return parse(text, str(path))


def parse(text: str, name: str) -> WeatherTable:
    """The same from text; `name` is what messages call the file."""
    lines = text.splitlines()
    if lines and lines[0].upper().startswith("LOCATION,"):
        return _epw(lines, name)
    return _csv(text, name)


def _epw(lines: Sequence[str], name: str) -> WeatherTable:
    dry: list[float] = []
    dew: list[float] = []
    for number, line in enumerate(lines[_EPW_HEADER_LINES:], start=_EPW_HEADER_LINES + 1):
        if not line.strip():
            continue
        cells = line.split(",")
        if len(cells) <= _EPW_DEW_POINT:
            raise _unusable(name, number, f"expected an EPW row of 35 columns, got {len(cells)}")
        dry.append(_number(cells[_EPW_DRY_BULB], "dry_bulb_c", name, number))
        dew.append(_number(cells[_EPW_DEW_POINT], "dew_point_c", name, number))
    hours = np.arange(len(dry), dtype=np.float64)
    return _table(name, hours * _S_PER_HOUR, dry, "dew_point_c", dew)


def _csv(text: str, name: str) -> WeatherTable:
    lines = csv.reader(io.StringIO(text))
    try:
        rows = list(lines)
    except csv.Error as error:
        raise _unusable(name, lines.line_num, str(error)) from None
    header = [column.strip() for column in rows[0]] if rows else []
    moisture = next((column for column in _MOISTURE if column in header), None)
    if moisture is None or not {"time", "dry_bulb_c"} <= set(header):
        raise _unusable(
            name, 1, f"expected columns time, dry_bulb_c and one of {', '.join(_MOISTURE)}"
        )
    at_s: list[float] = []
    dry: list[float] = []
    moist: list[float] = []
    for number, cells in enumerate(rows[1:], start=2):
        if not cells:
            continue
        row = dict(zip(header, cells, strict=False))
        at_s.append(_seconds(row.get("time", ""), name, number))
        dry.append(_number(row.get("dry_bulb_c", ""), "dry_bulb_c", name, number))
        moist.append(_number(row.get(moisture, ""), moisture, name, number))
        if len(at_s) > 1 and at_s[-1] <= at_s[-2]:
            raise _unusable(name, number, "time is not later than in the row before")
    return _table(name, np.array(at_s) - (at_s[0] if at_s else 0.0), dry, moisture, moist)


def _seconds(text: str, name: str, line: int) -> float:
    try:
        at = datetime.fromisoformat(text.strip())
        # A time without a zone counts as UTC: only differences matter.
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise _unusable(name, line, f"time is {text!r}, expected ISO 8601") from None


def _number(text: str, column: str, name: str, line: int) -> float:
    low, high = _SPANS[column]
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        raise _unusable(name, line, f"{column} is {text!r}, expected {low:g} to {high:g}")
    return number


def _table(
    name: str, at_s: FloatArray, dry: Iterable[float], moisture: str, moist: Iterable[float]
) -> WeatherTable:
    if len(at_s) < 2:
        raise ConfigurationError(f"weather {name}: has {len(at_s)} rows, needs at least 2")
    dry_c, given = np.array(list(dry)), np.array(list(moist))
    if moisture == "wet_bulb_c":
        wet_c = np.minimum(given, dry_c)
        dew_c = _dew_of_wet(dry_c, wet_c)
    elif moisture == "dew_point_c":
        dew_c = np.minimum(given, dry_c)
        wet_c = wet_bulb_c(dry_c, humidity_ratio(dry_c, dew_c))
    else:
        dew_c = np.minimum(dew_point_c(dry_c, given), dry_c)
        wet_c = wet_bulb_c(dry_c, np.minimum(given, 1.0))
    return WeatherTable(at_s, dry_c, dew_c, wet_c)


def _dew_of_wet(dry_c: FloatArray, wet_c: FloatArray) -> FloatArray:
    """The humidity whose wet bulb this is, by bisection."""
    low, high = np.zeros_like(dry_c), np.ones_like(dry_c)
    for _ in range(30):
        middle = 0.5 * (low + high)
        too_wet = wet_bulb_c(dry_c, middle) > wet_c
        high, low = np.where(too_wet, middle, high), np.where(too_wet, low, middle)
    return np.minimum(dew_point_c(dry_c, 0.5 * (low + high)), dry_c)


def _unusable(name: str, line: int, what: str) -> ConfigurationError:
    return ConfigurationError(f"weather {name} line {line}: {what}")
