"""Memories of many chips, stepped without a world around them."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.hbm.memory import ChipMemory, chip_memory
from emulator.hbm.model import HbmEvents, HbmModel
from emulator.hbm.settings import HbmSettings, published_rates
from emulator.hbm.truth import CODE_OF_KIND, MemoryTruth, Rows
from fleet.topology import FleetMap, Generation, LoopKind, LoopPlan, mixed_datacenter

DAY_S = 86_400.0
RATES = published_rates()


def fleet_of(generation: Generation, ultraservers: int = 1) -> FleetMap:
    kind = LoopKind.LIQUID_TO_LIQUID
    if generation is not Generation.TRN3_GEN2:
        kind = LoopKind.AIR
    return FleetMap(
        mixed_datacenter([LoopPlan(kind=kind, ultraservers={generation: ultraservers})])
    )


def rates(**changes: Any) -> HbmSettings:
    """The published rates with some changed: `arrivals={"age_s": 0.0}`."""
    changed = {name: replace(getattr(RATES, name), **fields) for name, fields in changes.items()}
    return replace(RATES, **changed)


@dataclass
class Memories:
    """Chips of one kind under even conditions; what happened is kept in `told`."""

    model: HbmModel
    memory: ChipMemory
    told: list[Rows] = field(default_factory=list)

    @property
    def chips(self) -> int:
        return self.model.chips

    def step(self, dt_s: float = DAY_S, **changes: Any) -> HbmEvents:
        conditions: dict[str, Any] = {
            "powered": True,
            "hbm_c": 65.0,
            "hbm_ratio": 0.5,
            "storm_per_s": 0.0,
            "decay_ratio": 0.0,
        }
        columns = {
            name: np.broadcast_to(np.asarray(value), (self.chips,)).copy()
            for name, value in {**conditions, **changes}.items()
        }
        events = self.model.step(dt_s, **columns)
        self.told.append(self.model.truth.take())
        return events

    def live(self, days: int, *, steps_a_day: int = 1, **changes: Any) -> None:
        """Step, with drivers loaded again and lost chips replaced at once."""
        for _ in range(days * steps_a_day):
            self.model.reload(self.step(DAY_S / steps_a_day, **changes).chips)
            self.model.replace(np.flatnonzero(self.model.dead))
        self.told.append(self.model.truth.take())

    def rows(self, kind: MemoryTruth) -> Rows:
        told: NDArray[np.void] = np.concatenate(self.told)
        found: Rows = told[told["kind"] == CODE_OF_KIND[kind]]
        return found


def memories(
    seed: int = 1,
    *,
    settings: HbmSettings = RATES,
    generation: Generation = Generation.TRN3_GEN2,
    ultraservers: int = 10,
    **options: Any,
) -> Memories:
    memory = chip_memory(fleet_of(generation, ultraservers), settings)
    model = HbmModel(settings, memory, np.random.default_rng(seed), **options)
    return Memories(model=model, memory=memory)
