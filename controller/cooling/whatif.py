"""What a loop would do: the controller's own cycle on the controller's own model, from now on.

Nothing is sent: the effects of the cycle are counted and dropped.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from controller.cooling.control import (
    CoolingEffect,
    LatchTrip,
    LoopSetpoints,
    ManualOrder,
)
from controller.cooling.estimate import HeatChange, LoopReadings, QueueReadings
from controller.cooling.loop import LoopControl, advance
from controller.cooling.settings import CoolingSettings, LawName
from fleet.clock import NS_PER_S
from fleet.errors import ConfigurationError
from thermal.model import whole_loop
from thermal.model.dynamics import Drives
from thermal.model.loop import flow_for_pump_lpm
from thermal.model.settings import LoopModelSettings
from thermal.model.whole_loop import Belief, LoopPoint, Surroundings
from thermal.model.worst_chip import WorstChipSettings

NOMINAL, HOT, COLD = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfSettings:
    """Estimates: how far the controller's beliefs may be off, where identification does not know
    better.
    """

    step_s: int = 1
    """Of the controller's cycle; the model always steps by a second."""
    longest_s: float = 1800.0
    resistance_off_ratio: float = 0.10
    ua_off_ratio: float = 0.10
    flow_off_ratio: float = 0.05
    dew_off_k: float = 0.6
    """RH +-2 % and +-0.3 K."""
    doubt_factor: float = 2.0
    """Sigmas of what was identified, taken as the most that it is off."""
    chip: WorstChipSettings = field(default_factory=WorstChipSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Supposition:
    """What is supposed to change now; None stays as it is."""

    order: ManualOrder | None = None
    pumps_out: int = 0
    load_ratio: float | None = None
    """Power over the present one."""
    facility_c: float | None = None
    dew_point_c: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastPoint:
    """One second; `_low` and `_high` bound what the controller does not know."""

    at_s: float
    """From now."""
    supply_c: float
    return_c: float
    junction_c: float
    """Of the worst chips."""
    junction_low_c: float
    junction_high_c: float
    flow_lpm: float
    dew_margin_k: float
    dew_margin_low_k: float
    dew_margin_high_k: float
    valve_ratio: float
    pump_ratio: float
    mode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    points: tuple[ForecastPoint, ...]
    peak_junction_c: float
    """With the uncertainty against us."""
    peak_return_c: float
    least_dew_margin_k: float
    trips: tuple[str, ...]
    """Interlocks that would fire, as believed or with the uncertainty against us."""

    def words(self) -> str:
        """The predicted effect in one line."""
        line = (
            f"the worst chip would reach up to {self.peak_junction_c:.1f} °C, the return "
            f"{self.peak_return_c:.1f} °C, the dew margin {self.least_dew_margin_k:.1f} K"
        )
        return f"{line}; trips: {', '.join(self.trips)}" if self.trips else line


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    points: tuple[LoopPoint, ...]
    setpoints: tuple[LoopSetpoints, ...]
    modes: tuple[str, ...]
    dew_point_c: float
    trips: tuple[str, ...]


def suppose(
    control: LoopControl,
    readings: LoopReadings,
    supposed: Supposition,
    settings: CoolingSettings,
    *,
    horizon_s: float,
    figures: WhatIfSettings | None = None,
) -> Forecast:
    """Trajectories from the loop as it is read now. ConfigurationError where the supposition or
    the horizon can not be, or too little is known of the loop to begin.
    """
    case = _Case(control, readings, supposed, settings, figures or WhatIfSettings(), horizon_s)
    _check(case)
    model = _identified_model(case)
    point, around, belief = _now(case, model)
    runs = [_run(case, model, point, one, around) for one in _beliefs(case, belief)]
    return _told(runs, case.figures)


@dataclass(frozen=True, slots=True)
class _Case:
    control: LoopControl
    readings: LoopReadings
    supposed: Supposition
    settings: CoolingSettings
    figures: WhatIfSettings
    horizon_s: float

    @property
    def load_ratio(self) -> float:
        return 1.0 if self.supposed.load_ratio is None else self.supposed.load_ratio

    def coming(self, after_s: float) -> tuple[HeatChange, ...]:
        """Announced heat that has not come by then."""
        return tuple(
            replace(change, in_s=change.in_s - after_s)
            for change in self.readings.announced
            if change.in_s > after_s
        )

    def came_ratio(self, after_s: float, heat_w: float) -> float:
        """Heat with what was announced and has come by then, over the heat now."""
        came_w = sum(change.heat_w for change in self.readings.announced if change.in_s <= after_s)
        return max(1.0 + came_w / heat_w, 0.0) if heat_w > 0.0 else 1.0


def _check(case: _Case) -> None:
    supposed, figures, pumps = case.supposed, case.figures, case.settings.pumps
    if not figures.step_s <= case.horizon_s <= figures.longest_s:
        raise ConfigurationError(
            f"horizon of {case.horizon_s:g} s is outside "
            f"{figures.step_s:g}..{figures.longest_s:g} s"
        )
    if not 0 <= supposed.pumps_out <= pumps:
        raise ConfigurationError(f"{supposed.pumps_out} pumps out of {pumps}")
    for name, value in (
        ("load_ratio", supposed.load_ratio),
        ("facility_c", supposed.facility_c),
        ("dew_point_c", supposed.dew_point_c),
    ):
        if value is not None and not math.isfinite(value):
            raise ConfigurationError(f"{name} must be a number")
    if supposed.load_ratio is not None and not 0.0 <= supposed.load_ratio <= 10.0:
        raise ConfigurationError(f"load_ratio of {supposed.load_ratio:g} is outside 0..10")


def _identified_model(case: _Case) -> LoopModelSettings:
    """The data sheet with the resistance to flow that was identified."""
    model, ratio = case.settings.model, case.readings.identified.flow_resistance_ratio
    if not (math.isfinite(ratio) and ratio > 0.0):
        return model
    return replace(model, design_dp_kpa=model.design_dp_kpa * ratio)


def _now(case: _Case, model: LoopModelSettings) -> tuple[LoopPoint, Surroundings, Belief]:
    """Where the loop is, what will act on it, and what is believed of it."""
    control, readings, settings = case.control, case.readings, case.settings
    measured = _measured(case)
    pumps = readings.pumps_running or settings.pumps
    around = Surroundings(
        heat_w=readings.sled_power_w * settings.estimate.liquid_share,
        chip_power_w=_first(readings.chip_power_w, readings.sled_power_w / settings.chips),
        chips=settings.chips,
        facility_c=measured["facility water"],
        pumps=pumps,
    )
    pump_ratio = _first(readings.pump_ratio, control.setpoints.pump_ratio)
    promised_lpm = flow_for_pump_lpm((pump_ratio,) * pumps, model)
    drives = Drives(
        valve_ratio=_first(readings.valve_ratio, control.setpoints.valve_ratio),
        pump_ratio=pump_ratio,
        flow_lpm=_first(readings.cdu["secondary_flow_lpm"], promised_lpm),
    )
    belief = whole_loop.believe(
        model,
        case.figures.chip,
        around,
        drives,
        supply_c=measured["supply temperature"],
        return_c=_first(readings.cdu["return_c"], -math.inf),
        junction_c=readings.junction_c,
    )
    point = whole_loop.settled(
        model,
        case.figures.chip,
        belief,
        around,
        drives,
        supply_c=measured["supply temperature"],
    )
    point, belief = _as_tracked(case, point, _as_identified(case, belief))
    supposed_c = case.supposed.facility_c
    around = replace(
        around,
        facility_c=around.facility_c if supposed_c is None else supposed_c,
        pumps=max(pumps - case.supposed.pumps_out, 0),
    )
    return replace(point, chip=replace(point.chip, junction_c=readings.junction_c)), around, belief


def _measured(case: _Case) -> dict[str, float]:
    """What nothing can be predicted without, by name."""
    readings = case.readings
    supply_c = case.control.estimate.supply.value_c
    needed = {
        "supply temperature": _first(supply_c, readings.cdu["supply_c"], readings.inlet_c),
        "facility water": readings.cdu["primary_supply_c"],
        "power": readings.sled_power_w,
        "junction temperatures": readings.junction_c,
    }
    missing = [name for name, value in needed.items() if not math.isfinite(value)]
    if missing:
        raise ConfigurationError(f"nothing can be predicted without {', '.join(missing)}")
    return needed


def _as_identified(case: _Case, belief: Belief) -> Belief:
    """With the UA that was learnt over hours, where that is surer than one look."""
    known = case.readings.identified
    if case.figures.doubt_factor * known.ua_sigma < case.figures.ua_off_ratio * known.ua_ratio:
        return replace(belief, ua_ratio=known.ua_ratio)
    return belief


def _as_tracked(case: _Case, point: LoopPoint, belief: Belief) -> tuple[LoopPoint, Belief]:
    """Where the predictive law has its model beside the loop, that goes on from where it is."""
    known, tuning = case.control.law.foresight, case.settings.mpc
    if case.control.law_name is not LawName.MPC or known.memory is None:
        return point, belief
    if not abs(known.sensed_c - point.seen_supply_c) <= tuning.lost_k:
        return point, belief
    point = replace(
        point,
        memory=known.memory,
        inlet_c=known.memory.supply_pipe[0][1],
        seen_supply_c=known.sensed_c,
    )
    return point, replace(
        belief,
        ua_ratio=known.doubt.ua_ratio,
        offset_k=known.doubt.offset_k,
        heat_ratio=known.heat_ratio,
    )


def _beliefs(case: _Case, belief: Belief) -> tuple[Belief, Belief, Belief]:
    """As measured, and with everything unknown against us, and for us."""
    figures, known = case.figures, case.readings.identified

    def doubt_ratio(usual_ratio: float, value_ratio: float, sigma: float) -> float:
        found_ratio = figures.doubt_factor * sigma / value_ratio
        return found_ratio if 0.0 < found_ratio < usual_ratio else usual_ratio

    resistance = doubt_ratio(figures.resistance_off_ratio, known.plate_ratio, known.plate_sigma)
    ua = doubt_ratio(figures.ua_off_ratio, known.ua_ratio, known.ua_sigma)

    def off(worse_ratio: float) -> Belief:
        return replace(
            belief,
            resistance_ratio=belief.resistance_ratio * (1.0 + worse_ratio * resistance),
            ua_ratio=belief.ua_ratio * (1.0 - worse_ratio * ua),
            flow_ratio=belief.flow_ratio * (1.0 - worse_ratio * figures.flow_off_ratio),
        )

    return belief, off(1.0), off(-1.0)


def _run(
    case: _Case, model: LoopModelSettings, point: LoopPoint, belief: Belief, around: Surroundings
) -> _Run:
    control, step_s = case.control, case.figures.step_s
    dew_c = case.supposed.dew_point_c
    if dew_c is None:
        dew_c = _first(case.readings.cdu["dew_point_c"], control.dew_point_c)
    points, setpoints, modes = [point], [control.setpoints], [control.mode.value]
    trips: list[str] = []
    for after_s in range(step_s, round(case.horizon_s) + 1, step_s):
        at_unix_ns = case.control.at_unix_ns + after_s * NS_PER_S
        acting = _acting(case, around, after_s)
        control, effects = advance(
            control,
            _as_read(case, point, acting, after_s, dew_c),
            at_unix_ns=at_unix_ns,
            cause="what if",
            order=case.supposed.order,
            settings=case.settings,
        )
        trips += _trips(effects)
        valve_ratio, pump_ratio = point.drives.valve_ratio, point.drives.pump_ratio
        if control.steering:
            valve_ratio, pump_ratio = control.setpoints.valve_ratio, control.setpoints.pump_ratio
        for _ in range(step_s):
            point = whole_loop.advance(
                model,
                case.figures.chip,
                belief,
                acting,
                point,
                valve_ratio=valve_ratio,
                pump_ratio=pump_ratio,
            )
        points.append(point)
        setpoints.append(control.setpoints)
        modes.append(control.mode.value)
    return _Run(
        points=tuple(points),
        setpoints=tuple(setpoints),
        modes=tuple(modes),
        dew_point_c=dew_c,
        trips=tuple(dict.fromkeys(trips)),
    )


def _acting(case: _Case, around: Surroundings, after_s: float) -> Surroundings:
    ratio = case.load_ratio * case.came_ratio(after_s, around.heat_w)
    return replace(around, heat_w=around.heat_w * ratio, chip_power_w=around.chip_power_w * ratio)


def _as_read(
    case: _Case, point: LoopPoint, acting: Surroundings, after_s: int, dew_c: float
) -> LoopReadings:
    """What sound sensors would say of the point."""
    at_unix_ns = case.control.at_unix_ns + after_s * NS_PER_S
    # A sensor without any noise would be taken for frozen.
    wobble = 0.01 * (-1) ** (at_unix_ns // NS_PER_S % 2)
    flow_lpm = point.drives.flow_lpm
    said = {
        "supply_c": point.seen_supply_c + wobble,
        "return_c": point.memory.return_c + wobble,
        "secondary_flow_lpm": flow_lpm + wobble,
        "primary_supply_c": acting.facility_c,
        "dew_point_c": dew_c,
    }
    return replace(
        case.readings,
        at_s=at_unix_ns / NS_PER_S,
        cdu_age_s=0.0,
        cdu={**case.readings.cdu, **said},
        valve_ratio=point.drives.valve_ratio,
        pump_ratio=point.drives.pump_ratio if acting.pumps else 0.0,
        pumps_running=acting.pumps,
        sled_share=1.0,
        sled_power_w=acting.heat_w / case.settings.estimate.liquid_share,
        chip_power_w=acting.chip_power_w,
        junction_c=point.chip.junction_c,
        inlet_c=point.inlet_c,
        sleds_flow_lpm=flow_lpm,
        announced=case.coming(after_s),
        queue=QueueReadings(),
    )


def _trips(effects: Iterable[CoolingEffect]) -> list[str]:
    return [effect.trip.reason.value for effect in effects if isinstance(effect, LatchTrip)]


def _told(runs: list[_Run], figures: WhatIfSettings) -> Forecast:
    nominal = runs[NOMINAL]
    points = tuple(
        _point(place, figures.step_s, runs, figures) for place in range(len(nominal.points))
    )
    return Forecast(
        points=points,
        peak_junction_c=max(point.junction_high_c for point in points),
        peak_return_c=max(one.memory.return_c for run in runs for one in run.points),
        least_dew_margin_k=min(point.dew_margin_low_k for point in points),
        trips=tuple(dict.fromkeys(trip for run in runs for trip in run.trips)),
    )


def _point(place: int, step_s: float, runs: list[_Run], figures: WhatIfSettings) -> ForecastPoint:
    here = [run.points[place] for run in runs]
    nominal, held = here[NOMINAL], runs[NOMINAL].setpoints[place]
    margins_k = [one.memory.supply_c - run.dew_point_c for one, run in zip(here, runs, strict=True)]
    return ForecastPoint(
        at_s=place * step_s,
        supply_c=nominal.memory.supply_c,
        return_c=nominal.memory.return_c,
        junction_c=nominal.chip.junction_c,
        junction_low_c=min(one.chip.junction_c for one in here),
        junction_high_c=max(one.chip.junction_c for one in here),
        flow_lpm=nominal.drives.flow_lpm,
        dew_margin_k=margins_k[NOMINAL],
        dew_margin_low_k=min(margins_k) - figures.dew_off_k,
        dew_margin_high_k=max(margins_k) + figures.dew_off_k,
        valve_ratio=held.valve_ratio,
        pump_ratio=held.pump_ratio,
        mode=runs[NOMINAL].modes[place],
    )


def _first(*values: float) -> float:
    """The first that is a number."""
    return next((value for value in values if math.isfinite(value)), math.nan)
