from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from api.live import HeardLoop
from api.schemas.values import Name, Reason, States, Values, number, numbers, states, when
from fleet.topology import FleetMap


class TripOut(BaseModel):
    """An interlock that has fired and waits for a person."""

    reason: str = Field(examples=["leak at h1/cdu01"])
    since_unix_ns: int
    level: str = Field(examples=["force"])


class LoopOut(BaseModel):
    """A cooling loop as the controller last saw it; null until it has spoken."""

    id: str = Field(examples=["h1/loop01"])
    cdu_id: str = Field(description="for an air row its air handler", examples=["h1/cdu01"])
    kind: str = Field(
        description="liquid-to-liquid, liquid-to-air or air", examples=["liquid-to-liquid"]
    )
    mode: str | None = Field(examples=["auto"])
    mode_reason: str | None
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


class LoopResetIn(BaseModel):
    """A person's word that latched trips may be lifted once their reason is gone."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[Reason, Field(examples=["leak repaired, loop refilled"])]
    actor: Annotated[Name, Field(examples=["ana"])] = "api"


def loop_out(fleet_map: FleetMap, row: int, heard: HeardLoop | None, age_s: float) -> LoopOut:
    loop_id, cdu_id = fleet_map.loop_ids[row], fleet_map.cdu_ids[row]
    kind = fleet_map.kind_of_loop[row].value
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
            setpoints={},
            cdu={},
            states={},
            pumps=[],
            trips=[],
            sensor_faults={},
        )
    view = heard.view
    return LoopOut(
        id=loop_id,
        cdu_id=cdu_id,
        kind=kind,
        mode=view.mode,
        mode_reason=view.mode_reason,
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
    )
