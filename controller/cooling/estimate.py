"""What may be believed about a loop: each sensor judged, the failed ones named."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from controller.cooling.control import SensorFault
from controller.cooling.settings import EstimateSettings
from controller.state.snapshot import FleetSnapshot
from fleet.clock import NS_PER_S
from fleet.metrics import LEAK_STATES, STATES, LeakState
from thermal.control.failsafe import FailsafeReason, SensorTrust, distrust, observe
from thermal.model import loop as model

_LEAK = LEAK_STATES.index(LeakState.CRITICAL)
_ON = STATES["power_state"].index("On")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopReadings:
    """One loop's rows of a snapshot, as measured; NaN where absent. `at_s` is Unix time."""

    at_s: float
    cdu_age_s: float
    cdu: Mapping[str, float]
    """supply_c, return_c, secondary_flow_lpm, primary_supply_c, dew_point_c."""
    valve_ratio: float
    pump_ratio: float
    """Fastest pump."""
    leak: bool
    """Liquid at the CDU."""
    sled_share: float
    """Share of the loop's sleds heard lately."""
    sled_power_w: float
    """All sleds; those not heard count as the mean of the others."""
    chip_power_w: float
    junction_c: float
    """Of the worst branches (`robust_share`)."""
    inlet_c: float
    """Median over the sleds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateState:
    trusts: Mapping[str, SensorTrust] = field(default_factory=dict)
    biased_since_s: float | None = None
    """Since when the supply sensor disagrees with the sleds' inlets."""
    unbalanced_since_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopInputs:
    """What policy and supervisor may use; NaN where nothing can be believed."""

    at_s: float
    dt_s: float
    supply_c: float
    return_c: float
    flow_lpm: float
    facility_c: float
    dew_point_c: float
    heat_w: float
    chip_power_w: float
    junction_c: float
    valve_ratio: float
    pump_ratio: float
    leak: bool
    unusable: str | None
    """Why the loop can not be steered on this; None when it can."""
    substituted: bool
    """The supply temperature is the sleds' inlets, not the CDU's sensor."""
    faults: tuple[SensorFault, ...]


def read_loop(snapshot: FleetSnapshot, loop: int, settings: EstimateSettings) -> LoopReadings:
    sleds = snapshot.fleet_map.sleds_in_loop(loop)
    chips = snapshot.fleet_map.chips_in_loop(loop)
    fresh = snapshot.sled_age_s[sleds] <= settings.stale_s
    on = fresh & (snapshot.sled["power_state"][sleds] == _ON)
    chip_on = on[snapshot.fleet_map.sled_of_chip[chips] - sleds.start]
    power = _finite(snapshot.sled["sled_power_w"][sleds][fresh])
    known = sorted(settings.sensors)
    return LoopReadings(
        at_s=snapshot.at_unix_ns / NS_PER_S,
        cdu_age_s=float(snapshot.cdu_age_s[loop]),
        cdu={name: float(snapshot.cdu[name][loop]) for name in known},
        valve_ratio=float(snapshot.cdu["valve_ratio"][loop]),
        pump_ratio=_most(_finite(snapshot.pump["pump_speed_ratio"][loop])),
        leak=bool(snapshot.cdu["cdu_leak_state"][loop] == _LEAK),
        sled_share=float(fresh.mean()) if len(fresh) else 0.0,
        sled_power_w=float(power.mean() * len(fresh)) if len(power) else math.nan,
        chip_power_w=_quantile(snapshot.chip["power_w"][chips][chip_on], settings.robust_share),
        junction_c=_quantile(snapshot.chip["junction_c"][chips][chip_on], settings.robust_share),
        inlet_c=_quantile(snapshot.sled["inlet_c"][sleds][on], 0.5),
    )


def step(
    settings: EstimateSettings, state: EstimateState, readings: LoopReadings, dt_s: float
) -> tuple[EstimateState, LoopInputs]:
    """Judge a cycle's readings."""
    trusts = _judge(settings, state, readings)
    believed = {
        name: trust.value if trust.failsafe is None else math.nan for name, trust in trusts.items()
    }
    supply_c, biased_since_s = _supply(settings, state, readings, trusts["supply_c"])
    heat_w = readings.sled_power_w * settings.liquid_share
    unbalanced_since_s = _unbalanced(settings, state, readings, believed, heat_w)
    after = EstimateState(
        trusts=trusts, biased_since_s=biased_since_s, unbalanced_since_s=unbalanced_since_s
    )
    inputs = LoopInputs(
        at_s=readings.at_s,
        dt_s=dt_s,
        supply_c=supply_c,
        return_c=believed["return_c"],
        flow_lpm=believed["secondary_flow_lpm"],
        facility_c=believed["primary_supply_c"],
        dew_point_c=believed["dew_point_c"],
        heat_w=heat_w,
        chip_power_w=readings.chip_power_w,
        junction_c=readings.junction_c,
        valve_ratio=readings.valve_ratio,
        pump_ratio=readings.pump_ratio,
        leak=readings.leak and readings.cdu_age_s <= settings.stale_s,
        unusable=_unusable(settings, readings, supply_c),
        substituted=math.isfinite(supply_c) and supply_c != believed["supply_c"],
        faults=_faults(settings, after, readings.at_s),
    )
    return after, inputs


