"""What the threshold rules look at: one array a signal, computed from a snapshot."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from controller.anomaly.finding import Place
from controller.state.health import BoolArray, HealthSettings, fresh_cdus, fresh_sleds
from controller.state.snapshot import FleetSnapshot
from fleet.metrics import STATES

Values = NDArray[np.float64]

HEALTH: Final = HealthSettings()
_ON: Final = STATES["power_state"].index("On")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSettings:
    supply_setpoint_c: float = 40.0
    """What the loops are to hold."""
    dew_floor_k: float = 3.0
    """The set-point is raised to stay this far above the dew point (2..3 K is common practice)."""
    valve_shut_ratio: float = 0.1
    """Estimate: below this the valve can cool no less, so a cold supply is only a low load."""
    loaded_sled_w: float = 1500.0
    """Estimate: a sled of 4 chips draws more than this only when it works."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Signal:
    """Values, NaN where unknown, and where the question does not arise (nothing to cool)."""

    values: Values
    idle: BoolArray


def _known(values: NDArray[np.float32], fresh: BoolArray, idle: BoolArray | None = None) -> Signal:
    shown: Values = np.where(fresh, values, np.nan).astype(np.float64)
    return Signal(values=shown, idle=np.zeros(len(shown), bool) if idle is None else idle)


def _off(snapshot: FleetSnapshot) -> BoolArray:
    state = snapshot.sled["power_state"]
    off: BoolArray = ~np.isnan(state) & (state != _ON)
    return off


def _of_chip(metric: str) -> Callable[[FleetSnapshot, SignalSettings], Signal]:
    def read(snapshot: FleetSnapshot, _: SignalSettings) -> Signal:
        fresh = fresh_sleds(snapshot, HEALTH)[snapshot.fleet_map.sled_of_chip]
        return _known(snapshot.chip[metric], fresh)

    return read


def _of_cdu(metric: str) -> Callable[[FleetSnapshot, SignalSettings], Signal]:
    def read(snapshot: FleetSnapshot, _: SignalSettings) -> Signal:
        return _known(snapshot.cdu[metric], fresh_cdus(snapshot, HEALTH))

    return read


def _inlet(snapshot: FleetSnapshot, _: SignalSettings) -> Signal:
    return _known(snapshot.sled["inlet_c"], fresh_sleds(snapshot, HEALTH), _off(snapshot))


def _flow_over_peers(snapshot: FleetSnapshot, _: SignalSettings) -> Signal:
    """Sled flow over the median of its loop: branches share one pressure difference."""
    fresh, off = fresh_sleds(snapshot, HEALTH), _off(snapshot)
    flow = np.where(fresh, snapshot.sled["coolant_flow_lpm"], np.nan).astype(np.float64)
    ratio = np.full(len(flow), np.nan)
    for loop in range(len(snapshot.fleet_map.loop_ids)):
        rows = snapshot.fleet_map.sleds_in_loop(loop)
        peers = flow[rows][np.isfinite(flow[rows]) & ~off[rows]]
        middle = float(np.median(peers)) if len(peers) else 0.0
        if middle > 0.0:
            ratio[rows] = flow[rows] / middle
    return Signal(values=ratio, idle=off)


def _sled_lpm_per_kw(snapshot: FleetSnapshot, settings: SignalSettings) -> Signal:
    fresh = fresh_sleds(snapshot, HEALTH)
    power_w = snapshot.sled["sled_power_w"].astype(np.float64)
    loaded = power_w >= settings.loaded_sled_w
    flow = snapshot.sled["coolant_flow_lpm"]
    with np.errstate(divide="ignore", invalid="ignore"):
        per_kw = np.where(fresh & loaded, flow / power_w * 1000.0, np.nan)
    return Signal(values=per_kw, idle=_off(snapshot) | (power_w < settings.loaded_sled_w))


def _loop_lpm_per_kw(snapshot: FleetSnapshot, settings: SignalSettings) -> Signal:
    ids, fresh = snapshot.fleet_map, fresh_sleds(snapshot, HEALTH)
    loops = len(ids.loop_ids)
    power = np.where(fresh, snapshot.sled["sled_power_w"], np.nan).astype(np.float64)
    power_w = np.bincount(ids.loop_of_sled, weights=np.nan_to_num(power), minlength=loops)
    sleds = np.bincount(ids.loop_of_sled, minlength=loops)
    idle = power_w < settings.loaded_sled_w * sleds * 0.5
    flow = np.where(fresh_cdus(snapshot, HEALTH), snapshot.cdu["secondary_flow_lpm"], np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Signal(values=np.where(idle, np.nan, flow / power_w * 1000.0), idle=idle)


def _wanted_supply_c(snapshot: FleetSnapshot, settings: SignalSettings) -> Values:
    floor = snapshot.cdu["dew_point_c"].astype(np.float64) + settings.dew_floor_k
    wanted: Values = np.fmax(floor, settings.supply_setpoint_c)
    return wanted


def _supply_over(snapshot: FleetSnapshot, settings: SignalSettings) -> Signal:
    supply = _of_cdu("supply_c")(snapshot, settings)
    return Signal(values=supply.values - _wanted_supply_c(snapshot, settings), idle=supply.idle)


def _supply_under(snapshot: FleetSnapshot, settings: SignalSettings) -> Signal:
    over = _supply_over(snapshot, settings)
    return Signal(
        values=-over.values, idle=snapshot.cdu["valve_ratio"] <= settings.valve_shut_ratio
    )


def _dew_margin(snapshot: FleetSnapshot, settings: SignalSettings) -> Signal:
    supply = _of_cdu("supply_c")(snapshot, settings)
    return Signal(values=supply.values - snapshot.cdu["dew_point_c"], idle=supply.idle)


def _worst_pump(snapshot: FleetSnapshot, _: SignalSettings) -> Signal:
    state = snapshot.pump["pump_state"]
    worst = np.where(np.isnan(state), -1.0, state).max(axis=1)
    return _known(
        np.where(worst < 0, np.nan, worst).astype(np.float32), fresh_cdus(snapshot, HEALTH)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSpec:
    place: Place
    read: Callable[[FleetSnapshot, SignalSettings], Signal]


SIGNALS: Final[dict[str, SignalSpec]] = {
    "junction_c": SignalSpec(place=Place.CHIP, read=_of_chip("junction_c")),
    "hbm_c": SignalSpec(place=Place.CHIP, read=_of_chip("hbm_c")),
    "inlet_c": SignalSpec(place=Place.SLED, read=_inlet),
    "flow_over_peers_ratio": SignalSpec(place=Place.SLED, read=_flow_over_peers),
    "sled_lpm_per_kw": SignalSpec(place=Place.SLED, read=_sled_lpm_per_kw),
    "loop_lpm_per_kw": SignalSpec(place=Place.CDU, read=_loop_lpm_per_kw),
    "supply_over_k": SignalSpec(place=Place.CDU, read=_supply_over),
    "supply_under_k": SignalSpec(place=Place.CDU, read=_supply_under),
    "return_c": SignalSpec(place=Place.CDU, read=_of_cdu("return_c")),
    "dew_margin_k": SignalSpec(place=Place.CDU, read=_dew_margin),
    "reservoir_level_ratio": SignalSpec(place=Place.CDU, read=_of_cdu("reservoir_level_ratio")),
    "pump_state": SignalSpec(place=Place.CDU, read=_worst_pump),
}
