"""What may be believed about a loop: each sensor judged, the failed ones named."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.cooling import units, vote
from controller.cooling.control import SensorFault
from controller.cooling.settings import EstimateSettings
from controller.cooling.vote import FlowVote, SupplyVote
from controller.state.snapshot import FleetSnapshot
from fleet.clock import NS_PER_S
from fleet.frame import MISSING_COUNT
from fleet.metrics import LEAK_STATES, STATES, LeakState
from thermal.control import stillness
from thermal.control.failsafe import FailsafeReason, SensorTrust, distrust, lost, observe
from thermal.control.stillness import Stillness
from thermal.model import loop as model
from thermal.model.identity import Identified

_LEAK = LEAK_STATES.index(LeakState.CRITICAL)
_ON = STATES["power_state"].index("On")
_W_PER_K_PER_LPM = 1.0 / model.flow_for_heat_lpm(1.0, 1.0)
_USUAL_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatChange:
    """Heat that placement or the serving queue has announced."""

    in_s: float
    heat_w: float
    """Into the coolant, more (or less) than now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueReadings:
    """Requests of all serving engines of a loop; NaN where none tells."""

    sleds_count: int = 0
    """That tell."""
    waiting_count: float = math.nan
    running_count: float = math.nan
    completed_total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopReadings:
    """One loop's rows of a snapshot, as measured; NaN where absent. `at_s` is Unix time."""

    at_s: float
    cdu_age_s: float
    cdu: Mapping[str, float]
    """By name of a sensor in `EstimateSettings.sensors`."""
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
    """Mean of the sleds' middle half."""
    sleds_flow_lpm: float = math.nan
    """Sum of the sleds' own meters; those not heard count as the mean of the others."""
    pumps_running: int = 0
    """Pumps that turn as fast as the fastest, or nearly."""
    announced: tuple[HeatChange, ...] = ()
    """By placement."""
    queue: QueueReadings = field(default_factory=QueueReadings)
    pump_power_w: float = math.nan
    """Of all pumps together."""
    valve_command_ratio: float = math.nan
    """What the CDU asks of its valve, as it says."""
    pump_command_ratio: float = math.nan
    """And of its pumps, the most."""
    wet_bulb_c: float = math.nan
    """Outside, where a weather station tells."""
    identified: Identified = field(default_factory=Identified)
    """What the loop turned out to be, learnt beside its control."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateState:
    trusts: Mapping[str, SensorTrust] = field(default_factory=dict)
    usual: Mapping[str, float] = field(default_factory=dict)
    """What each sensor has said lately while it was believed: a swap of units leaps from it."""
    supply: SupplyVote = field(default_factory=SupplyVote)
    still: Stillness = field(default_factory=Stillness)
    """Of the supply sensor."""
    flow: FlowVote = field(default_factory=FlowVote)
    unbalanced_since_s: float | None = None
    pumps_running: int = 0
    """Most that were seen to run together."""


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
    dp_kpa: float
    pressure_kpa: float
    level_ratio: float
    leak: bool
    unusable: str | None
    """Why the loop can not be steered on this; None when it can."""
    substituted: bool
    """The supply temperature is the sleds' inlets, not the CDU's sensor."""
    alone: bool
    """Nothing else confirms the supply temperature."""
    faults: tuple[SensorFault, ...]
    """Sensors that are not believed, and actuators that do not follow."""
    valve_stuck: bool = False
    """The valve does not do what it is told."""
    age_s: float = 0.0
    """Of the CDU's telemetry."""
    announced: tuple[HeatChange, ...] = ()
    """By placement, or foretold by the serving queue."""
    supply_late_s: float = 0.0
    """How much later than the CDU's own sensor the supply temperature follows."""
    identified: Identified = field(default_factory=Identified)
    """What the loop turned out to be."""


def read_loop(
    snapshot: FleetSnapshot,
    loop: int,
    settings: EstimateSettings,
    identified: Identified | None = None,
) -> LoopReadings:
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
        inlet_c=middle(snapshot.sled["inlet_c"][sleds][on]),
        pumps_running=running(snapshot.pump["pump_speed_ratio"][loop], settings),
        sleds_flow_lpm=_sum_of_all(snapshot.sled["coolant_flow_lpm"][sleds][fresh], len(fresh)),
        pump_power_w=_sum(_finite(snapshot.pump["pump_power_w"][loop])),
        valve_command_ratio=float(snapshot.cdu["valve_command_ratio"][loop]),
        pump_command_ratio=_most(_finite(snapshot.pump["pump_command_ratio"][loop])),
        queue=_queue(snapshot, sleds, fresh),
        wet_bulb_c=float(snapshot.cdu["outdoor_wet_bulb_c"][loop]),
        identified=identified or Identified(),
    )


