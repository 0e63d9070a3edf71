from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.values import Name, Reason


class GuardResetIn(BaseModel):
    """Let a sled's guard lift what it has latched; it refuses while the danger is measured."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[Reason, Field(examples=["hose replaced, flow is back"])]
    actor: Annotated[Name, Field(examples=["ana"])] = "api"
