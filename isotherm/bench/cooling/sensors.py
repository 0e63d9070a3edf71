"""C10 and C17: what is measured, and how it arrives."""

import copy
from typing import Final

import numpy as np

from emulator.sensing import SensorFault, SensorFaultKind
from isotherm.bench.cooling.rig import Rig
from isotherm.bench.cooling.scenario import Outcome, Scenario, Trial, errors_k, rig
from isotherm.bench.cooling.trace import Trace

LATE_S: Final = 240
"""The end of each part, in which its error is taken."""


def c10(trial: Trial) -> Outcome:
    """Supply sensor -3 K; drifting at -3 K/h; frozen under a load step; silent."""
    metrics: dict[str, float] = {}
    worst_k = peak_k = hottest_c = 0.0
    shown: Trace | None = None
    settled = rig(trial)
    settled.load_ratio[:] = 0.6
    settled.settle()
    for name, inject in (
        ("bias", _bias),
        ("drift", _drift),
        ("freeze", _freeze),
        ("dropout", _drop),
    ):
        bench = copy.deepcopy(settled)
        inject(bench, trial.quick)
        bench.trace, faulty = Trace(), bench.trace
        before = faulty.rows["supply_c"]
        bench.run(LATE_S)
        late_k = float(np.abs(errors_k(bench.trace)).max())
        metrics[f"{name}_error_k"] = late_k
        metrics[f"{name}_detect_s"] = _detect_s(bench)
        worst_k = max(worst_k, late_k)
        peak_k = max(peak_k, float(np.abs(np.array(before) - 40.0).max()))
        hottest_c = max(hottest_c, float(np.array(faulty.rows["hottest_c"]).max()))
        if name == "freeze":
            shown = faulty
    return Outcome(
        metrics={
            "supply_error_k": worst_k,
            "supply_peak_k": peak_k,
            "max_junction_c": hottest_c,
            **metrics,
        },
        trace=shown,
        part="the sensor freezes as the load steps from 60 to 100 %",
    )


def _bias(bench: Rig, quick: bool) -> None:  # noqa: ARG001 - one length only
    bench.sensors.set_fault("supply_c", 0, SensorFault(kind=SensorFaultKind.BIAS, offset=-3.0))
    bench.fault_at_s = bench.second
    bench.run(360)


def _drift(bench: Rig, quick: bool) -> None:
    bench.fault_at_s = bench.second
    for minute in range(30 if quick else 60):
        offset = -3.0 * (minute + 1) / 60.0
        bench.sensors.set_fault(
            "supply_c", 0, SensorFault(kind=SensorFaultKind.BIAS, offset=offset)
        )
        bench.run(60)


def _freeze(bench: Rig, quick: bool) -> None:  # noqa: ARG001 - one length only
    bench.sensors.set_fault("supply_c", 0, SensorFault(kind=SensorFaultKind.FREEZE))
    bench.fault_at_s = bench.second
    bench.load_ratio[:] = 1.0
    bench.run(360)


def _drop(bench: Rig, quick: bool) -> None:  # noqa: ARG001 - one length only
    bench.sensors.set_fault("supply_c", 0, SensorFault(kind=SensorFaultKind.DROPOUT))
    bench.fault_at_s = bench.second
    bench.load_ratio[:] = 1.0
    bench.run(360)


def _detect_s(bench: Rig) -> float:
    """When the controller first named the supply sensor."""
    found = bench.named_at_s.get("supply_c")
    return float("inf") if found is None else float(found - bench.fault_at_s)


def c17(trial: Trial) -> Outcome:
    """5 % of telemetry lost, up to 2 s late, out of order; against the same without."""
    spread = []
    for lossy in (False, True):
        rng = np.random.default_rng(trial.seed)
        bench = rig(trial)
        bench.load_ratio[:] = 0.6
        bench.settle()
        if lossy:
            bench.arrival = lambda _second, rng=rng: (  # type: ignore[misc]
                None if rng.random() < 0.05 else int(rng.integers(1, 4))
            )
        for _ in range(4 if trial.quick else 8):
            for load in (0.9, 0.4):
                bench.load_ratio[:] = load
                bench.run(90)
        error = errors_k(bench.trace)[:, 0]
        spread.append(float(np.sqrt((error**2).mean())))
    return Outcome(
        metrics={"rms_ratio": spread[1] / spread[0], "rms_k": spread[1], "clean_rms_k": spread[0]},
        trace=bench.trace,
    )


SCENARIOS: Final = (
    Scenario(
        id="C10",
        title="supply sensor: -3 K, -3 K/h, frozen with a step, silent with a step",
        run=c10,
        target={
            "supply_error_k": ("<=", 0.5),
            "bias_detect_s": ("<=", 60.0),
            "drift_detect_s": ("<=", 1800.0),
            "freeze_detect_s": ("<=", 5.0),
            "max_junction_c": ("<=", 90.0),
        },
    ),
    Scenario(
        id="C17",
        title="telemetry 5 % lost, up to 2 s late, out of order",
        run=c17,
        target={"rms_ratio": ("<=", 1.2)},
    ),
)