def _queue(snapshot: FleetSnapshot, sleds: slice, fresh: NDArray[np.bool_]) -> QueueReadings:
    waiting = snapshot.sled["requests_waiting_count"][sleds]
    running_now = snapshot.sled["requests_running_count"][sleds]
    done = snapshot.sled_counts["requests_completed_total"][sleds]
    tells = fresh & np.isfinite(waiting) & np.isfinite(running_now) & (done != MISSING_COUNT)
    if not tells.any():
        return QueueReadings()
    return QueueReadings(
        sleds_count=int(tells.sum()),
        waiting_count=_sum(_finite(waiting[tells])),
        running_count=_sum(_finite(running_now[tells])),
        completed_total=int(done[tells].sum()),
    )


def middle(values: NDArray[np.floating[Any]]) -> float:
    """Mean of the middle half: as deaf to strays as a median, but no coarser for the 0.1 K in
    which sensors speak.
    """
    known = np.sort(values[np.isfinite(values)].astype(np.float64))
    if not len(known):
        return math.nan
    cut = len(known) // 4
    return float(known[cut : len(known) - cut].mean())


def running(speed_ratio: NDArray[np.floating[Any]], settings: EstimateSettings) -> int:
    """How many of a loop's pumps turn with the fastest; a stopped one falls behind in a second."""
    known = speed_ratio[np.isfinite(speed_ratio)]
    if not len(known) or not known.max() > 0.0:
        return 0
    return int((known >= settings.running_ratio * known.max()).sum())


def step(
    settings: EstimateSettings, state: EstimateState, readings: LoopReadings, dt_s: float
) -> tuple[EstimateState, LoopInputs]:
    """Judge a cycle's readings."""
    still = _still(settings, state, readings)
    trusts = _judge(settings, state, readings, still)
    swaps = _swaps(settings, state, readings)
    believed = {
        name: trust.value if trust.failsafe is None and name not in swaps else math.nan
        for name, trust in trusts.items()
    }
    flow = vote.flow(
        settings.vote, state.flow, believed["secondary_flow_lpm"], readings.sleds_flow_lpm, dt_s
    )
    if flow.outvoted:
        believed["secondary_flow_lpm"] = math.nan
    heat_w = readings.sled_power_w * settings.liquid_share
    supply = _supply(settings, state, readings, trusts["supply_c"], believed, heat_w, dt_s)
    unbalanced_since_s = _unbalanced(settings, state, readings, believed, heat_w)
    after = EstimateState(
        trusts=trusts,
        usual=_usual(state.usual, believed, dt_s),
        supply=supply,
        still=still,
        flow=flow,
        unbalanced_since_s=unbalanced_since_s,
        pumps_running=max(readings.pumps_running, state.pumps_running),
    )
    inputs = LoopInputs(
        at_s=readings.at_s,
        dt_s=dt_s,
        supply_c=_level_c(settings, supply),
        return_c=believed["return_c"],
        flow_lpm=believed["secondary_flow_lpm"],
        facility_c=believed["primary_supply_c"],
        dew_point_c=believed["dew_point_c"],
        heat_w=heat_w,
        chip_power_w=readings.chip_power_w,
        junction_c=readings.junction_c,
        valve_ratio=readings.valve_ratio,
        pump_ratio=readings.pump_ratio,
        dp_kpa=believed["secondary_dp_kpa"],
        pressure_kpa=believed["supply_pressure_kpa"],
        level_ratio=believed["reservoir_level_ratio"],
        leak=readings.leak and readings.cdu_age_s <= settings.stale_s,
        unusable=_unusable(settings, readings, supply.value_c),
        substituted=supply.substituted,
        alone=supply.alone,
        faults=_faults(settings, after, readings, swaps),
        age_s=readings.cdu_age_s,
        announced=readings.announced,
        supply_late_s=settings.vote.transit_s if supply.late else 0.0,
        identified=readings.identified,
    )
    return after, inputs


def _level_c(settings: EstimateSettings, supply: SupplyVote) -> float:
    """The voted temperature on the inlets' level: one sensor is built with a bias of up to 0.4 K,
    the middle of many inlets with a tenth of it.
    """
    learnt = supply.learnt_s >= settings.vote.learn_s
    return supply.value_c - (supply.bias_k if learnt else 0.0)


def _still(settings: EstimateSettings, state: EstimateState, readings: LoopReadings) -> Stillness:
    """How surely the supply sensor is frozen, by itself and by what the inlets say."""
    sensor_c = readings.cdu.get("supply_c", math.nan)
    off_k = vote.apart_k(settings.vote, state.supply, sensor_c, readings.inlet_c)
    read_at_s = readings.at_s - readings.cdu_age_s
    return stillness.observe(settings.stillness, state.still, sensor_c, read_at_s, off_k)


def _judge(
    settings: EstimateSettings, state: EstimateState, readings: LoopReadings, still: Stillness
) -> dict[str, SensorTrust]:
    now_s = readings.at_s
    # An infinite age is a reading that never was.
    read_at_s = now_s - readings.cdu_age_s
    trusts = {}
    for name, limits in settings.sensors.items():
        trust = state.trusts.get(name) or distrust(limits, now_s)
        trusts[name] = observe(limits, trust, readings.cdu.get(name, math.nan), read_at_s, now_s)
    if still.against_log_ratio >= settings.stillness.enough_log_ratio:
        limits, trust = settings.sensors["supply_c"], trusts["supply_c"]
        trusts["supply_c"] = lost(limits, trust, FailsafeReason.FROZEN, now_s)
    return trusts


