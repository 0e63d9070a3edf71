"""C1 to C4: what the IT load does to a healthy loop."""

from typing import Final

from isotherm.bench.cooling.scenario import (
    Outcome,
    Scenario,
    Trial,
    errors_k,
    rig,
    settle_s,
    step_metrics,
    strokes_per_min,
)

WATCHED_S: Final = 240


def rise(trial: Trial, *, stroke_s: float) -> Outcome:
    """20 -> 100 %."""
    bench = rig(trial, stroke_s=stroke_s).settle()
    bench.load_ratio[:] = 1.0
    bench.run(WATCHED_S)
    return Outcome(metrics=step_metrics(bench.trace), trace=bench.trace)


def c1(trial: Trial) -> Outcome:
    return rise(trial, stroke_s=60.0)


def c2(trial: Trial) -> Outcome:
    return rise(trial, stroke_s=120.0)


def c3(trial: Trial) -> Outcome:
    """100 -> 20 %."""
    bench = rig(trial)
    bench.load_ratio[:] = 1.0
    bench.settle()
    bench.load_ratio[:] = 0.2
    bench.run(WATCHED_S)
    error = errors_k(bench.trace)[:, 0]
    margin_k = bench.trace.column("supply_c") - bench.trace.column("dew_point_c")
    return Outcome(
        metrics={
            "undershoot_k": float(min(error.min(), 0.0)),
            "settle_s": settle_s(error),
            "overshoot_k": float(max(error.max(), 0.0)),
            "dew_violations": float((margin_k < 1.0).sum()),
        },
        trace=bench.trace,
    )


def c4(trial: Trial) -> Outcome:
    """50-100 % as a square of 40 s: prefill and decode in step across a job."""
    bench = rig(trial)
    bench.load_ratio[:] = 0.75
    bench.settle()
    for _ in range(8 if trial.quick else 23):
        bench.load_ratio[:] = 1.0
        bench.run(20)
        bench.load_ratio[:] = 0.5
        bench.run(20)
    # The first minutes belong to the change, the rest is how it goes on.
    supply = bench.trace.column("supply_c")[160:, 0]
    return Outcome(
        metrics={
            "band_k": float(0.5 * (supply.max() - supply.min())),
            "strokes_per_min": strokes_per_min(bench.trace.column("valve_ratio")[160:, 0]),
            "max_junction_c": float(bench.trace.column("hottest_c").max()),
        },
        trace=bench.trace,
    )


SCENARIOS: Final = (
    Scenario(
        id="C1",
        title="IT load 20 -> 100 %, valve 60 s",
        run=c1,
        target={
            "peak_k": ("<=", 0.9),
            "settle_s": ("<=", 25.0),
            "iae_k_s": ("<=", 25.0),
            "max_junction_c": ("<=", 74.5),
        },
    ),
    Scenario(
        id="C2",
        title="IT load 20 -> 100 %, valve 120 s",
        run=c2,
        target={"peak_k": ("<=", 3.0), "settle_s": ("<=", 80.0), "iae_k_s": ("<=", 150.0)},
    ),
    Scenario(
        id="C3",
        title="IT load 100 -> 20 %",
        run=c3,
        target={
            "undershoot_k": (">=", -0.5),
            "dew_violations": ("==", 0.0),
            "settle_s": ("<=", 35.0),
        },
    ),
    Scenario(
        id="C4",
        title="50-100 % square load, 40 s period",
        run=c4,
        target={"band_k": ("<=", 0.65), "strokes_per_min": ("<=", 0.15)},
    ),
)
