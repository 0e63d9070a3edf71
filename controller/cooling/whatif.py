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
from controller.cooling.estimate import LoopReadings
from controller.cooling.loop import LoopControl, advance
from controller.cooling.settings import CoolingSettings
from fleet.clock import NS_PER_S
from fleet.errors import ConfigurationError
from thermal.model import forecast
from thermal.model.forecast import Belief, ForecastSettings, LoopPoint, Surroundings

NOMINAL, HOT, COLD = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfSettings:
    """Estimates: how far the controller's beliefs may be off."""

    step_s: float = 1.0
    longest_s: float = 1800.0
    resistance_off_ratio: float = 0.10
    ua_off_ratio: float = 0.10
    flow_off_ratio: float = 0.05
    dew_off_k: float = 0.6
    """RH +-2 % and +-0.3 K."""
    model: ForecastSettings = field(default_factory=ForecastSettings)


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
    point, around = _now(readings, control, settings)
    belief = forecast.believe(point, around, settings.model, hottest_c=readings.junction_c)
    around = _changed(around, supposed)
    runs = [_run(case, _at_rest(point), one, around) for one in _beliefs(belief, case.figures)]
    return _told(runs, case.figures)


@dataclass(frozen=True, slots=True)
class _Case:
    control: LoopControl
    readings: LoopReadings
    supposed: Supposition
    settings: CoolingSettings
    figures: WhatIfSettings
    horizon_s: float


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


def _now(
    readings: LoopReadings, control: LoopControl, settings: CoolingSettings
) -> tuple[LoopPoint, Surroundings]:
    heat_w = readings.sled_power_w * settings.estimate.liquid_share
    supply_c = _first(control.estimate.supply.value_c, readings.cdu["supply_c"], readings.inlet_c)
    facility_c = _first(readings.cdu["primary_supply_c"])
    needed = {
        "supply temperature": supply_c,
        "facility water": facility_c,
        "power": heat_w,
        "junction temperatures": readings.junction_c,
    }
    missing = [name for name, value in needed.items() if not math.isfinite(value)]
    if missing:
        raise ConfigurationError(f"nothing can be predicted without {', '.join(missing)}")
    around = Surroundings(
        heat_w=heat_w,
        chip_power_w=_first(readings.chip_power_w, heat_w / settings.chips),
        facility_c=facility_c,
        pumps=settings.pumps,
    )
    rest = forecast.settled(
        Belief(),
        around,
        settings.model,
        supply_c=supply_c,
        valve_ratio=_first(readings.valve_ratio, control.setpoints.valve_ratio),
        pump_ratio=_first(readings.pump_ratio, control.setpoints.pump_ratio),
    )
    measured = replace(
        rest,
        return_c=_first(readings.cdu["return_c"], rest.return_c),
        flow_lpm=_first(readings.cdu["secondary_flow_lpm"], rest.flow_lpm),
        inlet_c=_first(readings.inlet_c, supply_c),
        junction_c=readings.junction_c,
    )
    return measured, around


def _changed(around: Surroundings, supposed: Supposition) -> Surroundings:
    load = 1.0 if supposed.load_ratio is None else supposed.load_ratio
    return replace(
        around,
        heat_w=around.heat_w * load,
        chip_power_w=around.chip_power_w * load,
        facility_c=around.facility_c if supposed.facility_c is None else supposed.facility_c,
        pumps=around.pumps - supposed.pumps_out,
    )


def _beliefs(belief: Belief, figures: WhatIfSettings) -> tuple[Belief, Belief, Belief]:
    """As measured, and with everything unknown against us, and for us."""

    def off(worse_ratio: float) -> Belief:
        return Belief(
            resistance_ratio=belief.resistance_ratio
            * (1.0 + worse_ratio * figures.resistance_off_ratio),
            ua_ratio=belief.ua_ratio * (1.0 - worse_ratio * figures.ua_off_ratio),
            flow_ratio=belief.flow_ratio * (1.0 - worse_ratio * figures.flow_off_ratio),
        )

    return belief, off(1.0), off(-1.0)


def _run(case: _Case, point: LoopPoint, belief: Belief, around: Surroundings) -> _Run:
    control, settings, step_s = case.control, case.settings, case.figures.step_s
    dew_c = case.supposed.dew_point_c
    if dew_c is None:
        dew_c = _first(case.readings.cdu["dew_point_c"], control.dew_point_c)
    points, setpoints, modes = [point], [control.setpoints], [control.mode.value]
    trips: list[str] = []
    for step in range(1, round(case.horizon_s / step_s) + 1):
        at_unix_ns = case.control.at_unix_ns + round(step * step_s * NS_PER_S)
        control, effects = advance(
            control,
            _as_read(case, point, around, at_unix_ns, dew_c),
            at_unix_ns=at_unix_ns,
            cause="what if",
            order=case.supposed.order,
            settings=settings,
        )
        trips += _trips(effects)
        commands = (point.valve_ratio, point.pump_ratio)
        if control.steering:
            commands = (control.setpoints.valve_ratio, control.setpoints.pump_ratio)
        point = forecast.advance(
            point, commands, belief, around, settings.model, step_s, case.figures.model
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


def _at_rest(point: LoopPoint) -> LoopPoint:
    """The measured point with plates and coolant shared out between junction and inlet."""
    above_k = max(point.junction_c - point.inlet_c, 0.0)
    return replace(
        point,
        plate_c=point.inlet_c + 0.65 * above_k,
        outlet_c=min(point.outlet_c, point.inlet_c + 0.6 * above_k),
    )


def _as_read(
    case: _Case, point: LoopPoint, around: Surroundings, at_unix_ns: int, dew_c: float
) -> LoopReadings:
    """What sound sensors would say of the point."""
    readings = case.readings
    # A sensor without any noise would be taken for frozen.
    wobble = 0.01 * (-1) ** (at_unix_ns // NS_PER_S % 2)
    said = {
        "supply_c": point.seen_supply_c + wobble,
        "return_c": point.return_c + wobble,
        "secondary_flow_lpm": point.flow_lpm + wobble,
        "primary_supply_c": around.facility_c,
        "dew_point_c": dew_c,
    }
    return replace(
        readings,
        at_s=at_unix_ns / NS_PER_S,
        cdu_age_s=0.0,
        cdu={**readings.cdu, **said},
        valve_ratio=point.valve_ratio,
        pump_ratio=point.pump_ratio,
        sled_share=1.0,
        sled_power_w=around.heat_w / case.settings.estimate.liquid_share,
        chip_power_w=around.chip_power_w,
        junction_c=point.junction_c,
        inlet_c=point.inlet_c,
        sleds_flow_lpm=point.flow_lpm,
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
        peak_return_c=max(one.return_c for run in runs for one in run.points),
        least_dew_margin_k=min(point.dew_margin_low_k for point in points),
        trips=tuple(dict.fromkeys(trip for run in runs for trip in run.trips)),
    )


def _point(place: int, step_s: float, runs: list[_Run], figures: WhatIfSettings) -> ForecastPoint:
    here = [run.points[place] for run in runs]
    nominal, held = here[NOMINAL], runs[NOMINAL].setpoints[place]
    margins_k = [one.supply_c - run.dew_point_c for one, run in zip(here, runs, strict=True)]
    return ForecastPoint(
        at_s=place * step_s,
        supply_c=nominal.supply_c,
        return_c=nominal.return_c,
        junction_c=nominal.junction_c,
        junction_low_c=min(one.junction_c for one in here),
        junction_high_c=max(one.junction_c for one in here),
        flow_lpm=nominal.flow_lpm,
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
