"""Which supply temperature is cheapest: the slow layer above the law, once a minute.

Warmer coolant spares the towers' fans and facility pumps, and costs leakage in the chips and flow.
The controller's own model weighs these for a few steps around the set-point in force and around the
facility water asked for, and takes the cheapest at which the worst chips, the dew point and the
valve keep their margins. A person's set-point, FAILSAFE and the shell's slew stand above it.
"""

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from controller.cooling.estimate import LoopInputs, LoopReadings
from controller.cooling.laws import feedforward
from controller.cooling.laws.law import LawState
from controller.cooling.settings import CoolingSettings, LawName, ResetSettings
from thermal import facility
from thermal.model import in_row, margins
from thermal.model import loop as model
from thermal.model.identity import Identified

_NEAR_K = 0.2
"""Of a tower's supply to what is asked of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetState:
    """What the slow layer has decided."""

    supply_c: float = math.nan
    """Set-point; NaN before its first decision: as configured."""
    facility_c: float = math.nan
    """Facility water asked of the building; NaN: nothing is asked."""
    pumps_count: int = 0
    """Cheapest number of running pumps; 0 before the first decision. A CDU starts and stops its
    pumps itself, so this is advice."""
    waited_s: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a loop would draw, settled at a set-point."""

    pump_w: float
    facility_pump_w: float
    fan_w: float
    leakage_w: float
    junction_c: float
    """Of the worst branches."""
    primary_lpm: float
    flow_lpm: float

    @property
    def total_w(self) -> float:
        return self.pump_w + self.facility_pump_w + self.fan_w + self.leakage_w


def step(
    settings: CoolingSettings,
    state: ResetState,
    law: LawState,
    readings: LoopReadings,
    inputs: LoopInputs,
    *,
    loop_id: str,
    held_c: float,
    dt_s: float,
) -> ResetState:
    """After a cycle in AUTO, given the set-point that is held. Loops decide in turn, not together:
    each waits by its name before its first decision.
    """
    tuning = settings.reset
    if tuning is None:
        return state
    if state.waited_s == 0.0 and not state.pumps_count:
        state = replace(state, waited_s=zlib.crc32(loop_id.encode()) % 997 / 997 * tuning.every_s)
    state = replace(state, waited_s=state.waited_s + dt_s)
    hot = inputs.junction_c - _cap_c(settings) >= tuning.hot_k
    if state.waited_s < (tuning.hot_every_s if hot else tuning.every_s):
        return state
    known = (inputs.heat_w, inputs.chip_power_w, inputs.junction_c, inputs.flow_lpm)
    if not all(map(math.isfinite, (*known, inputs.facility_c, inputs.dew_point_c))):
        return replace(state, waited_s=0.0)
    return _decided(settings, tuning, state, Outlook(settings, law, readings, inputs), held_c)


