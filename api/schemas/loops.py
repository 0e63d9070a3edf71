import hashlib
from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from api.live import HeardLoop
from api.schemas.values import Name, Reason, States, Text, Values, number, numbers, states, when
from controller.cooling.control import ManualOrder
from controller.cooling.whatif import Forecast, ForecastPoint
from fleet.topology import FleetMap


class TripOut(BaseModel):
    """An interlock that has fired and waits for a person."""

    reason: str = Field(examples=["leak at h1/cdu01"])
    since_unix_ns: int
    level: str = Field(examples=["force"])


class OverrideOut(BaseModel):
    """What a person has asked of a loop, until it runs out by itself."""

    mode: str = Field(description="auto with another set-point, manual, or failsafe")
    supply_c: float | None
    valve_ratio: float | None
    pump_ratio: float | None
    actor: str = Field(examples=["ana"])
    reason: str = Field(examples=["balancing valves"])
    since: datetime
    until: datetime


class LoopOut(BaseModel):
    """A cooling loop as the controller last saw it; null until it has spoken."""

    id: str = Field(examples=["h1/loop01"])
    cdu_id: str = Field(description="for an air row its air handler", examples=["h1/cdu01"])
    kind: str = Field(
        description="liquid-to-liquid, liquid-to-air or air", examples=["liquid-to-liquid"]
    )
    mode: str | None = Field(examples=["auto"])
    mode_reason: str | None
    law: str | None = Field(description="what moves it in auto", examples=["mpc"])
    at: datetime | None = Field(description="when the controller looked")
    age_s: float | None = Field(description="since this server heard of it")
    cdu_age_s: float | None = Field(description="since the CDU was heard")
    setpoints: Values = Field(examples=[{"supply_c": 40.0, "pump_ratio": 0.7}])
    cdu: Values = Field(examples=[{"supply_c": 40.1, "control_mode": 1.0}])
    states: States = Field(examples=[{"control_mode": "remote", "cdu_leak_state": "OK"}])
    pumps: list[Values]
    trips: list[TripOut]
    sensor_faults: dict[str, str] = Field(
        description="sensors that are not used, and why",
        examples=[{"secondary_flow_lpm": "stale for 6 s"}],
    )
    margins: Values = Field(
        description="how far the loop is from its limits, and what was learnt of it",
        examples=[{"time_to_throttle_s": 8.1, "spare_valve_ratio": 0.4, "dew_margin_k": 21.0}],
    )
    override: OverrideOut | None = Field(description="a person's, while it is in force")
    version: str = Field(
        description="of mode, trips and override; also in ETag, wanted by If-Match",
        examples=["1f0c9a52b7e3d418"],
    )


class LoopResetIn(BaseModel):
    """A person's word that latched trips may be lifted once their reason is gone."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[Reason, Field(examples=["leak repaired, loop refilled"])]
    actor: Annotated[Name, Field(examples=["ana"])] = "api"


_NUMBER: Final = Field(allow_inf_nan=False, ge=-100.0, le=1000.0)
_For = Annotated[float, Field(ge=10.0, le=86_400.0, description="then the loop is free again")]


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Annotated[
        Text,
        Field(examples=["balancing valves"], description="without one nothing is taken"),
    ] = ""
    actor: Annotated[Name, Field(examples=["ana"])] = "api"
    for_s: _For = 3600.0


class SetpointIn(_Order):
    """Another supply set-point, which the law goes on to hold."""

    supply_c: Annotated[float, _NUMBER, Field(examples=[38.0])]


class OverrideMode(StrEnum):
    MANUAL = "manual"  # valve or pumps, and maybe the set-point, stand where they are told
    FAILSAFE = "failsafe"  # full cooling


class OverrideIn(_Order):
    """What is not named is left to the law; the safety shell holds for all of it."""

    mode: OverrideMode = OverrideMode.MANUAL
    valve_ratio: Annotated[float, _NUMBER] | None = None
    pump_ratio: Annotated[float, _NUMBER] | None = None
    supply_c: Annotated[float, _NUMBER] | None = None


class ReleaseIn(BaseModel):
    """The end of an override before its time."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason
    actor: Name = "api"


