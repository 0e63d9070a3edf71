"""May a person's word on a loop be taken? The limits in force, and what it would do."""

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

from api.live import HeardLoop
from api.problems import RefusedRequestError
from api.schemas.loops import version_of
from controller.cooling import shell
from controller.cooling.control import ManualOrder, Mode
from controller.cooling.loop import LoopControl
from controller.cooling.settings import CoolingSettings
from controller.cooling.whatif import Forecast, Supposition, WhatIfSettings, suppose
from controller.views import control_of
from fleet.errors import ConfigurationError

EFFECT_S: Final = 180.0
_COARSE: Final = WhatIfSettings(step_s=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class SteeredLoop:
    """A coolant loop as its controller last showed it."""

    id: str
    control: LoopControl
    settings: CoolingSettings

    def predict(
        self,
        supposed: Supposition,
        horizon_s: float,
        *,
        settings: CoolingSettings | None = None,
        figures: WhatIfSettings | None = None,
    ) -> Forecast:
        """Raises ConfigurationError where nothing can be predicted."""
        readings = self.control.readings
        if readings is None:
            raise ConfigurationError(f"{self.id} has not been read yet")
        chosen = settings or self.settings
        return suppose(
            self.control, readings, supposed, chosen, horizon_s=horizon_s, figures=figures
        )


def steered_loop(loop_id: str, heard: HeardLoop | None, chips: int) -> SteeredLoop:
    """Raises RefusedRequestError for a loop that no controller steers now."""
    control = None if heard is None else control_of(heard.view)
    if control is None:
        raise RefusedRequestError(
            HTTPStatus.CONFLICT,
            f"{loop_id} is not steered by a controller: it is air-cooled, or not heard yet",
            kind="not-steered",
        )
    base = CoolingSettings.sized(chips)
    # Without an override the law goes on to hold what it holds now.
    policy = replace(base.policy, supply_c=control.setpoints.supply_c)
    return SteeredLoop(
        id=loop_id, control=control, settings=replace(base, law=control.law_name, policy=policy)
    )


def check_version(
    given: str | None, loop_id: str, heard: HeardLoop | None, order: ManualOrder | None
) -> None:
    """428 without If-Match, 412 for one of another time."""
    if given is None:
        raise RefusedRequestError(
            HTTPStatus.PRECONDITION_REQUIRED,
            f"name the version of {loop_id} that you have seen in If-Match",
            kind="no-version",
        )
    now = version_of(heard, order)
    if given.strip().removeprefix("W/").strip('"') not in {now, "*"}:
        raise RefusedRequestError(
            HTTPStatus.PRECONDITION_FAILED,
            f"{loop_id} has changed since you looked (mode, trips or override): look again, "
            "then decide",
            kind="stale-version",
        )


def check_order(loop: SteeredLoop, order: ManualOrder) -> None:
    """Raises RefusedRequestError naming the limit in force and the predicted effect."""
    control = loop.control
    if not order.failsafe and control.mode is Mode.FAILSAFE:
        trips = ", ".join(trip.reason.value for trip in control.trips)
        raise RefusedRequestError(
            HTTPStatus.CONFLICT,
            f"{loop.id} is in FAILSAFE ({control.mode_reason}); it takes no orders until that is "
            "over",
            kind="loop-in-failsafe",
            limit=f"latched trips: {trips}" if trips else "inputs that can be trusted",
            predicted=_effect(loop, order),
        )
    if order == replace(order, valve_ratio=None, pump_ratio=None, supply_c=None):
        if not order.failsafe:
            raise RefusedRequestError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "name valve_ratio, pump_ratio or supply_c",
                kind="empty-override",
            )
        return
    for name, value, low, high in _limits(loop, order):
        if value is not None and not low <= value <= high:
            unit = " °C" if name.endswith("_c") else ""
            raise RefusedRequestError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"{name} of {value:g}{unit} is outside {low:g} to {high:g}{unit}, the limits in "
                f"force on {loop.id}; predicted effect: {_effect(loop, order)}",
                kind="outside-limits",
                limit=f"{name} {low:g}..{high:g}{unit}",
                predicted=_effect(loop, order),
            )


def _limits(loop: SteeredLoop, order: ManualOrder) -> list[tuple[str, float | None, float, float]]:
    """Name, asked, lowest and highest; the dew point raises the lowest set-point."""
    limits = loop.settings.shell
    floor_c = shell.dew_floor_c(limits, loop.control.dew_point_c)
    least_c = max(limits.supply_least_c, round(floor_c, 1))
    return [
        ("supply_c", order.supply_c, least_c, max(limits.supply_most_c, least_c)),
        ("valve_ratio", order.valve_ratio, 0.0, 1.0),
        ("pump_ratio", order.pump_ratio, limits.pump_least_ratio, 1.0),
    ]


def _effect(loop: SteeredLoop, order: ManualOrder) -> str:
    """What it would do if the limits did not hold it."""
    wide = replace(
        loop.settings.shell, supply_least_c=5.0, supply_most_c=60.0, pump_least_ratio=0.0
    )
    settings = replace(loop.settings, shell=wide)
    try:
        told = loop.predict(Supposition(order=order), EFFECT_S, settings=settings, figures=_COARSE)
    except ConfigurationError as error:
        return f"not known: {error}"
    return told.words()
