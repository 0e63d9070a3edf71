"""Predictive control of valve and pumps as a condensed quadratic program, solved by DAQP.

What is decided are slopes of the two actuators, constant over blocks that grow with distance, so
that slew limits are plain bounds. The response to slopes and the Hessian are worked out once for
each bin of gains (valve position, flow, driving temperature difference) and shared by every loop
of a design; only the linear term and the bounds are made anew each cycle, from a nonlinear
foresight along the plan in force.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import daqp
import numpy as np
import numpy.typing as npt

from thermal.arrays import FloatArray
from thermal.model import dynamics
from thermal.model.dynamics import LoopCourse
from thermal.model.settings import LoopModelSettings

SOLVED: Final = 1
_NUDGE_PER_S: Final = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonSettings:
    """Weights and blocks. All are tuned on the cooling benchmark, on other seeds than its own."""

    valve_blocks_s: tuple[int, ...] = (2, 3, 4, 6, 8, 10, 12)
    pump_blocks_s: tuple[int, ...] = (3, 5, 8, 12, 17)
    checked_s: tuple[int, ...] = (3, 8, 14, 20, 28, 36, 45)
    """Where soft limits are looked at, seconds from now."""
    error_weight: float = 1.0
    """Of a squared kelvin for a second."""
    valve_slope_weight: float = 4000.0
    """Of a squared slope (1/s) for a second."""
    pump_slope_weight: float = 200.0
    pump_weight: float = 4.0
    """Of squared speed away from the economic one, for a second."""
    target_weight: float = 3.0
    """Of a kelvin of the junctions over their target: worth some haste of the pumps, but not a
    kelvin of the supply."""
    slack_weight: float = 100.0
    """Of a kelvin over a soft limit: larger than any multiplier seen, so that the penalty is exact:
    a limit is passed only where no plan keeps it."""
    time_limit_s: float = 0.05

    @property
    def seconds(self) -> int:
        return sum(self.valve_blocks_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class GainBin:
    """Where the responses were worked out; steps of valve, flow and temperature difference."""

    valve_ratio: float
    flow_ratio: float
    drive_k: float
    """Set-point less facility water."""

    @classmethod
    def around(cls, valve_ratio: float, flow_ratio: float, drive_k: float) -> "GainBin":
        steps = min(max(math.log2(max(drive_k, 1.0)), 0.5), 5.0)
        return cls(
            # An open valve has no gain upwards: its bin is that of one that still moves.
            valve_ratio=min(max(round(valve_ratio * 10.0), 1), 9) / 10.0,
            flow_ratio=min(max(round(flow_ratio * 5.0), 1), 8) / 5.0,
            drive_k=2.0 ** (round(2.0 * steps) / 2.0),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Responses:
    """Of a gain bin: change of a trajectory [seconds] for each slope [decisions]."""

    supply_gain: FloatArray
    inlet_gain: FloatArray
    return_gain: FloatArray
    valve_gain: FloatArray
    pump_gain: FloatArray
    hessian_weight: FloatArray
    """[decisions + slacks] squared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the plan must keep; slopes in 1/s, soft limits in degrees."""

    valve_up_per_s: float
    valve_down_per_s: float
    pump_up_per_s: float
    pump_down_per_s: float
    pump_least_ratio: float
    return_cap_c: float
    junction_target_c: float
    """The pumps alone keep the junctions below."""
    junction_cap_c: float
    """From here on a supply below its set-point helps too."""
    supply_floor_c: float
    valve_stays: bool = False
    """The valve will not move: what it can not give, the pumps may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What comes if the plan in force is kept; one entry a second, and where it starts."""

    supply_c: FloatArray
    return_c: FloatArray
    junction_c: FloatArray
    junction_per_flow_k: FloatArray
    """Change of the junction for a change of pump speed by 1."""
    valve_ratio: FloatArray
    pump_ratio: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Slopes of the actuators, one entry a second, 1/s."""

    valve_per_s: tuple[float, ...]
    pump_per_s: tuple[float, ...]

    @classmethod
    def still(cls, settings: HorizonSettings) -> "Plan":
        none = (0.0,) * settings.seconds
        return cls(valve_per_s=none, pump_per_s=none)

    def later(self, seconds: int) -> "Plan":
        """The same plan, as seen so much later; it ends at rest."""
        rest = (0.0,) * seconds
        return Plan(
            valve_per_s=(*self.valve_per_s[seconds:], *rest)[: len(self.valve_per_s)],
            pump_per_s=(*self.pump_per_s[seconds:], *rest)[: len(self.pump_per_s)],
        )


