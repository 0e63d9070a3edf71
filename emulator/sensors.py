"""What sensors show of the truth: lag, bias, drift, noise, resolution, blind spots, faults.

Order of effects: the element lags behind the truth, the transmitter adds bias, drift and noise, the
meter is blind near zero, the display rounds; a fault stands above all of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from emulator.sensing import SensorFault, SensorFaultKind
from emulator.skus import FleetSkus
from emulator.sourced import load
from fleet.metrics import BY_NAME
from thermal.arrays import FloatArray

_S_PER_DAY: Final = 86_400.0
_MOST_SIGMAS: Final = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorData:
    """One kind of sensor, in the unit of its metric. Zero switches an effect off."""

    lag_s: float = 0.0
    """Time constant of the first-order lag."""
    noise: float = 0.0
    """One sigma."""
    noise_ratio: float = 0.0
    """One sigma over the reading."""
    bias: float = 0.0
    """One sigma between built sensors, cut at 2.5 sigma."""
    bias_ratio: float = 0.0
    """The same, over the reading."""
    drift_per_day: float = 0.0
    """One sigma between built sensors of a steady drift."""
    blind_below: float = 0.0
    """Shows zero below this reading."""
    resolution: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorSettings:
    """The settings file of sensors."""

    sled_plates: int
    """Cold plates of the sled whose flow meter is described."""
    loop_plates: int
    """Of the loop whose flow meters are described."""
    metrics: Mapping[str, SensorData]


_SETTINGS: Final = load("emulator.plant_parts", "sensors.yaml", SensorSettings)
SENSOR_DATA: Final = _SETTINGS.metrics
"""By metric; what is not named shows the truth."""


def meter_sizes(skus: FleetSkus) -> Mapping[str, FloatArray]:
    """Ranges of the flow meters that a hall has, by metric, over those described: one is chosen
    for the flow of its sled or loop.
    """
    fleet_map = skus.fleet_map
    plates = np.add.reduceat(
        skus.chip_column(lambda chip: chip.cold_plates), fleet_map.first_chip_of_sled
    )
    loops = np.bincount(fleet_map.loop_of_sled, plates) / _SETTINGS.loop_plates
    return {
        "coolant_flow_lpm": plates / _SETTINGS.sled_plates,
        "secondary_flow_lpm": loops,
        "primary_flow_lpm": loops,
    }


class FleetSensors:
    """All sensors of a hall, by metric; follows `emulator.sensing.Sensors`.

    Bias and drift of each sensor are drawn when its metric is first read.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        data: Mapping[str, SensorData] = SENSOR_DATA,
        *,
        sizes: Mapping[str, FloatArray] | None = None,
    ) -> None:
        """`sizes` are ranges over those of `data`, by metric and sensor; 1 where not named."""
        self._rng = rng
        self._data = data
        self._sizes = sizes or {}
        self._channels: dict[str, _Channel] = {}
        self._faults: dict[str, dict[int, SensorFault]] = {}

    def read(self, metric: str, truth: FloatArray, dt_s: float) -> FloatArray:
        """What the sensors of a metric show, one entry a row of `truth`; NaN where nothing."""
        channel = self._channels.get(metric)
        if channel is None:
            data = self._data.get(metric, SensorData())
            range_ratio = self._sizes.get(metric, np.ones(len(truth)))
            channel = _Channel(data, _floor(metric), range_ratio, self._rng)
            self._channels[metric] = channel
        return channel.read(truth, dt_s, self._faults.get(metric, {}))

    def set_fault(self, metric: str, row: int, fault: SensorFault | None) -> None:
        """Break one sensor, or mend it with None."""
        # Replaced, never changed in place: `read` may walk the old one in another thread.
        faults = {known: f for known, f in self._faults.get(metric, {}).items() if known != row}
        if fault is not None:
            faults[row] = fault
        self._faults[metric] = faults


class _Channel:
    """The sensors of one metric."""

    def __init__(
        self, data: SensorData, floor: float, range_ratio: FloatArray, rng: np.random.Generator
    ) -> None:
        rows = len(range_ratio)
        self._data = data
        self._blind_below = data.blind_below * range_ratio
        self._floor = floor
        self._rng = rng
        self._bias = data.bias * _spread(rng, rows)
        self._gain = 1.0 + data.bias_ratio * _spread(rng, rows)
        self._drift_per_s = data.drift_per_day / _S_PER_DAY * _spread(rng, rows)
        self._age_s = 0.0
        self._element = np.full(rows, np.nan)
        self._shown = np.full(rows, np.nan)
        self._held: dict[int, float] = {}

    def read(self, truth: FloatArray, dt_s: float, faults: Mapping[int, SensorFault]) -> FloatArray:
        shown = self._healthy(np.asarray(truth, dtype=np.float64), dt_s)
        self._held = {row: kept for row, kept in self._held.items() if row in faults}
        for row, fault in faults.items():
            if row < len(shown):
                shown[row] = self._broken(row, float(shown[row]), fault)
        self._shown = shown
        return shown.copy()

    def _healthy(self, truth: FloatArray, dt_s: float) -> FloatArray:
        data = self._data
        self._age_s += dt_s
        share = 1.0 if data.lag_s <= 0.0 else -np.expm1(-dt_s / data.lag_s)
        # A sensor that had nothing to show starts at the truth.
        start = np.where(np.isfinite(self._element), self._element, truth)
        self._element = start + share * (truth - start)
        shown = self._element * self._gain + self._bias + self._drift_per_s * self._age_s
        if data.noise > 0.0 or data.noise_ratio > 0.0:
            sigma = data.noise + data.noise_ratio * np.abs(shown)
            shown = shown + sigma * self._rng.standard_normal(len(shown))
        if data.blind_below > 0.0:
            shown = np.where(shown < self._blind_below, 0.0 * shown, shown)
        if data.resolution > 0.0:
            shown = np.round(shown / data.resolution) * data.resolution
        floored: FloatArray = np.maximum(shown, self._floor)
        return floored

    def _broken(self, row: int, healthy: float, fault: SensorFault) -> float:
        match fault.kind:
            case SensorFaultKind.BIAS:
                return healthy + fault.offset
            case SensorFaultKind.FREEZE:
                last = float(self._shown[row])
                return self._held.setdefault(row, healthy if np.isnan(last) else last)
            case SensorFaultKind.DROPOUT:
                return float("nan")
            case SensorFaultKind.NOISE:
                return healthy + fault.offset * float(self._rng.standard_normal())


def _floor(metric: str) -> float:
    """Quantities that have no negative side are shown as zero below it."""
    spec = BY_NAME.get(metric)
    return 0.0 if spec is not None and spec.low == 0.0 else -np.inf


def _spread(rng: np.random.Generator, rows: int) -> FloatArray:
    return np.clip(rng.standard_normal(rows), -_MOST_SIGMAS, _MOST_SIGMAS)
