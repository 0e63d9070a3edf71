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
from fleet.topology import LoopKind

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


def steered_loop(loop_id: str, heard: HeardLoop | None, chips: int, kind: LoopKind) -> SteeredLoop:
    """Raises RefusedRequestError for a loop that no controller steers now."""
    control = None if heard is None else control_of(heard.view)
    if control is None:
        raise RefusedRequestError(
            HTTPStatus.CONFLICT,
            f"{loop_id} is not steered by a controller: it is air-cooled, or not heard yet",
            kind="not-steered",
        )
    base = CoolingSettings.sized(chips, kind)
    # Without an override the law goes on to hold what it holds now.
    policy = replace(base.policy, supply_c=control.setpoints.supply_c)
    return SteeredLoop(
        id=loop_id, control=control, settings=replace(base, law=control.law_name, policy=policy)
    )


def check_version(
    given: str | None, loop_id: str, heard: HeardLoop | None, standing: ManualOrder | None
) -> None:
    """428 without If-Match, 412 for one of another time."""
    if given is None:
        raise RefusedRequestError(
            HTTPStatus.PRECONDITION_REQUIRED,
            f"name the version of {loop_id} that you have seen in If-Match",
            kind="no-version",
        )
    now = version_of(heard, standing)
    if given.strip().removeprefix("W/").strip('"') not in {now, "*"}:
        raise RefusedRequestError(
            HTTPStatus.PRECONDITION_FAILED,
            f"{loop_id} has changed since you looked (mode, trips or override): look again, "
            "then decide",
            kind="stale-version",
        )


def with_effect(refused: RefusedRequestError, loop: SteeredLoop, order: ManualOrder) -> Exception:
    """The same refusal, with the limits in force on the loop and what the order would do."""
    return _refused(loop, order, refused.status, refused.detail, str(refused.kind))


def check_order(loop: SteeredLoop, order: ManualOrder) -> None:
    """Raises RefusedRequestError naming the limit in force and the predicted effect."""
    control = loop.control
    wrong = HTTPStatus.UNPROCESSABLE_ENTITY
    if not order.reason.strip():
        raise _refused(loop, order, wrong, "an order needs a reason, for the record", "no-reason")
    if not order.failsafe and control.mode is Mode.FAILSAFE:
        trips = ", ".join(trip.reason.value for trip in control.trips)
        raise _refused(
            loop,
            order,
            HTTPStatus.CONFLICT,
            f"{loop.id} is in FAILSAFE ({control.mode_reason}); it takes no orders until that is "
            "over",
            "loop-in-failsafe",
            limit=f"latched trips: {trips}" if trips else "inputs that can be trusted",
        )
    asked = [limit for limit in _limits(loop, order) if limit.asked is not None]
    if not asked and not order.failsafe:
        raise RefusedRequestError(
            wrong, "name valve_ratio, pump_ratio or supply_c", kind="empty-override"
        )
    for limit in asked:
        if not limit.holds:
            detail = f"{limit.name} of {limit.asked:g}{limit.unit} is outside the limits"
            raise _refused(loop, order, wrong, detail, "outside-limits", limit=str(limit))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    name: str
    asked: float | None
    low: float
    high: float

    @property
    def holds(self) -> bool:
        return self.asked is None or self.low <= self.asked <= self.high

    @property
    def unit(self) -> str:
        return " °C" if self.name.endswith("_c") else ""

    def __str__(self) -> str:
        return f"{self.name} {self.low:g}..{self.high:g}{self.unit}"


def _refused(
    loop: SteeredLoop,
    order: ManualOrder,
    status: HTTPStatus,
    detail: str,
    kind: str,
    *,
    limit: str | None = None,
) -> RefusedRequestError:
    limit = limit or ", ".join(map(str, _limits(loop, order)))
    effect = _effect(loop, order)
    return RefusedRequestError(
        status,
        f"{detail}; limit in force on {loop.id}: {limit}; predicted effect: {effect}",
        kind=kind,
        limit=limit,
        predicted=effect,
    )


def _limits(loop: SteeredLoop, order: ManualOrder) -> tuple[_Limit, ...]:
    """The dew point raises the lowest set-point."""
    limits = loop.settings.shell
    floor_c = shell.dew_floor_c(limits, loop.control.dew_point_c)
    least_c = max(limits.supply_least_c, round(floor_c, 1))
    most_c = max(limits.supply_most_c, least_c)
    return (
        _Limit(name="supply_c", asked=order.supply_c, low=least_c, high=most_c),
        _Limit(name="valve_ratio", asked=order.valve_ratio, low=0.0, high=1.0),
        _Limit(name="pump_ratio", asked=order.pump_ratio, low=limits.pump_least_ratio, high=1.0),
    )


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
