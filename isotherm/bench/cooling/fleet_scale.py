"""C16 and C19: many loops at once."""

from dataclasses import replace
from typing import Final

import numpy as np

from isotherm.bench.cooling.rig import Rig, RigSettings
from isotherm.bench.cooling.scenario import Outcome, Scenario, Trial, cooling, errors_k, plant
from thermal.plant.settings import PlantSettings

NOMINAL_WORST: Final = 2.0


def c16(trial: Trial) -> Outcome:
    """The control cycle of 1,000 loops, in one thread; the plants are not timed."""
    loops, cycles = (100, 8) if trial.quick else (1_000, 30)
    bench = Rig(
        RigSettings(
            cooling=cooling(trial.law),
            plants=(replace(plant(), longest_step_s=1.0),) * loops,
            seed=trial.seed,
            chips=8,
        )
    )
    rng = np.random.default_rng(trial.seed)
    bench.run(20)
    for _ in range(cycles):
        bench.load_ratio = rng.uniform(0.2, 1.0, loops)
        bench.run(1)
    spent = np.array(bench.cycle_s[-cycles:]) * (1_000 / loops)
    return Outcome(
        metrics={
            "cycle_p99_s": float(np.quantile(spent, 0.99)),
            "cycle_mean_s": float(spent.mean()),
        }
    )


def c19(trial: Trial) -> Outcome:
    """C1 on plants that differ from the model by up to 30 % in resistance, UA and volumes."""
    plants = 20 if trial.quick else trial.plants
    rng = np.random.default_rng(trial.seed)
    made = [_mismatched(rng) for _ in range(plants)]
    bench = Rig(
        RigSettings(
            cooling=cooling(trial.law), plants=(plant(), *made), seed=trial.seed, identify=True
        )
    )
    bench.settle()
    bench.load_ratio[:] = 1.0
    bench.run(300)
    error = np.abs(errors_k(bench.trace))
    swing = bench.trace.column("supply_c")[-90:]
    held = (error[-90:].mean(axis=0) < 0.75) | (bench.trace.column("valve_ratio")[-1] > 0.97)
    stable = held & (np.ptp(swing, axis=0) < 1.0)
    peak = error[:180].max(axis=0)
    return Outcome(
        metrics={
            "stable_ratio": float(stable[1:].mean()),
            "worst_peak_ratio": float(peak[1:].max() / peak[0]),
            "worst_peak_k": float(peak[1:].max()),
            "nominal_peak_k": float(peak[0]),
        },
        trace=bench.trace,
    )


def _mismatched(rng: np.random.Generator) -> PlantSettings:
    base = plant()
    resistance, ua, volume, lag = 1.0 + 0.3 * rng.uniform(-1.0, 1.0, 4)
    return replace(
        base,
        plate=replace(base.plate, resistance_k_per_w=base.plate.resistance_k_per_w * resistance),
        exchanger=replace(base.exchanger, ua_w_per_k=base.exchanger.ua_w_per_k * ua),
        pipes=replace(
            base.pipes,
            header_l=base.pipes.header_l * volume,
            exchanger_lag_s=base.pipes.exchanger_lag_s * lag,
        ),
    )


SCENARIOS: Final = (
    Scenario(
        id="C16",
        title="control cycle of 1,000 loops, one thread",
        run=c16,
        target={"cycle_p99_s": ("<=", 5.0)},
    ),
    Scenario(
        id="C19",
        title="C1 on random plants, +-30 % in resistance, UA and volumes",
        run=c19,
        target={"stable_ratio": (">=", 1.0), "worst_peak_ratio": ("<=", NOMINAL_WORST)},
    ),
)
