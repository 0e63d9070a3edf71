"""C12: what wears slowly, and the control hides."""

from dataclasses import replace
from typing import Final

import numpy as np

from isotherm.bench.cooling.rig import Rig, RigSettings
from isotherm.bench.cooling.scenario import Outcome, Scenario, Trial, cooling, plant
from isotherm.bench.cooling.trace import Trace
from thermal.model import identity

LOADS: Final = (1.0, 0.75, 0.9)
UA_PER_DAY: Final = 0.01
"""Lost a day: a third in 30 days."""
ALARM_RATIO: Final = 0.10
WORN_CHIP: Final = 17
WORN_RATIO: Final = 1.2
"""Of the plate's part of the resistance: +11.6 % from junction to coolant."""
FORGET_S: Final = 150.0
"""A window of minutes stands for a day, so that its lessons are a day's: forgetting is quickened
with it."""


def c12(trial: Trial) -> Outcome:
    """UA falls by a hundredth a day, of which each day some minutes are run; then one cold plate's
    resistance rises by a fifth under a steady load.
    """
    bench = _rig(trial)
    window_s = 240 if trial.quick else 480
    _days(bench, 3 if trial.quick else 6, 0.0, window_s)
    found_day = lost_ratio = float("inf")
    for day in range(4, 19):
        lost = min(UA_PER_DAY * day, 0.3)
        _days(bench, 1, lost, window_s)
        if bench.identified[0].fouled(bench.settings.cooling.identity):
            found_day, lost_ratio = float(day), lost
            break
    fouling = bench.trace
    told = bench.identified[0]
    worn_s, wrong = _worn(bench, 1_800 if trial.quick else 3_600)
    valve = fouling.column("valve_ratio")[:, 0]
    return Outcome(
        metrics={
            "ua_detect_days": found_day - ALARM_RATIO / UA_PER_DAY,
            "ua_lost_at_alarm_ratio": lost_ratio,
            "plate_detect_s": worn_s,
            "wrong_chips": wrong,
            "ua_sigma": told.ua_sigma,
            "valve_change": float(valve[-60:].mean() - valve[:60].mean()),
        },
        trace=fouling,
    )


def _rig(trial: Trial) -> Rig:
    settings = cooling(trial.law)
    learning = settings.identity
    settings = replace(
        settings, identity=replace(learning, loop=replace(learning.loop, forget_s=FORGET_S))
    )
    bench = Rig(RigSettings(cooling=settings, plants=(plant(),), seed=trial.seed, identify=True))
    bench.load_ratio[:] = LOADS[0]
    return bench.settle()


def _days(bench: Rig, days: int, lost_ratio: float, window_s: int) -> None:
    bench.strike(fouling_ratio=lost_ratio)
    for _ in range(days):
        for load in LOADS[:2]:
            bench.load_ratio[:] = load
            bench.run(window_s)


def _worn(bench: Rig, seconds: int) -> tuple[float, float]:
    """When the worn chip was named, and how many others ever were."""
    bench.load_ratio[:] = LOADS[2]
    bench.run(300)
    bench.trace = Trace()
    ratio = np.ones(bench.settings.chips, np.float32)
    ratio[WORN_CHIP] = WORN_RATIO
    bench.strike(chip_resistance_ratio=ratio)
    learning = bench.settings.cooling.identity
    nobody = np.zeros(bench.settings.chips, np.bool_)
    found_s, wrong = float("inf"), 0
    for second in range(10, seconds + 1, 10):
        bench.run(10)
        fit = bench.identities[0].plates
        worn = set(np.flatnonzero(identity.worn_plates(learning, fit, nobody)).tolist())
        if WORN_CHIP in worn:
            found_s = min(found_s, float(second))
        wrong = max(wrong, len(worn - {WORN_CHIP}))
    return found_s, float(wrong)


SCENARIOS: Final = (
    Scenario(
        id="C12",
        title="UA falls by 1 % a day; one cold plate +20 %",
        run=c12,
        target={
            "ua_detect_days": ("<=", 1.0),
            "ua_lost_at_alarm_ratio": (">=", 0.05),
            "plate_detect_s": ("<=", 3600.0),
            "wrong_chips": ("==", 0.0),
        },
    ),
)
