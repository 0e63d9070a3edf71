from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.cordons import CordonOut
from api.schemas.values import Name, Reason, States, Values, when
from controller.enrolment.enrolment import Enrolment


class IdentityOut(BaseModel):
    """What announced itself in a sled's place, and whether it belongs there."""

    state: str = Field(examples=["enrolled"])
    serial: str = Field(examples=["SLAB04DB461277"])
    part_number: str
    nitro_serial: str
    chip_serials: list[str] = Field(description="empty where a chip does not tell its own")
    firmware: dict[str, str] = Field(examples=[{"nitro": "2.31.4"}])
    attested: bool = Field(description="a card of a trusted root has signed for it")
    announced_at: datetime
    approved_by: str | None = Field(description="the person who said that it is right")
    mismatches: list[str] = Field(description="why it is refused")


class EnrolIn(BaseModel):
    """What stands in a sled's place now is right, whatever was enrolled before."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[Reason, Field(examples=["board replaced, ticket 4711"])]
    actor: Annotated[Name, Field(examples=["ana"])] = "api"


class SledOut(BaseModel):
    """A sled's last word; `age_s` says how old it is, null when it was never heard."""

    id: str = Field(examples=["h1/us01/r1/s07"])
    loop_id: str = Field(examples=["h1/loop01"])
    ultraserver_id: str = Field(examples=["h1/us01"])
    age_s: float | None
    values: Values = Field(examples=[{"inlet_c": 40.1, "leak_state": 0.0}])
    states: States = Field(examples=[{"leak_state": "OK", "guard_level": "none"}])
    chips: list[str] = Field(examples=[["h1/us01/r1/s07/c0", "h1/us01/r1/s07/c1"]])
    cordon: CordonOut | None
    identity: IdentityOut | None = Field(description="null for one that has not announced itself")
    jobs: list[str] = Field(description="ids of the jobs that hold chips of it")


def identity_out(enrolment: Enrolment) -> IdentityOut:
    announced = enrolment.announced
    return IdentityOut(
        state=enrolment.state.value,
        serial=announced.serial,
        part_number=announced.part_number,
        nitro_serial=announced.nitro_serial,
        chip_serials=list(announced.chip_serials),
        firmware={component: word.version for component, word in announced.firmware.items()},
        attested=enrolment.attested,
        announced_at=when(enrolment.announced_at_unix_ns),
        approved_by=enrolment.approved_by or None,
        mismatches=[mismatch.text for mismatch in enrolment.mismatches],
    )
