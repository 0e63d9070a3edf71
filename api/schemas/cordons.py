from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.values import Name, Reason, when
from controller.placement.job import Cordon


class CordonIn(BaseModel):
    """Keep new work off a sled; what runs there may finish."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[Reason, Field(examples=["swap of the second cold plate"])]
    actor: Annotated[Name, Field(examples=["ana"])] = "api"


class CordonOut(BaseModel):
    reason: str
    since: datetime
    incident_id: str | None = Field(description="set when an incident asked for it")


def cordon_out(cordon: Cordon) -> CordonOut:
    return CordonOut(
        reason=cordon.reason, since=when(cordon.since_unix_ns), incident_id=cordon.incident_id
    )
