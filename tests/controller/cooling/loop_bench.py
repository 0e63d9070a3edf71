"""The controller's loop on the plant: readings go through frames, commands through the shell."""

from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np

from controller.cooling.control import CoolingEffect, ManualOrder, Mode, SendCooling
from controller.cooling.loop import LoopControl, initial, step
from controller.cooling.settings import CoolingSettings
from fleet.commands import SetCooling
from tests.controller.spoken import CDU_CALM, SLED_CALM, SpokenFleet, Wanted
from tests.thermal.plant.builders import OneLoop, make_plant
from thermal.plant.settings import PlantSettings
from thermal.plant.state import Actuators

READING_AGE_S = 1
IDLE_W, PEAK_W = 180.0, 1000.0


@dataclass
class LoopBench:
    """288 chips under `controller.cooling`, one cycle a second; sensors have noise and age."""

    plant: OneLoop = field(
        default_factory=lambda: make_plant(replace(PlantSettings.sized(288), longest_step_s=1.0))
    )
    settings: CoolingSettings = field(default_factory=CoolingSettings)
    fleet: SpokenFleet = field(default_factory=SpokenFleet)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))
    load_ratio: float = 0.2
    order: ManualOrder | None = None
    command: SetCooling | None = None
    effects: list[CoolingEffect] = field(default_factory=list)
    supply_c: list[float] = field(default_factory=list)
    valve: list[float] = field(default_factory=list)
    pump: list[float] = field(default_factory=list)
    hottest_c: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.control: LoopControl = initial("h1/loop01", "h1/cdu01", self.settings)
        self._readings: deque[tuple[Wanted, dict[str, Wanted]]] = deque(maxlen=READING_AGE_S + 1)
        self.firmware = (0.5, 0.8)
        """What the CDU does by itself until it is told: valve and pumps."""
        self.lie: Wanted = {}
        """What the CDU's sensors say instead of the truth."""
        self.sled_lie: Wanted = {}
        """The same of every sled."""

    def run(self, seconds: int) -> "LoopBench":
        for _ in range(seconds):
            self._readings.append(self._measure())
            self.fleet.cdu, self.fleet.sled = self._readings[0]
            self.fleet.cdu = self.fleet.cdu | self.lie
            self.control, effects = step(
                self.control, self.fleet.tick(), order=self.order, settings=self.settings
            )
            self.effects += effects
            for effect in effects:
                if isinstance(effect, SendCooling):
                    self.command = effect.action
            self._advance()
        return self

    def forget(self) -> None:
        for kept in (self.supply_c, self.valve, self.pump, self.hottest_c, self.effects):
            kept.clear()

    def mode(self) -> Mode:
        return self.control.mode

    @property
    def chip_w(self) -> float:
        return IDLE_W + self.load_ratio * (PEAK_W - IDLE_W)

    @property
    def other_w(self) -> float:
        return 250.0 + 450.0 * self.load_ratio

    def _advance(self) -> None:
        valve, pump = self.firmware
        if self.command is not None:
            valve, pump = self.command.valve_ratio, self.command.pump_ratio
        self.plant.step(
            1.0,
            chip_power_w=np.full(288, self.chip_w),
            sled_other_liquid_w=np.full(72, self.other_w),
            actuators=Actuators(
                valve_ratio=valve,
                fan_ratio=valve,
                pump_ratio=(pump, pump),
                pump_enabled=(True, True),
            ),
        )
        self.supply_c.append(self.plant.supply_c)
        self.valve.append(valve)
        self.pump.append(pump)
        self.hottest_c.append(float(self.plant.junction_c.max()))

    def _measure(self) -> tuple[Wanted, dict[str, Wanted]]:
        plant, noise = self.plant, self.rng.standard_normal(4) * 0.05
        cdu: Wanted = {
            **CDU_CALM,
            "supply_c": plant.supply_c + noise[0],
            "return_c": plant.return_c + noise[1],
            "secondary_flow_lpm": plant.secondary_flow_lpm * (1 + 0.1 * noise[2]),
            "primary_supply_c": plant.primary_supply_c + noise[3],
            "dew_point_c": plant.dew_point_c,
            "valve_ratio": plant.rejection_ratio,
            "pump_speed_ratio": float(plant.pump_speed_ratio[0]),
        }
        junction = plant.junction_c.reshape(72, 4)
        # Power that the coolant does not see (air, losses) is in the sled's reading too.
        sled_power_w = (4 * self.chip_w + self.other_w) / 0.9
        sleds: dict[str, Wanted] = {
            sled_id: {
                **SLED_CALM,
                "junction_c": dict(enumerate(junction[row].tolist())),
                "power_w": self.chip_w,
                "inlet_c": float(plant.sled_inlet_c[row]),
                "coolant_flow_lpm": float(plant.sled_flow_lpm[row]),
                "sled_power_w": sled_power_w,
                **self.sled_lie,
            }
            for row, sled_id in enumerate(self.fleet.fleet_map.sled_ids)
        }
        return cdu, sleds
