"""C13: the controller is gone, and comes back."""

from typing import Final

import numpy as np

from emulator.cdu import FirmwareState
from emulator.readings import ControlMode
from isotherm.bench.cooling.scenario import Outcome, Scenario, Trial, rig
from isotherm.bench.cooling.trace import Trace
from thermal.arrays import FloatArray


def c13(trial: Trial) -> Outcome:
    """Lost for 30 and for 120 s, from the moment at which the load steps 20 -> 100 %."""
    metrics: dict[str, float] = {}
    bumps = []
    shown: Trace | None = None
    for lost_s in (30, 120):
        bench = rig(trial).settle()
        bench.load_ratio[:] = 1.0
        bench.controller_alive = False
        bench.run(lost_s)
        bench.controller_alive = True
        bench.forget_controls()
        while bench.requests[0].control_mode is ControlMode.LOCAL:
            bench.run(1)
        # The command of this second acts in the next.
        before = _commands(bench.firmware[0].state)
        bench.run(1)
        bumps.append(float(np.abs(_commands(bench.firmware[0].state) - before).max()))
        bench.run(180)
        hottest_c = float(bench.trace.column("hottest_c").max())
        metrics[f"max_junction_{lost_s}_s_c"] = hottest_c
        shown = bench.trace
    metrics["bump_ratio"] = max(bumps)
    return Outcome(metrics=metrics, trace=shown, part="lost for 120 s")


def _commands(state: FirmwareState) -> FloatArray:
    return np.array([state.valve_ratio, *state.pump_ratio])


SCENARIOS: Final = (
    Scenario(
        id="C13",
        title="controller lost for 30 s and 120 s from a load step on",
        run=c13,
        target={
            "max_junction_30_s_c": ("<=", 78.0),
            "max_junction_120_s_c": ("<=", 80.0),
            "bump_ratio": ("<=", 0.01),
        },
    ),
)
