"""C11: a leak in one sled, from the rope under its couplings to its own isolation valves."""

from typing import Final

import numpy as np

from agent import guard
from agent.guard import Act, GuardSettings, GuardState
from emulator.leak_watch import LeakWatch
from emulator.readings import SledRequests
from emulator.sensing import SensorFault
from emulator.skus.fleet import FleetSkus
from fleet.metrics import LeakState
from fleet.topology import FleetMap, trn3_datacenter
from isotherm.bench.cooling.rig import CHIPS_PER_SLED, Rig
from isotherm.bench.cooling.scenario import SETPOINT_C, Outcome, Scenario, Trial, rig
from thermal.arrays import FloatArray

LEAKS_LPM: Final = (0.2, 2.0, 20.0)
WATCH_S: Final = 120
RACKS: Final = 4
"""Of the loop's 72 sleds."""
GLITCH_PER_S: Final = 1e-5
"""Estimate: a detector that is read wet once, though it is dry: about once a day."""
RACK_DAYS: Final = 1_000


class _TrueWater:
    """Detectors that show the litres in front of them; the rig's other sensors stay as they are."""

    def read(self, metric: str, truth: FloatArray, dt_s: float) -> FloatArray:
        del metric, dt_s
        return truth.copy()

    def set_fault(self, metric: str, row: int, fault: SensorFault | None) -> None:
        raise NotImplementedError(f"{metric} {row} {fault}")


def c11(trial: Trial) -> Outcome:
    """0.2, 2 and 20 l/min in one sled at full load; then dry detectors that are misread."""
    metrics: dict[str, float] = {}
    shown = None
    worst_s = 0.0
    for lpm in LEAKS_LPM:
        bench = rig(trial)
        bench.load_ratio[:] = 1.0
        bench.settle(240 if trial.quick else 420)
        told_s, shut_s = _leaking(bench, lpm)
        metrics[f"detect_{lpm:g}_lpm_s"] = told_s
        worst_s = max(worst_s, shut_s - told_s)
        shown = bench.trace
        peak_k = np.abs(bench.trace.column("supply_c") - SETPOINT_C).max()
        metrics[f"supply_peak_{lpm:g}_lpm_k"] = float(peak_k)
        metrics[f"level_{lpm:g}_lpm_ratio"] = float(bench.plant.reservoir_level_ratio[0])
    metrics["isolate_s"] = worst_s
    metrics["false_alarms"] = _false_alarms(trial.seed)
    return Outcome(metrics=metrics, trace=shown, part="20 l/min")


def _leaking(bench: Rig, lpm: float) -> tuple[float, float]:
    """When the sled's agent knew, and when its branch was shut and its power off."""
    fleet_map = FleetMap(trn3_datacenter(loops=1, ultraservers=2))
    row = int(np.random.default_rng(bench.settings.seed).integers(fleet_map.sleds))
    watch = LeakWatch(fleet_map, _TrueWater(), FleetSkus(fleet_map))
    requests = [SledRequests(chips=CHIPS_PER_SLED) for _ in range(fleet_map.sleds)]
    settings = GuardSettings()
    state = guard.start(CHIPS_PER_SLED, float(bench.second))
    leak, shut = np.zeros(fleet_map.sleds), np.zeros(fleet_map.sleds, np.bool_)
    leak[row] = lpm
    bench.strike(leak_lpm=leak)
    begin, spilled = bench.second, np.zeros(fleet_map.sleds)
    told_s = shut_s = float("inf")
    for _ in range(WATCH_S):
        bench.run(1)
        spilled += np.where(shut, 0.0, leak) / 60.0
        states = watch.sleds(spilled, requests, 1.0)[row]
        now_s = float(bench.second)
        state, acts = guard.step(settings, state, _seen(bench, row, states), now_s)
        if Act.ISOLATE in acts:
            told_s = now_s - begin
            shut[row] = True
            bench.strike(sled_isolated=shut)
            bench.chip_cap_ratio[row] = 0.0
            # The valves act in the second that follows.
            shut_s = told_s + 1.0
    return told_s, shut_s


def _seen(bench: Rig, row: int, states: tuple[LeakState, ...]) -> guard.Readings:
    junction = bench.plant.junction_c.reshape(-1, CHIPS_PER_SLED)[row]
    return guard.Readings(
        junction_c=tuple(junction.tolist()),
        flow_lpm=float(bench.plant.sled_flow_lpm[row]),
        leak_critical=LeakState.CRITICAL in states,
        powered=bool(bench.chip_cap_ratio[row] > 0.0),
    )


def _false_alarms(seed: int) -> float:
    """In 1,000 rack-days, from runs of misreadings of dry detectors as they fall; each is put
    before the guard. In between it reads dry, which changes nothing.
    """
    rng = np.random.default_rng(seed)
    seconds = RACK_DAYS * 86_400 * (72 // RACKS)
    at = np.sort(rng.integers(0, seconds, rng.binomial(seconds, GLITCH_PER_S)))
    runs = np.split(at, np.flatnonzero(np.diff(at) > 1) + 1)
    alarms = sum(_alarmed(len(np.unique(run))) for run in runs if len(run) > 1)
    return float(alarms + _alarmed(1) * sum(len(run) == 1 for run in runs))


def _alarmed(ticks: int) -> int:
    """Whether the guard trips when it reads wet so often in a row, and dry before and after."""
    settings = GuardSettings()
    state: GuardState = guard.start(CHIPS_PER_SLED, 0.0)
    tripped = 0
    for second, wet in enumerate((False, *(True,) * ticks, False)):
        readings = guard.Readings(
            junction_c=(60.0,) * CHIPS_PER_SLED, flow_lpm=7.5, leak_critical=wet, powered=True
        )
        state, acts = guard.step(settings, state, readings, float(second))
        tripped |= Act.ISOLATE in acts
    return int(tripped)


SCENARIOS: Final = (
    Scenario(
        id="C11",
        title="leak of 0.2, 2 and 20 l/min in one sled",
        run=c11,
        target={
            "detect_0.2_lpm_s": ("<=", 60.0),
            "detect_2_lpm_s": ("<=", 15.0),
            "detect_20_lpm_s": ("<=", 3.0),
            "isolate_s": ("<=", 10.0),
            "false_alarms": ("<=", 1.0),
        },
    ),
)