def improved(
    settings: HorizonSettings,
    responses: Responses,
    bounds: Bounds,
    outlook: Outlook,
    plan: Plan,
    *,
    setpoint_c: float,
    pump_wanted_ratio: float,
) -> Plan | None:
    """A better plan; None when the solver gave up or ran out of time."""
    problem = pose(
        settings,
        responses,
        bounds,
        outlook,
        plan,
        setpoint_c=setpoint_c,
        pump_wanted_ratio=pump_wanted_ratio,
    )
    if not problem.sound:
        return None
    decided, _, flag, _ = daqp.solve(
        problem.hessian_weight,
        problem.linear_weight,
        problem.rows,
        problem.high,
        problem.low,
        time_limit=settings.time_limit_s,
    )
    if flag != SOLVED or not np.isfinite(decided).all():
        return None
    valves = len(settings.valve_blocks_s)
    valve = np.array(plan.valve_per_s) + np.repeat(decided[:valves], settings.valve_blocks_s)
    pumps = decided[valves : valves + len(settings.pump_blocks_s)]
    pump = np.array(plan.pump_per_s) + np.repeat(pumps, settings.pump_blocks_s)
    return Plan(valve_per_s=tuple(valve.tolist()), pump_per_s=tuple(pump.tolist()))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """min 1/2 x'Hx + f'x with lower <= (x, rows x) <= upper; the slacks stand last in x."""

    hessian_weight: FloatArray
    linear_weight: FloatArray
    rows: FloatArray
    low: FloatArray
    high: FloatArray

    @property
    def sound(self) -> bool:
        """Whether every figure is one: a solver passes over what is not."""
        parts = (self.linear_weight, self.rows, self.low, self.high)
        return all(bool(np.isfinite(part).all()) for part in parts)


def pose(
    settings: HorizonSettings,
    responses: Responses,
    bounds: Bounds,
    outlook: Outlook,
    plan: Plan,
    *,
    setpoint_c: float,
    pump_wanted_ratio: float,
) -> Problem:
    """The cycle's program around the outlook."""
    valve_slopes, pump_slopes = np.array(plan.valve_per_s), np.array(plan.pump_per_s)
    decisions = responses.supply_gain.shape[1]
    linear = np.zeros(decisions + _SLACKS)
    linear[:decisions] = settings.error_weight * (
        (outlook.supply_c - setpoint_c) @ responses.supply_gain
    ) + settings.pump_weight * ((outlook.pump_ratio - pump_wanted_ratio) @ responses.pump_gain)
    valves = len(settings.valve_blocks_s)
    starts = _starts(settings.valve_blocks_s), _starts(settings.pump_blocks_s)
    linear[:valves] += settings.valve_slope_weight * np.add.reduceat(valve_slopes, starts[0])
    linear[valves:decisions] += settings.pump_slope_weight * np.add.reduceat(pump_slopes, starts[1])
    linear[decisions:] = settings.slack_weight
    linear[decisions] = settings.target_weight
    rows, low, high = _rows(settings, responses, bounds, outlook)
    most, least = np.maximum.reduceat, np.minimum.reduceat
    lower = [
        -bounds.valve_down_per_s - least(valve_slopes, starts[0]),
        -bounds.pump_down_per_s - least(pump_slopes, starts[1]),
        np.zeros(_SLACKS),
    ]
    upper = [
        bounds.valve_up_per_s - most(valve_slopes, starts[0]),
        bounds.pump_up_per_s - most(pump_slopes, starts[1]),
        np.full(_SLACKS, 1e3),
    ]
    if bounds.valve_stays:
        lower[0] = upper[0] = -np.add.reduceat(valve_slopes, starts[0]) / settings.valve_blocks_s
    bottom, top = np.concatenate((*lower, low)), np.concatenate((*upper, high))
    return Problem(
        hessian_weight=responses.hessian_weight,
        linear_weight=linear,
        rows=rows,
        # A plan in force that just passes a bound must not make the program infeasible.
        low=np.minimum(bottom, top),
        high=top,
    )


_SLACKS: Final = 4  # junction by pumps, junction by all means, return, supply floor
_FLOOR: Final = 3


