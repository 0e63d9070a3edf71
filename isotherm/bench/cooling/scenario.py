"""What a scenario is, and the numbers that are taken from its trace."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from controller.cooling.settings import CoolingSettings, LawName
from isotherm.bench.cooling.rig import Rig, RigSettings
from isotherm.bench.cooling.trace import Trace
from isotherm.bench.report import Target
from thermal.arrays import FloatArray
from thermal.plant.settings import PlantSettings

SETPOINT_C = 40.0
BAND_K = 0.5
PLANT_STEP_S = 0.5
"""Of the plant; half the emulator's pace, within 0.1 K of it (E5 measures the order)."""
WET_BULB_C = 28.0
"""Facility water of 30 °C at low load and 32 °C at full load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One controller in one scenario."""

    law: LawName
    seed: int
    quick: bool = False
    plants: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a trial."""

    metrics: Mapping[str, float]
    trace: Trace | None = None
    """The part that a figure shows."""
    part: str = ""
    """Which part that is, where there are several."""
    reason: str = ""
    """Why it could not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One line of the table of scenarios."""

    id: str
    title: str
    run: Callable[[Trial], Outcome]
    target: Mapping[str, Target] = field(default_factory=dict)
    """For the predictive law; the others are there to be compared with."""


def plant(*, stroke_s: float = 60.0, wet_bulb_c: float = WET_BULB_C) -> PlantSettings:
    """The default loop of the emulator, with a valve as slow as the scenario says."""
    base = PlantSettings()
    return replace(
        base,
        valve=replace(base.valve, stroke_s=stroke_s),
        weather=replace(base.weather, wet_bulb_c=wet_bulb_c),
        longest_step_s=PLANT_STEP_S,
    )


def cooling(law: LawName, *, stroke_s: float = 60.0) -> CoolingSettings:
    """Production settings; the stroke of its valve stands on a CDU's data sheet."""
    base = CoolingSettings(law=law)
    model = replace(base.model, valve=replace(base.model.valve, stroke_s=stroke_s))
    return replace(base, model=model)


def rig(trial: Trial, *, stroke_s: float = 60.0, age_s: int = 1) -> Rig:
    """One loop of 288 chips at 20 % load."""
    return Rig(
        RigSettings(
            cooling=cooling(trial.law, stroke_s=stroke_s),
            plants=(plant(stroke_s=stroke_s),),
            seed=trial.seed,
            age_s=age_s,
        )
    )


def errors_k(trace: Trace, setpoint_c: float = SETPOINT_C) -> FloatArray:
    """[seconds, loops] true supply over the set-point."""
    error: FloatArray = trace.column("supply_c") - setpoint_c
    return error


def settle_s(error_k: FloatArray, band_k: float = BAND_K) -> float:
    """Seconds until the error [seconds] stays within the band."""
    outside = np.flatnonzero(np.abs(error_k) > band_k)
    return float(outside[-1] + 1) if len(outside) else 0.0


def strokes_per_min(valve_ratio: FloatArray) -> float:
    """Full strokes a minute that the valve [seconds] travelled."""
    return float(np.abs(np.diff(valve_ratio)).sum() * 60.0 / (len(valve_ratio) - 1))


def step_metrics(trace: Trace) -> dict[str, float]:
    """Of a first loop after a step."""
    error = errors_k(trace)[:, 0]
    return {
        "peak_k": float(np.abs(error).max()),
        "settle_s": settle_s(error),
        "iae_k_s": float(np.abs(error).sum()),
        "max_junction_c": float(trace.column("hottest_c").max()),
    }