def _supply(
    settings: EstimateSettings,
    state: EstimateState,
    readings: LoopReadings,
    trust: SensorTrust,
    believed: Mapping[str, float],
    heat_w: float,
    dt_s: float,
) -> SupplyVote:
    """Many inlets outvote one sensor that is off, and stand in for one that has failed; not for
    one that has yet to earn trust, or to earn it again after a silence.
    """
    failsafe = trust.failsafe
    silent = failsafe is not None and failsafe.reason in (
        FailsafeReason.UNPROVEN,
        FailsafeReason.STALE,
    )
    if silent or readings.cdu_age_s > settings.stale_s:
        return SupplyVote()
    carried_k = heat_w / (believed["secondary_flow_lpm"] * _W_PER_K_PER_LPM or math.nan)
    return vote.supply(
        settings.vote,
        state.supply,
        sensor_c=believed["supply_c"],
        inlet_c=readings.inlet_c,
        model_c=believed["return_c"] - carried_k,
        dt_s=dt_s,
    )


def _swaps(
    settings: EstimateSettings, state: EstimateState, readings: LoopReadings
) -> dict[str, str]:
    """Sensors that seem to speak in another unit than they should, and words for it."""
    expected = {**state.usual}
    if math.isnan(expected.get("secondary_flow_lpm", math.nan)):
        expected["secondary_flow_lpm"] = readings.sleds_flow_lpm
    found: dict[str, str] = {}
    for name, limits in settings.sensors.items():
        value = readings.cdu.get(name, math.nan)
        words = units.swapped(name, value, expected.get(name, math.nan))
        words = words or units.of_range(name, value, limits.low, limits.high)
        if words is not None:
            found[name] = words
    return found


def _usual(
    before: Mapping[str, float], believed: Mapping[str, float], dt_s: float
) -> dict[str, float]:
    share = -math.expm1(-dt_s / _USUAL_S)
    usual = {**before}
    for name, value in believed.items():
        if math.isfinite(value):
            kept = usual.get(name, math.nan)
            usual[name] = kept + share * (value - kept) if math.isfinite(kept) else value
    return usual


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
    settings: EstimateSettings,
    state: EstimateState,
    readings: LoopReadings,
    swaps: Mapping[str, str],
) -> tuple[SensorFault, ...]:
    now_s = readings.at_s
    found = [
        _fault(name, swaps.get(name, trust.failsafe.reason.value), trust.failsafe.since_s)
        for name, trust in state.trusts.items()
        if trust.failsafe is not None and not _never_there(settings, name, trust, readings)
    ]
    named = {fault.sensor for fault in found}
    found += [_fault(name, words, now_s) for name, words in swaps.items() if name not in named]
    if state.supply.words:
        found.append(_fault("supply_c", state.supply.words, now_s))
    if readings.pumps_running < state.pumps_running:
        found.append(_fault("pump", "has fallen behind the others", now_s))
    if state.flow.outvoted:
        found.append(_fault("secondary_flow_lpm", "disagrees with the sleds' own meters", now_s))
    if _lasted(state.unbalanced_since_s, now_s, settings.balance_persist_s):
        found.append(
            _fault("heat_balance", "flow times rise is not the power", state.unbalanced_since_s)
        )
    return tuple(found)


def _never_there(
    settings: EstimateSettings, name: str, trust: SensorTrust, readings: LoopReadings
) -> bool:
    """Whether a CDU simply has no such sensor."""
    silent = math.isnan(trust.value) and math.isnan(readings.cdu.get(name, math.nan))
    return silent and name in settings.optional


def _lasted(since_s: float | None, now_s: float, persist_s: float) -> bool:
    return since_s is not None and now_s - since_s >= persist_s


def _fault(sensor: str, reason: str, since_s: float | None) -> SensorFault:
    since_unix_ns = round((since_s or 0.0) * NS_PER_S)
    return SensorFault(sensor=sensor, reason=reason, since_unix_ns=since_unix_ns)


def _sum_of_all(values: NDArray[np.float32], count: int) -> float:
    known = _finite(values)
    return float(known.mean() * count) if len(known) else math.nan


def _sum(values: NDArray[np.float64]) -> float:
    return float(values.sum()) if len(values) else math.nan


def _finite(values: NDArray[np.float32]) -> NDArray[np.float64]:
    chosen: NDArray[np.float64] = values[np.isfinite(values)].astype(np.float64)
    return chosen


def _quantile(values: NDArray[np.float32], share: float) -> float:
    finite = _finite(values)
    return float(np.quantile(finite, share)) if len(finite) else math.nan


def _most(values: NDArray[np.float64]) -> float:
    return float(values.max()) if len(values) else math.nan
