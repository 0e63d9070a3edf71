"""C5 to C7: pumps that fail."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from agent import guard
from agent.guard import Act, GuardSettings, GuardState
from emulator.cdu import CduSettings
from isotherm.bench.cooling.rig import CHIPS, CHIPS_PER_SLED, Rig, RigSettings
from isotherm.bench.cooling.scenario import Outcome, Scenario, Trial, cooling, errors_k, plant, rig

THROTTLE_C: Final = 90.0
TRIP_C: Final = 105.0
FULL_FLOW_RATIO: Final = 0.95


def c5(trial: Trial) -> Outcome:
    """One of two duty pumps trips; the standby pump starts 3 s later."""
    duty = CduSettings()
    bench = Rig(
        RigSettings(
            cooling=cooling(trial.law),
            plants=(replace(plant(), pumps=3),),
            seed=trial.seed,
            firmware=replace(duty, pump=replace(duty.pump, standby_pumps=1)),
        )
    )
    bench.load_ratio[:] = 1.0
    bench.settle()
    full_lpm = float(bench.plant.secondary_flow_lpm[0])
    # What keeps the standby pump from starting for 3 s: its breaker, its check valve, its drive.
    bench.strike(pump_tripped=np.array([[True, False, True]]))
    seen_s, told_s = _seen_s(bench, 3)
    bench.strike(pump_tripped=np.array([[True, False, False]]))
    bench.run(240)
    back = bench.trace.column("flow_lpm")[:, 0] >= FULL_FLOW_RATIO * full_lpm
    short = np.flatnonzero(~back)
    hottest_c = float(bench.trace.column("hottest_c").max())
    return Outcome(
        metrics={
            "detect_s": seen_s,
            "controller_detect_s": told_s,
            "peak_k": float(np.abs(errors_k(bench.trace)).max()),
            "max_junction_c": hottest_c,
            "full_flow_s": float(short[-1] + 1) if len(short) else 0.0,
            "throttled": float(hottest_c >= THROTTLE_C),
        },
        trace=bench.trace,
    )


def _seen_s(bench: Rig, seconds: int) -> tuple[float, float]:
    """Run on; when the CDU, and when the controller behind it, knew that a pump stands."""
    cdu_s = controller_s = float("inf")
    for second in range(1, seconds + 1):
        bench.run(1)
        if bench.pump_alarms[0]:
            cdu_s = min(cdu_s, float(second))
        if any(fault.sensor == "pump" for fault in bench.controls[0].sensor_faults):
            controller_s = min(controller_s, float(second))
    return cdu_s, controller_s


def c6(trial: Trial) -> Outcome:
    """One of two pumps trips and no other is there."""
    bench = rig(trial)
    bench.load_ratio[:] = 1.0
    bench.settle()
    bench.strike(pump_tripped=np.array([[True, False]]))
    _, told_s = _seen_s(bench, 300)
    return Outcome(
        metrics={
            "max_junction_c": float(bench.trace.column("hottest_c")[-1, 0]),
            "alarm_s": told_s,
            "flow_share": float(bench.trace.column("flow_lpm")[-1, 0] / 540.0),
        },
        trace=bench.trace,
    )


class Guards:
    """The sleds' own protection, on what their sensors show, once a second."""

    def __init__(self, bench: Rig) -> None:
        self._bench = bench
        self.settings = GuardSettings()
        sleds = CHIPS // CHIPS_PER_SLED
        self.states: list[GuardState] = [
            guard.start(CHIPS_PER_SLED, float(bench.second)) for _ in range(sleds)
        ]
        self.off = np.zeros(sleds, np.bool_)
        self.shed_s: float | None = None
        """When the last sled had shed."""

    def watch(self, since_s: int) -> None:
        bench = self._bench
        flow = bench.shown_flow_lpm
        by_sled = bench.shown_junction_c.reshape(-1, CHIPS_PER_SLED)
        for row, state in enumerate(self.states):
            readings = guard.Readings(
                junction_c=tuple(by_sled[row].tolist()),
                flow_lpm=float(flow[row]),
                leak_critical=False,
                powered=not self.off[row],
            )
            self.states[row], acts = guard.step(self.settings, state, readings, float(bench.second))
            self._do(row, acts)
        if self.shed_s is None and (bench.chip_cap_ratio <= self.settings.shed_cap_ratio).all():
            self.shed_s = float(bench.second - since_s)

    def _do(self, row: int, acts: Sequence[Act]) -> None:
        for act in acts:
            if act is Act.SHED:
                self._bench.chip_cap_ratio[row] = self.settings.shed_cap_ratio
            elif act is Act.POWER_OFF:
                self.off[row] = True
                self._bench.chip_cap_ratio[row] = 0.0
            elif act is Act.RESTORE:
                self._bench.chip_cap_ratio[row] = 1.0


def c7(trial: Trial) -> Outcome:
    """Every pump stops at full load; the sleds' own protection acts, no law can."""
    bench = rig(trial)
    bench.load_ratio[:] = 1.0
    bench.settle()
    guards, begin = Guards(bench), bench.second
    for _ in range(3):
        bench.run(1)
        guards.watch(begin)
    begin = bench.second
    bench.strike(pump_tripped=True)
    detect_s = None
    for second in range(1, 121):
        bench.run(1)
        guards.watch(begin)
        if detect_s is None and all(state.suspect for state in guards.states):
            detect_s = float(second)
    hottest = bench.trace.column("hottest_c")[3:, 0]
    return Outcome(
        metrics={
            "detect_s": detect_s or float("inf"),
            "shed_s": guards.shed_s or float("inf"),
            "max_junction_60_s_c": float(hottest[:60].max()),
            "tripped": float(hottest.max() >= TRIP_C),
            "off_share": float(guards.off.mean()),
        },
        trace=bench.trace,
    )


SCENARIOS: Final = (
    Scenario(
        id="C5",
        title="one of two duty pumps trips, standby starts after 3 s",
        run=c5,
        target={"detect_s": ("<=", 1.0), "peak_k": ("<=", 1.5), "throttled": ("==", 0.0)},
    ),
    Scenario(
        id="C6",
        title="one of two pumps trips, no standby",
        run=c6,
        target={"max_junction_c": ("<=", 79.0), "alarm_s": ("<=", 2.0)},
    ),
    Scenario(
        id="C7",
        title="total loss of flow at full load, supply 40 °C",
        run=c7,
        target={
            "detect_s": ("<=", 1.0),
            "shed_s": ("<=", 3.0),
            "max_junction_60_s_c": ("<=", 85.0),
            "tripped": ("==", 0.0),
        },
    ),
)
