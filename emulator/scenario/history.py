"""What a run was like, step by step: the series that a report draws."""

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from emulator.datacenter import World
from emulator.serving.request import COLUMNS
from thermal.arrays import FloatArray

JUNCTION_PERCENTILES: Final = (50, 99, 100)
_LOOP_SERIES: Final = (
    "supply_c",
    "return_c",
    "primary_supply_c",
    "secondary_flow_lpm",
    "valve_ratio",
    "heat_removed_w",
)
SERVING_PERCENTILES: Final = (50, 99)
_LATENCIES: Final = {name: COLUMNS[f"{name}_s"] for name in ("ttft", "tpot", "queue")}
_WINDOW_S: Final = 60.0
_NONE_ANSWERED: Final = np.zeros((0, len(COLUMNS)))
_NOTHING: Final = np.full(len(SERVING_PERCENTILES), np.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpan:
    """When a fault was there; `end_s` is the end of the run where it lasted."""

    kind: str
    place: str
    start_s: float
    end_s: float


class History:
    """Grows by one row a `look`; arrays are [steps] or [steps, columns]."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Any]] = {}
        self._open: dict[tuple[str, str], float] = {}
        self._spans: list[FaultSpan] = []
        self.hottest_c = -np.inf
        self.throttled_chip_s = 0.0
        self.energy_j = 0.0
        """Of the chips."""
        self._plant_j = 0.0
        self._answered: deque[tuple[float, FloatArray]] = deque()

    def look(self, world: World, dt_s: float) -> None:
        junction_c = world.loops.column("junction_c")
        power_w = float(world.chips.power_w.sum())
        self._add("t_s", world.now_s)
        self._add("load_ratio", world.load_ratio)
        self._add("chip_power_w", power_w)
        self._add("junction_c", np.percentile(junction_c, JUNCTION_PERCENTILES).tolist())
        for name in _LOOP_SERIES:
            self._add(name, world.loops.scalars(name).tolist())
        pumps = world.loops.column("pump_speed_ratio").reshape(-1, world.loops.pumps)
        self._add("pump_speed_ratio", pumps.mean(axis=1).tolist())
        self._look_at_serving(world, dt_s)
        self._look_at_faults(world)
        self.hottest_c = max(self.hottest_c, float(junction_c.max()))
        self.energy_j += power_w * dt_s
        hot = junction_c >= world.chips.kinds.throttle_c
        self.throttled_chip_s += float(np.count_nonzero(hot)) * dt_s

    def series(self, name: str) -> FloatArray:
        return np.array(self._rows.get(name, []), dtype=np.float64)

    def fault_spans(self) -> tuple[FaultSpan, ...]:
        """In order of beginning."""
        end_s = self._rows["t_s"][-1] if self._rows else 0.0
        still = [_span(key, start_s, end_s) for key, start_s in self._open.items()]
        return tuple(sorted([*self._spans, *still], key=lambda span: (span.start_s, span.place)))

    def _add(self, name: str, value: Any) -> None:
        self._rows.setdefault(name, []).append(value)

    def _look_at_serving(self, world: World, dt_s: float) -> None:
        """What was answered in the last minute, by all models together."""
        answered = [world.serving.answered_rows(model) for model in world.serving.models]
        self._answered.append((world.now_s, np.concatenate([_NONE_ANSWERED, *answered])))
        while self._answered[0][0] <= world.now_s - _WINDOW_S:
            self._answered.popleft()
        rows = np.concatenate([each for _, each in self._answered])
        for name, column in _LATENCIES.items():
            found = np.percentile(rows[:, column], SERVING_PERCENTILES) if len(rows) else _NOTHING
            self._add(name, found)
        span_s = len(self._answered) * dt_s
        self._add("tokens_per_s", rows[:, COLUMNS["output_tokens"]].sum() / span_s)
        self._add("queued", world.serving.queued)
        plant_j = world.serving_report().spent.plant_j
        self._add("plant_power_w", (plant_j - self._plant_j) / dt_s)
        self._plant_j = plant_j

    def _look_at_faults(self, world: World) -> None:
        there = {(fault.kind.value, fault.place) for fault, _ in world.severities()}
        for key in self._open.keys() - there:
            self._spans.append(_span(key, self._open.pop(key), world.now_s))
        for key in there - self._open.keys():
            self._open[key] = world.now_s


def _span(key: tuple[str, str], start_s: float, end_s: float) -> FaultSpan:
    return FaultSpan(kind=key[0], place=key[1], start_s=start_s, end_s=end_s)