def _judge(
    settings: EstimateSettings, state: EstimateState, readings: LoopReadings
) -> dict[str, SensorTrust]:
    now_s = readings.at_s
    # An infinite age is a reading that never was.
    read_at_s = now_s - readings.cdu_age_s
    trusts = {}
    for name, limits in settings.sensors.items():
        trust = state.trusts.get(name) or distrust(limits, now_s)
        trusts[name] = observe(limits, trust, readings.cdu[name], read_at_s, now_s)
    return trusts


def _supply(
    settings: EstimateSettings, state: EstimateState, readings: LoopReadings, trust: SensorTrust
) -> tuple[float, float | None]:
    """The supply temperature to steer by, and since when inlets and sensor disagree.

    Many inlets outvote one sensor that is off for long, and stand in for one that has failed;
    not for one that has yet to earn trust, or to earn it again after a silence.
    """
    if trust.failsafe is not None:
        failed = trust.failsafe.reason not in (FailsafeReason.UNPROVEN, FailsafeReason.STALE)
        heard = readings.cdu_age_s <= settings.stale_s
        return (readings.inlet_c if failed and heard else math.nan), None
    gap_k = abs(trust.value - readings.inlet_c)
    if not gap_k > settings.inlet_tolerance_k:
        return trust.value, None
    since_s = readings.at_s if state.biased_since_s is None else state.biased_since_s
    outvoted = readings.at_s - since_s >= settings.inlet_persist_s
    return (readings.inlet_c if outvoted else trust.value), since_s


def _unbalanced(
    settings: EstimateSettings,
    state: EstimateState,
    readings: LoopReadings,
    believed: Mapping[str, float],
    heat_w: float,
) -> float | None:
    """Since when flow times rise disagrees with the electric power."""
    rise_k = believed["return_c"] - believed["supply_c"]
    carried_w = believed["secondary_flow_lpm"] * rise_k / model.flow_for_heat_lpm(1.0, 1.0)
    gap_w = abs(carried_w - heat_w)
    if math.isnan(gap_w) or gap_w <= settings.balance_tolerance_ratio * heat_w:
        return None
    return readings.at_s if state.unbalanced_since_s is None else state.unbalanced_since_s


def _unusable(settings: EstimateSettings, readings: LoopReadings, supply_c: float) -> str | None:
    if readings.cdu_age_s > settings.stale_s:
        return f"no telemetry from the CDU for more than {settings.stale_s:g} s"
    if readings.sled_share < settings.least_sled_share:
        return f"only {readings.sled_share:.0%} of the sleds are heard"
    if math.isnan(supply_c):
        return "no believable supply temperature"
    return None


def _faults(
    settings: EstimateSettings, state: EstimateState, now_s: float
) -> tuple[SensorFault, ...]:
    found = [
        _fault(name, trust.failsafe.reason.value, trust.failsafe.since_s)
        for name, trust in state.trusts.items()
        if trust.failsafe is not None
    ]
    if _lasted(state.biased_since_s, now_s, settings.inlet_persist_s):
        found.append(_fault("supply_c", "disagrees with the sleds' inlets", state.biased_since_s))
    if _lasted(state.unbalanced_since_s, now_s, settings.balance_persist_s):
        found.append(
            _fault("heat_balance", "flow times rise is not the power", state.unbalanced_since_s)
        )
    return tuple(found)


def _lasted(since_s: float | None, now_s: float, persist_s: float) -> bool:
    return since_s is not None and now_s - since_s >= persist_s


def _fault(sensor: str, reason: str, since_s: float | None) -> SensorFault:
    since_unix_ns = round((since_s or 0.0) * NS_PER_S)
    return SensorFault(sensor=sensor, reason=reason, since_unix_ns=since_unix_ns)


def _finite(values: NDArray[np.float32]) -> NDArray[np.float64]:
    chosen: NDArray[np.float64] = values[np.isfinite(values)].astype(np.float64)
    return chosen


def _quantile(values: NDArray[np.float32], share: float) -> float:
    finite = _finite(values)
    return float(np.quantile(finite, share)) if len(finite) else math.nan


def _most(values: NDArray[np.float64]) -> float:
    return float(values.max()) if len(values) else math.nan
