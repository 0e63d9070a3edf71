"""The laws of `thermal.control` on the plant of `thermal.plant`, with real sensors' faults.

The controller here is the smallest that uses the default gains: PI and feed-forward on the valve,
optionally feed-forward on pump speed, once a second, on a reading 2 s old with a 3 s lag and noise.
"""

import math
from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from tests.thermal.plant.builders import Load, OneLoop, make_actuators, make_plant
from thermal.control import feedforward, gains, pid, select
from thermal.model import loop as model
from thermal.model.settings import LoopModelSettings
from thermal.plant.settings import PlantSettings

SETPOINT_C = 40.0
READING_AGE_S, READING_LAG_S, READING_NOISE_K = 2, 3.0, 0.05
LOW, HIGH = Load(utilization_ratio=0.2, other_w=340.0), Load(utilization_ratio=1.0, other_w=700.0)


@dataclass
class Bench:
    """One plant under one controller; `errors_k` and `valve` hold one value a second."""

    plant: OneLoop
    moves_pumps: bool = False
    knows_power: bool = True
    belief: LoopModelSettings = field(default_factory=LoopModelSettings)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(11))
    laws: pid.PidState = field(default_factory=pid.PidState)
    heat: feedforward.FeedforwardState = field(default_factory=feedforward.FeedforwardState)
    tuning: feedforward.FeedforwardSettings = field(default_factory=feedforward.FeedforwardSettings)
    valve_ratio: float = 0.5
    pump_ratio: float = 0.85
    probe_c: float = 40.0
    errors_k: list[float] = field(default_factory=list)
    valve: list[float] = field(default_factory=list)
    hottest_c: float = 0.0
    read: deque[tuple[float, float]] = field(
        default_factory=lambda: deque(maxlen=READING_AGE_S + 1)
    )

    def run(self, seconds: int, load: Load, *, manual: float | None = None) -> "Bench":
        for _ in range(seconds):
            self._sense(load)
            supply_c, heat_w = self.read[0]
            self._decide(supply_c, heat_w, manual)
            self.plant.step(
                1.0,
                chip_power_w=np.full(288, load.chip_w),
                sled_other_liquid_w=np.full(72, load.other_w),
                actuators=make_actuators(self.valve_ratio, self.pump_ratio),
            )
            self.errors_k.append(self.plant.supply_c - SETPOINT_C)
            self.valve.append(self.valve_ratio)
            self.hottest_c = max(self.hottest_c, float(self.plant.junction_c.max()))
        return self

    def _sense(self, load: Load) -> None:
        self.probe_c += -math.expm1(-1.0 / READING_LAG_S) * (self.plant.supply_c - self.probe_c)
        noisy_c = self.probe_c + READING_NOISE_K * self.rng.standard_normal()
        self.read.append((noisy_c, 288 * load.chip_w + 72 * load.other_w))

    def _decide(self, supply_c: float, heat_w: float, manual: float | None) -> None:
        self.heat = feedforward.observe(self.tuning, self.heat, heat_w, 1.0)
        known = self._known_valve() if self.knows_power else 0.0
        if manual is not None:
            self.valve_ratio = manual
            self.laws = pid.transfer(
                gains.SUPPLY_VALVE, self.laws, manual, supply_c - SETPOINT_C, known
            )
            return
        stroke = 1.0 / self.plant.settings.valve.stroke_s
        self.valve_ratio, self.laws = pid.step(
            gains.SUPPLY_VALVE,
            self.laws,
            supply_c - SETPOINT_C,
            known,
            1.0,
            max(0.0, self.valve_ratio - stroke),
            min(1.0, self.valve_ratio + stroke),
        )
        if self.moves_pumps:
            flow_lpm = max(300.0, feedforward.flow_lpm(self.tuning, heat_w, SETPOINT_C))
            speed = model.pump_ratio_for_flow(flow_lpm, 2, self.belief)
            self.pump_ratio = select.limit_rate(self.pump_ratio, speed, gains.PUMP_RATE, 1.0)

    def _known_valve(self) -> float:
        return feedforward.valve_ratio(
            self.heat,
            setpoint_c=SETPOINT_C,
            facility_c=self.plant.primary_supply_c,
            flow_lpm=self.plant.secondary_flow_lpm,
            loop=self.belief,
        )