class Outlook:
    """Bills of the loop as it is now, by set-point and facility water."""

    def __init__(
        self,
        settings: CoolingSettings,
        law: LawState,
        readings: LoopReadings,
        inputs: LoopInputs,
    ) -> None:
        self._settings, self._law, self._inputs = settings, law, inputs
        self._wet_bulb_c = readings.wet_bulb_c
        self._known = readings.identified
        self.facility_c = inputs.facility_c
        here = self._worst_c(inputs.supply_c, inputs.flow_lpm)
        self._off_k = inputs.junction_c - here if math.isfinite(here) else 0.0
        self._rated_w = _tuning(settings).rated_w_per_chip * settings.chips
        self._flows_lpm: dict[float, float] = {}
        self.floor_c = inputs.dew_point_c + settings.shell.dew_floor_k

    @property
    def asks(self) -> bool:
        """Whether the weather is known, and with it what facility water costs."""
        return math.isfinite(self._wet_bulb_c) and self._settings.in_row is None

    def within_reach_c(self, facility_c: float) -> float:
        """The same facility water, or the coldest that the weather allows."""
        if not self.asks:
            return facility_c
        cooler = _tuning(self._settings).facility.cooler
        load_ratio = self._inputs.heat_w / self._rated_w
        coldest_c = facility.free_supply_c(cooler, self._wet_bulb_c, load_ratio, 1.0)
        tuning = _tuning(self._settings)
        reached_c = max(facility_c, float(coldest_c), tuning.coldest_water_c)
        return min(reached_c, tuning.warmest_water_c)

    def widens(self, change_k: float) -> bool:
        """Whether a change of supply over facility water gives a valve back what it has run out of;
        always where it has enough.
        """
        tuning = _tuning(self._settings)
        short = self._inputs.valve_ratio > tuning.most_valve_ratio
        return not short or change_k >= tuning.step_k / 4.0

    def bill(self, supply_c: float, facility_c: float) -> Bill:
        settings, inputs = self._settings, self._inputs
        flow_lpm = self._flows_lpm.get(supply_c)
        if flow_lpm is None:
            flow_lpm = self._flows_lpm[supply_c] = self._flow_lpm(supply_c)
        modelled_c = self._worst_c(supply_c, flow_lpm)
        worst_c = modelled_c + self._off_k
        primary_lpm = model.primary_flow_for_heat_lpm(
            inputs.heat_w, supply_c, facility_c, flow_lpm, settings.model
        )
        speed_ratio = model.pump_ratio_for_flow(flow_lpm, settings.pumps, settings.model)
        return Bill(
            pump_w=margins.pump_power_w(settings.model, speed_ratio, flow_lpm, settings.pumps),
            facility_pump_w=self._facility_pump_w(primary_lpm),
            fan_w=self._fan_w(facility_c, primary_lpm),
            leakage_w=self._leakage_w(worst_c),
            junction_c=worst_c,
            primary_lpm=primary_lpm,
            flow_lpm=flow_lpm,
        )

    def pumps(self, flow_lpm: float) -> int:
        """Cheapest number of equal pumps that carry a flow; one of them is kept to spare."""
        settings = self._settings

        def drawn_w(count: int) -> float:
            speed_ratio = model.pump_ratio_for_flow(flow_lpm, count, settings.model)
            carried = model.flow_for_pump_lpm((speed_ratio,) * count, settings.model)
            if carried < 0.98 * flow_lpm:
                return math.inf
            return margins.pump_power_w(settings.model, speed_ratio, flow_lpm, count)

        return min(range(1, settings.pumps + 1), key=drawn_w)

    def _flow_lpm(self, supply_c: float) -> float:
        """What the law would pump: least flow, or as it does now where it does not look at heat."""
        settings = self._settings
        if settings.law not in (LawName.FEEDFORWARD, LawName.MPC):
            return self._inputs.flow_lpm
        aside = replace(self._inputs, supply_c=supply_c)
        wanted_lpm = feedforward.needed_flow_lpm(settings, self._law, aside, supply_c)
        least_ratio = settings.shell.pump_least_ratio
        if settings.law is LawName.MPC:
            least_ratio = settings.mpc.least_pump_ratio
        least_lpm = model.flow_for_pump_lpm((least_ratio,) * settings.pumps, settings.model)
        return max(wanted_lpm, least_lpm)

    def _worst_c(self, supply_c: float, flow_lpm: float) -> float:
        settings = self._settings
        chip_lpm = flow_lpm * settings.model.chip_flow_share / settings.chips
        return model.junction_for_chip_c(
            self._inputs.chip_power_w, supply_c, chip_lpm, settings.model
        )

    def _leakage_w(self, worst_c: float) -> float:
        """Of all chips, at the worst branches' junction less what they stand above the mean."""
        tuning = _tuning(self._settings)
        leak = tuning.leakage
        share = leak.prior_share * math.exp(leak.leakage_per_k * (worst_c - leak.reference_c))
        share *= _learnt_factor(self._known, tuning, self._inputs.junction_c)
        return share * leak.chip_w * self._settings.chips

    def _facility_pump_w(self, primary_lpm: float) -> float:
        if self._settings.in_row is not None:
            return 0.0
        return _tuning(self._settings).facility.pump_w_per_lpm * primary_lpm

    def _fan_w(self, facility_c: float, primary_lpm: float) -> float:
        """Of an in-row cooler's own fans, or of the building's towers where they are known."""
        tuning, coil = _tuning(self._settings), self._settings.in_row
        if coil is not None:
            return in_row.fan_power_w(coil, self._settings.model, primary_lpm)
        if not self.asks:
            return 0.0
        cooler = tuning.facility.cooler
        rated_w = self._rated_w
        load_ratio = self._inputs.heat_w / rated_w
        fan_ratio = facility.fan_for_supply(cooler, self._wet_bulb_c, load_ratio, facility_c)
        reached_c = facility.free_supply_c(cooler, self._wet_bulb_c, load_ratio, fan_ratio)
        if reached_c > facility_c + _NEAR_K:
            return math.inf  # no tower gives it in this weather
        return float(facility.fan_power_w(cooler, rated_w, fan_ratio))