class WhatIfIn(BaseModel):
    """What is supposed to change now; what is not named stays as it is."""

    model_config = ConfigDict(extra="forbid")

    supply_c: Annotated[float, _NUMBER] | None = None
    valve_ratio: Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)] | None = None
    pump_ratio: Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)] | None = None
    pumps_out: Annotated[int, Field(ge=0, le=16)] = 0
    load_ratio: (
        Annotated[
            float, Field(ge=0.0, le=10.0, allow_inf_nan=False, description="over the present")
        ]
        | None
    ) = None
    facility_c: Annotated[float, _NUMBER] | None = None
    dew_point_c: Annotated[float, _NUMBER] | None = None
    horizon_s: Annotated[float, Field(ge=10.0, le=1800.0, allow_inf_nan=False)] = 300.0


class WhatIfPoint(BaseModel):
    """One moment; low and high bound what the controller does not know."""

    at_s: float
    supply_c: float | None
    return_c: float | None
    junction_c: float | None = Field(description="of the worst chips")
    junction_low_c: float | None
    junction_high_c: float | None
    flow_lpm: float | None
    dew_margin_k: float | None
    dew_margin_low_k: float | None
    dew_margin_high_k: float | None
    valve_ratio: float | None
    pump_ratio: float | None
    mode: str


class WhatIfOut(BaseModel):
    """Trajectories of the controller's own cycle on its own model; nothing was sent."""

    loop: str
    effect: str = Field(description="the worst of it in one line")
    peak_junction_c: float | None
    peak_return_c: float | None
    least_dew_margin_k: float | None
    trips: list[str] = Field(description="interlocks that would fire")
    points: list[WhatIfPoint]


def forecast_out(loop_id: str, told: Forecast) -> WhatIfOut:
    names = [one.name for one in fields(ForecastPoint) if one.name != "mode"]
    points = [
        WhatIfPoint.model_validate(
            {"mode": point.mode, **{name: number(getattr(point, name)) for name in names}}
        )
        for point in told.points
    ]
    return WhatIfOut(
        loop=loop_id,
        effect=told.words(),
        peak_junction_c=number(told.peak_junction_c),
        peak_return_c=number(told.peak_return_c),
        least_dew_margin_k=number(told.least_dew_margin_k),
        trips=list(told.trips),
        points=points,
    )


def override_out(order: ManualOrder) -> OverrideOut:
    return OverrideOut(
        mode=order.mode.value,
        supply_c=number(order.supply_c),
        valve_ratio=number(order.valve_ratio),
        pump_ratio=number(order.pump_ratio),
        actor=order.actor,
        reason=order.reason,
        since=when(order.since_unix_ns),
        until=when(order.until_unix_ns),
    )


def version_of(heard: HeardLoop | None, order: ManualOrder | None) -> str:
    """Changes with what a person decides on, not with each second's set-points."""
    mode = None if heard is None else heard.view.mode
    trips = [] if heard is None else sorted(trip.reason for trip in heard.view.trips)
    return hashlib.blake2b(repr((mode, trips, order)).encode(), digest_size=8).hexdigest()


def loop_out(
    fleet_map: FleetMap,
    row: int,
    heard: HeardLoop | None,
    age_s: float,
    order: ManualOrder | None = None,
) -> LoopOut:
    loop_id, cdu_id = fleet_map.loop_ids[row], fleet_map.cdu_ids[row]
    kind = fleet_map.kind_of_loop[row].value
    override = None if order is None else override_out(order)
    version = version_of(heard, order)
    if heard is None:
        return LoopOut(
            id=loop_id,
            cdu_id=cdu_id,
            kind=kind,
            mode=None,
            mode_reason=None,
            at=None,
            age_s=None,
            cdu_age_s=None,
            law=None,
            setpoints={},
            cdu={},
            states={},
            pumps=[],
            trips=[],
            sensor_faults={},
            margins={},
            override=override,
            version=version,
        )
    view = heard.view
    return LoopOut(
        id=loop_id,
        cdu_id=cdu_id,
        kind=kind,
        mode=view.mode,
        mode_reason=view.mode_reason,
        law=view.law or None,
        at=when(view.at_unix_ns),
        age_s=number(age_s),
        cdu_age_s=number(None if view.cdu_age_s is None else view.cdu_age_s + age_s),
        setpoints=numbers(view.setpoints),
        cdu=numbers(view.cdu),
        states=states(view.cdu),
        pumps=[numbers(pump) for pump in view.pumps],
        trips=[
            TripOut(reason=trip.reason, since_unix_ns=trip.since_unix_ns, level=trip.level)
            for trip in view.trips
        ],
        sensor_faults=view.sensor_faults,
        margins=numbers(view.margins),
        override=override,
        version=version,
    )