def settled_at_low_load(bench: Bench) -> Bench:
    bench.run(500, LOW)
    assert abs(bench.errors_k[-1]) < 0.2
    bench.errors_k.clear()
    bench.valve.clear()
    bench.hottest_c = 0.0
    return bench


@pytest.mark.parametrize("moves_pumps", [False, True], ids=["constant-speed", "flow-follows-heat"])
def test_a_load_step_from_20_to_100_percent_stays_within_one_kelvin(moves_pumps: bool) -> None:
    bench = settled_at_low_load(Bench(plant=make_plant(), moves_pumps=moves_pumps))
    bench.run(250, HIGH)
    assert max(map(abs, bench.errors_k)) < 1.0
    assert max(map(abs, bench.errors_k[30:])) < 0.5
    assert bench.hottest_c < 85.0


def test_a_load_drop_neither_undershoots_nor_nears_the_dew_point() -> None:
    bench = settled_at_low_load(Bench(plant=make_plant())).run(300, HIGH)
    bench.errors_k.clear()
    bench.run(200, LOW)
    assert max(map(abs, bench.errors_k)) < 1.0
    assert min(bench.errors_k) + SETPOINT_C > bench.plant.dew_point_c + 3.0


def test_the_integral_alone_keeps_a_step_within_two_and_a_half_kelvin() -> None:
    """Power telemetry lost: slower, but still cooled."""
    bench = settled_at_low_load(Bench(plant=make_plant(), knows_power=False))
    bench.run(250, HIGH)
    assert max(map(abs, bench.errors_k)) < 2.5
    assert bench.hottest_c < 85.0


@pytest.mark.parametrize("believed_share", [0.7, 1.3], ids=["fouled", "better-than-sheet"])
def test_a_heat_exchanger_off_by_30_percent_is_still_held(believed_share: float) -> None:
    nominal = PlantSettings()
    exchanger = replace(nominal.exchanger, ua_w_per_k=nominal.exchanger.ua_w_per_k * believed_share)
    plant = make_plant(replace(nominal, exchanger=exchanger))
    bench = settled_at_low_load(Bench(plant=plant)).run(250, HIGH)
    assert max(map(abs, bench.errors_k)) < 1.2
    assert abs(bench.errors_k[-1]) < 0.3


def test_a_slow_valve_of_120_s_is_held_within_three_kelvin() -> None:
    nominal = PlantSettings()
    plant = make_plant(replace(nominal, valve=replace(nominal.valve, stroke_s=120.0)))
    bench = settled_at_low_load(Bench(plant=plant)).run(300, HIGH)
    assert max(map(abs, bench.errors_k)) < 3.0
    assert abs(bench.errors_k[-1]) < 0.5


def test_a_steady_load_hardly_moves_the_valve() -> None:
    bench = settled_at_low_load(Bench(plant=make_plant())).run(400, HIGH)
    seen: list[float] = []
    for _ in range(120):
        bench.run(1, HIGH)
        seen.append(bench.plant.valve_ratio)
    travel = float(np.abs(np.diff(seen)).sum())
    assert travel < 0.5


def test_manual_to_automatic_moves_the_valve_by_less_than_one_percent() -> None:
    bench = settled_at_low_load(Bench(plant=make_plant()))
    held = bench.valve_ratio
    bench.run(60, LOW, manual=held + 0.02)
    bench.run(1, LOW)
    assert abs(bench.valve[-1] - bench.valve[-2]) < 0.01


def test_ten_minutes_of_saturation_add_less_than_one_kelvin_of_overshoot() -> None:
    """Facility water far too warm: the valve stands open; then it recovers at once."""

    def swing_after(saturated_s: int) -> float:
        bench = settled_at_low_load(Bench(plant=make_plant())).run(200, HIGH)
        bench.plant.strike(facility_offset_k=12.0)
        bench.run(saturated_s, HIGH)
        assert bench.valve_ratio > 0.99
        bench.plant.strike(facility_offset_k=0.0)
        bench.errors_k.clear()
        bench.run(200, HIGH)
        return min(bench.errors_k)

    assert swing_after(600) > swing_after(60) - 1.0