def _decided(
    settings: CoolingSettings,
    tuning: ResetSettings,
    state: ResetState,
    outlook: Outlook,
    held_c: float,
) -> ResetState:
    now_c = state.supply_c if math.isfinite(state.supply_c) else held_c
    asked_c = state.facility_c if math.isfinite(state.facility_c) else outlook.facility_c
    asked_c = outlook.within_reach_c(asked_c)
    standing = outlook.bill(now_c, asked_c)
    # What stands is kept until something is cheaper by more than the models can be trusted.
    best_w = standing.total_w * (1.0 - tuning.hysteresis_ratio)
    if not (outlook.widens(0.0) and _sound(settings, tuning, outlook, now_c, standing)):
        best_w = math.inf
    best = (now_c, asked_c, standing)
    for supply_c, facility_c in _around(settings, tuning, outlook, now_c, asked_c):
        if not outlook.widens((supply_c - facility_c) - (now_c - asked_c)):
            continue
        bill = outlook.bill(supply_c, facility_c)
        if bill.total_w < best_w and _sound(settings, tuning, outlook, supply_c, bill):
            best, best_w = (supply_c, facility_c, bill), bill.total_w
    if math.isinf(best_w):
        return _escaped(settings, tuning, state, outlook, now_c, asked_c, standing)
    supply_c, facility_c, bill = best
    return replace(
        state,
        supply_c=supply_c,
        facility_c=facility_c if outlook.asks else math.nan,
        waited_s=0.0,
        pumps_count=outlook.pumps(bill.flow_lpm),
        reason=_words(bill),
    )


def _escaped(
    settings: CoolingSettings,
    tuning: ResetSettings,
    state: ResetState,
    outlook: Outlook,
    now_c: float,
    asked_c: float,
    standing: Bill,
) -> ResetState:
    """Where nothing near keeps all margins: for the chips cooler, for the valve warmer, and colder
    water for both.
    """
    hot = standing.junction_c > _cap_c(settings)
    low_c, high_c = _span_c(settings, tuning, outlook)
    supply_c = now_c - tuning.step_k if hot else now_c + tuning.step_k
    water_c = outlook.within_reach_c(asked_c - tuning.step_k)
    return replace(
        state,
        supply_c=min(max(supply_c, low_c), high_c),
        facility_c=water_c if outlook.asks else math.nan,
        waited_s=0.0,
        pumps_count=settings.pumps,
        reason="the worst chips' margin is short" if hot else "the valve's margin is short",
    )


def _span_c(
    settings: CoolingSettings, tuning: ResetSettings, outlook: Outlook
) -> tuple[float, float]:
    low_c = max(outlook.floor_c + tuning.dew_spare_k, settings.shell.supply_least_c)
    high_c = settings.shell.supply_most_c
    return min(low_c, high_c), high_c


def _around(
    settings: CoolingSettings,
    tuning: ResetSettings,
    outlook: Outlook,
    now_c: float,
    asked_c: float,
) -> Iterator[tuple[float, float]]:
    low_c, high_c = _span_c(settings, tuning, outlook)
    waters = (-1.0, 0.0, 1.0) if outlook.asks else (0.0,)
    for moved in (-1.0, -0.25, 0.0, 0.25, 1.0):
        supply_c = min(max(now_c + moved * tuning.step_k, low_c), high_c)
        for change in waters:
            yield supply_c, outlook.within_reach_c(asked_c + change * tuning.step_k)
            if outlook.asks and moved and change:
                yield supply_c, outlook.within_reach_c(asked_c + 0.25 * change * tuning.step_k)


def _sound(
    settings: CoolingSettings,
    tuning: ResetSettings,
    outlook: Outlook,
    supply_c: float,
    bill: Bill,
) -> bool:
    """Whether chips, dew point and valve keep their margins."""
    most_lpm = tuning.most_primary_ratio * settings.model.exchanger.cold_nominal_lpm
    return (
        bill.junction_c <= _cap_c(settings)
        and bill.primary_lpm <= most_lpm
        and supply_c >= outlook.floor_c
    )


def _cap_c(settings: CoolingSettings) -> float:
    return settings.policy.junction_target_c - _tuning(settings).spare_k


def _tuning(settings: CoolingSettings) -> ResetSettings:
    return settings.reset or ResetSettings()


def _learnt_factor(known: Identified, tuning: ResetSettings, junction_c: float) -> float:
    """Leakage as it was learnt, over the data sheet's."""
    if not math.isfinite(known.leakage_share):
        return 1.0
    leak = tuning.leakage
    sheet = leak.prior_share * math.exp(leak.leakage_per_k * (junction_c - leak.reference_c))
    return min(max(known.leakage_share / sheet, 0.3), 3.0)


def _words(bill: Bill) -> str:
    cooling_w = bill.pump_w + bill.facility_pump_w + bill.fan_w
    return (
        f"cheapest near by: cooling {cooling_w / 1e3:.1f} kW,"
        f" leakage {bill.leakage_w / 1e3:.1f} kW, worst chips {bill.junction_c:.1f} °C"
    )
