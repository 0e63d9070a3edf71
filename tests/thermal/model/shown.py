"""The emulator's plant and sensors, watched by the controller's identification; no controller."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from emulator.sensors import FleetSensors
from thermal.arrays import FloatArray
from thermal.model import identity
from thermal.model.identity import Identified, IdentitySettings, LoopIdentity
from thermal.model.loop_fit import LoopSight
from thermal.model.plates import PlateSight
from thermal.model.settings import LoopModelSettings
from thermal.plant.layout import PlantLayout
from thermal.plant.liquid import LiquidPlant
from thermal.plant.settings import PlantSettings
from thermal.plant.state import Commands

CHIPS_PER_SLED = 4


@dataclass
class Watched:
    """One loop; `load_ratio`, `valve_ratio` and `pump_ratio` are set between runs."""

    settings: PlantSettings
    seed: int = 11
    sleds: int = 72
    leakage_w: float = 0.0
    """Of each chip at 85 °C."""
    learning: IdentitySettings = field(default_factory=IdentitySettings)
    model: LoopModelSettings = field(default_factory=LoopModelSettings)
    load_ratio: float = 1.0
    valve_ratio: float = 0.65
    pump_ratio: float = 0.85
    wave_k: float = 0.0
    """Swing of the facility water, 90 s a turn: what a transit is told from."""

    def __post_init__(self) -> None:
        plant_rng, sensor_rng = np.random.default_rng(self.seed).spawn(2)
        layout = PlantLayout.uniform(sleds_of_loop=[self.sleds], chips_per_sled=CHIPS_PER_SLED)
        self.plant = LiquidPlant([self.settings], layout=layout, rng=plant_rng)
        self.sensors = FleetSensors(sensor_rng)
        self.second = 0
        self.identity = LoopIdentity.unknown(self.learning, self.model, layout.chips)

    def strike(self, **faults: Any) -> None:
        columns = {}
        for name, value in faults.items():
            column = getattr(self.plant.faults, name).copy()
            column[...] = value
            columns[name] = column
        self.plant.break_parts(replace(self.plant.faults, **columns))

    def run(self, seconds: int) -> "Watched":
        for _ in range(seconds):
            self.second += 1
            if self.wave_k:
                phase = 2.0 * np.pi * self.second / 90.0
                self.strike(facility_offset_k=self.wave_k * np.sign(np.sin(phase)))
            self._step()
            self._learn()
        return self

    @property
    def told(self) -> Identified:
        return identity.summary(self.learning, self.model, self.identity)

    @property
    def truth_k_per_w(self) -> FloatArray:
        """[chips] junction to mean coolant."""
        chip, plate = self.settings.chip, self.settings.plate
        ratio = self.plant._built_ratio * self.plant.faults.chip_resistance_ratio
        found: FloatArray = chip.junction_to_case_k_per_w + plate.resistance_k_per_w * ratio
        return found

    def _step(self) -> None:
        plant = self.plant
        leak_w = self.leakage_w * np.exp(0.016 * (plant.junction_c - 85.0))
        self.chip_w = 100.0 + 750.0 * self.load_ratio + leak_w
        plant.step(
            1.0,
            chip_power_w=self.chip_w,
            sled_other_liquid_w=np.full(self.sleds, 250.0 + 450.0 * self.load_ratio),
            commands=Commands(
                valve_ratio=np.array([self.valve_ratio]),
                fan_ratio=np.zeros(1),
                pump_ratio=np.full((1, plant.pumps), self.pump_ratio),
                pump_enabled=np.ones((1, plant.pumps), np.bool_),
            ),
        )

    def _learn(self) -> None:
        plant = self.plant

        def read(name: str, truth: FloatArray) -> FloatArray:
            return self.sensors.read(name, truth, 1.0)

        def one(name: str) -> float:
            return float(read(name, getattr(plant, name))[0])

        inlet_c = read("inlet_c", plant.sled_inlet_c)
        sled_lpm = read("coolant_flow_lpm", plant.sled_flow_lpm)
        self.identity = identity.learn(
            self.learning,
            self.model,
            self.identity,
            chips=PlateSight(
                junction_c=read("junction_c", plant.junction_c),
                power_w=read("power_w", self.chip_w),
                inlet_c=np.repeat(inlet_c, CHIPS_PER_SLED),
                flow_lpm=np.repeat(sled_lpm * 0.8 / CHIPS_PER_SLED, CHIPS_PER_SLED),
            ),
            loop=LoopSight(
                supply_c=one("supply_c"),
                return_c=one("return_c"),
                flow_lpm=one("secondary_flow_lpm"),
                dp_kpa=one("secondary_dp_kpa"),
                primary_supply_c=one("primary_supply_c"),
                primary_return_c=one("primary_return_c"),
                inlet_c=float(np.median(inlet_c)),
            ),
            busy_ratio=self.load_ratio,
            dt_s=1.0,
        )