def _rows(
    settings: HorizonSettings, responses: Responses, bounds: Bounds, outlook: Outlook
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Constraints over several slopes: actuators' ends, and soft limits with their slacks."""
    at = np.array(settings.checked_s) - 1
    ends = np.cumsum(settings.valve_blocks_s) - 1, np.cumsum(settings.pump_blocks_s) - 1
    by_pumps = outlook.junction_per_flow_k[:, None] * responses.pump_gain
    junction = responses.inlet_gain + by_pumps
    wide = 1e3
    parts = (
        (responses.valve_gain[ends[0]], 0.0, 1.0, outlook.valve_ratio[ends[0]], None),
        (
            responses.pump_gain[ends[1]],
            bounds.pump_least_ratio,
            1.0,
            outlook.pump_ratio[ends[1]],
            None,
        ),
        (by_pumps[at], -wide, bounds.junction_target_c, outlook.junction_c[at], 0),
        (junction[at], -wide, bounds.junction_cap_c, outlook.junction_c[at], 1),
        (responses.return_gain[at], -wide, bounds.return_cap_c, outlook.return_c[at], 2),
        (responses.supply_gain[at], bounds.supply_floor_c, wide, outlook.supply_c[at], _FLOOR),
    )
    rows, low, high = [], [], []
    for response, least, most, free, slack in parts:
        softened = np.zeros((len(response), _SLACKS))
        if slack is not None:
            softened[:, slack] = 1.0 if slack == _FLOOR else -1.0
        rows.append(np.hstack((response, softened)))
        # What is already past a hard end stays no worse than it is.
        hard = slack is None
        low.append(np.minimum(least - free, 0.0) if hard else least - free)
        high.append(np.maximum(most - free, 0.0) if hard else most - free)
    return np.vstack(rows), np.concatenate(low), np.concatenate(high)


@lru_cache(maxsize=2048)
def responses(
    settings: HorizonSettings, model: LoopModelSettings, gain_bin: GainBin, lpm_per_speed: float
) -> Responses:
    """Trajectories' answers to each slope, by nudging the model at the middle of the bin."""
    seconds = settings.seconds
    base = _course(model, gain_bin, seconds)
    memory = dynamics.at_rest(
        model,
        supply_c=_SETPOINT_C,
        heat_w=base.heat_w[0],
        flow_lpm=base.flow_lpm[0],
    )
    _, free = dynamics.foresee(model, memory, base)
    valve_ramps = _ramps(settings.valve_blocks_s)
    pump_ramps = _ramps(settings.pump_blocks_s)
    courses = [
        LoopCourse(
            valve_ratio=(np.array(base.valve_ratio) + _NUDGE_PER_S * ramp).tolist(),
            flow_lpm=base.flow_lpm,
            heat_w=base.heat_w,
            facility_c=base.facility_c,
        )
        for ramp in valve_ramps.T
    ] + [
        LoopCourse(
            valve_ratio=base.valve_ratio,
            flow_lpm=(np.array(base.flow_lpm) + _NUDGE_PER_S * lpm_per_speed * ramp).tolist(),
            heat_w=base.heat_w,
            facility_c=base.facility_c,
        )
        for ramp in pump_ramps.T
    ]
    nudged = [dynamics.foresee(model, memory, course)[1] for course in courses]
    supply, inlet, return_ = (
        np.array([getattr(one, name) for one in nudged]).T - np.array(getattr(free, name))[:, None]
        for name in ("supply_c", "inlet_c", "return_c")
    )
    valve = np.hstack((valve_ramps, np.zeros_like(pump_ramps)))
    pump = np.hstack((np.zeros_like(valve_ramps), pump_ramps))
    scaled = supply / _NUDGE_PER_S
    return Responses(
        supply_gain=scaled,
        inlet_gain=inlet / _NUDGE_PER_S,
        return_gain=return_ / _NUDGE_PER_S,
        valve_gain=valve,
        pump_gain=pump,
        hessian_weight=_hessian(settings, scaled, pump),
    )


# The set-point of the bins: gains hang on differences, not on the level.
_SETPOINT_C: Final = 40.0


def _hessian(
    settings: HorizonSettings, supply_gain: FloatArray, pump_gain: FloatArray
) -> FloatArray:
    decisions = supply_gain.shape[1]
    hessian = np.zeros((decisions + _SLACKS, decisions + _SLACKS))
    hessian[:decisions, :decisions] = settings.error_weight * (supply_gain.T @ supply_gain)
    hessian[:decisions, :decisions] += settings.pump_weight * (pump_gain.T @ pump_gain)
    slopes = np.concatenate(
        (
            settings.valve_slope_weight * np.array(settings.valve_blocks_s, dtype=np.float64),
            settings.pump_slope_weight * np.array(settings.pump_blocks_s, dtype=np.float64),
        )
    )
    hessian[:decisions, :decisions] += np.diag(slopes)
    hessian[decisions:, decisions:] = np.eye(_SLACKS)
    return hessian


def _course(model: LoopModelSettings, gain_bin: GainBin, seconds: int) -> LoopCourse:
    """Settled in the middle of a bin: the heat follows from valve, flow and difference."""
    flow = gain_bin.flow_ratio * model.design_flow_lpm
    setpoint_c = _SETPOINT_C
    facility_c = setpoint_c - gain_bin.drive_k
    cold = dynamics.valve_flow_ratio(model, gain_bin.valve_ratio)
    # The outlet is straight in the inlet: what a hot inlet 1 K over the facility leaves.
    left = dynamics.exchanger_out_c(model, 1.0, 0.0, flow, cold)
    return_c = facility_c + gain_bin.drive_k / max(left, 0.05)
    heat_w = dynamics.carried_w(flow, return_c - _SETPOINT_C)
    return LoopCourse(
        valve_ratio=[gain_bin.valve_ratio] * seconds,
        flow_lpm=[flow] * seconds,
        heat_w=[heat_w] * seconds,
        facility_c=[facility_c] * seconds,
    )


def _starts(blocks_s: Sequence[int]) -> npt.NDArray[np.intp]:
    starts: npt.NDArray[np.intp] = np.cumsum((0, *blocks_s[:-1]), dtype=np.intp)
    return starts


def _ramps(blocks_s: Sequence[int]) -> FloatArray:
    """[seconds, blocks] what a slope of 1/s over each block has moved by the end of a second."""
    seconds = sum(blocks_s)
    past = np.arange(1, seconds + 1)[:, None] - _starts(blocks_s)[None, :]
    ramps: FloatArray = np.clip(past, 0, np.array(blocks_s)[None, :]).astype(np.float64)
    return ramps
