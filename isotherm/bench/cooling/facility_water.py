"""C8, C9 and C18: what comes from outside the loop."""

from typing import Final

import numpy as np

from isotherm.bench.cooling.scenario import (
    Outcome,
    Scenario,
    Trial,
    errors_k,
    rig,
    settle_s,
)


def c8(trial: Trial) -> Outcome:
    """Facility water +4 K at once, +6 K at 2 K/min, -8 K at once."""
    metrics: dict[str, float] = {}
    shown = None
    for name, steps in (
        ("up", [4.0]),
        ("ramp", [6.0 * second / 180.0 for second in range(1, 181)]),
        ("down", [-8.0]),
    ):
        bench = rig(trial)
        bench.load_ratio[:] = 0.75
        bench.settle()
        for offset_k in steps:
            bench.strike(facility_offset_k=offset_k)
            bench.run(1)
        bench.run(240)
        error = errors_k(bench.trace)[:, 0]
        metrics[f"{name}_peak_k"] = float(np.abs(error).max())
        metrics[f"{name}_settle_s"] = settle_s(error)
        shown = shown or bench.trace
    return Outcome(metrics=metrics, trace=shown, part="facility water +4 K")


def c9(trial: Trial) -> Outcome:
    """The valve sticks at its position of 20 % load, then the load rises."""
    bench = rig(trial).settle()
    bench.strike(valve_stuck=True)
    bench.load_ratio[:] = 1.0
    detect_s = float("inf")
    for second in range(1, 301):
        bench.run(1)
        stuck = any(fault.sensor == "valve" for fault in bench.controls[0].sensor_faults)
        if stuck and detect_s == float("inf"):
            detect_s = float(second)
    hottest = bench.trace.column("hottest_c")[:, 0]
    above = np.flatnonzero(hottest >= 85.0)
    return Outcome(
        metrics={
            "detect_s": detect_s,
            "max_junction_c": float(hottest.max()),
            "to_85_s": float(above[0] + 1) if len(above) else float("inf"),
            "supply_end_c": float(bench.trace.column("supply_c")[-1, 0]),
        },
        trace=bench.trace,
    )


def c18(trial: Trial) -> Outcome:
    """The dew point rises by 6 K in ten minutes, from 3.5 K below the set-point's floor."""
    bench = rig(trial)
    bench.load_ratio[:] = 0.5
    # 27 °C of hall air: 45 % is a dew point of 14 °C; warm water leaves no condensation to fear,
    # so the hall is made as damp as a failed dehumidifier makes it.
    bench.plant.weather.hall_air_c = 40.0
    bench.strike(humidity_offset_ratio=0.30)
    bench.settle()
    begin_c = float(bench.plant.dew_point_c[0])
    seconds, dew_ratio = 600, 0.30
    for _ in range(seconds):
        if float(bench.plant.dew_point_c[0]) - begin_c < 6.0:
            dew_ratio += 0.25 / seconds
            bench.strike(humidity_offset_ratio=dew_ratio)
        bench.run(1)
    bench.run(120)
    supply, dew = (bench.trace.column(name)[:, 0] for name in ("supply_c", "dew_point_c"))
    setpoint = bench.trace.column("setpoint_c")[:, 0]
    rate = np.diff(setpoint) * 60.0
    return Outcome(
        metrics={
            "condensation_min": float((supply < dew).sum() / 60.0),
            "dew_violations": float((supply - dew < 1.0).sum()),
            "least_margin_k": float((supply - dew).min()),
            "dew_rise_k": float(dew.max() - begin_c),
            "setpoint_k_per_min": float(np.abs(rate).max()),
        },
        trace=bench.trace,
    )


SCENARIOS: Final = (
    Scenario(
        id="C8",
        title="facility water +4 K, +6 K at 2 K/min, -8 K",
        run=c8,
        target={
            "up_peak_k": ("<=", 0.65),
            "up_settle_s": ("<=", 44.0),
            "ramp_peak_k": ("<=", 0.25),
            "down_peak_k": ("<=", 1.2),
            "down_settle_s": ("<=", 42.0),
        },
    ),
    Scenario(
        id="C9",
        title="valve stuck at its 20 % load position, load 20 -> 100 %",
        run=c9,
        target={"detect_s": ("<=", 20.0), "max_junction_c": ("<=", 85.0)},
    ),
    Scenario(
        id="C18",
        title="dew point +6 K in 10 min",
        run=c18,
        target={
            "condensation_min": ("==", 0.0),
            "dew_violations": ("==", 0.0),
            "setpoint_k_per_min": ("<=", 2.01),
        },
    ),
)
