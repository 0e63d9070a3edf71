from datetime import datetime

from pydantic import BaseModel, Field


class AgentCompletenessOut(BaseModel):
    """What of one agent's frames is in history."""

    agent: str = Field(examples=["h1/us01/r1/s07"])
    expected: int = Field(description="received, and the holes in and next to what was received")
    received: int
    declared: int = Field(description="will not come, by the agent's own word")
    missing: int = Field(description="neither received nor declared")
    late_filled: int = Field(description="of any time: missing once, and came after all")
    complete: bool = Field(description="every frame was received or is declared")
    first_at: datetime | None
    last_at: datetime | None = Field(description="of the newest tick: earlier if it fell silent")


class CompletenessOut(BaseModel):
    """The account of every frame in a span of time."""

    from_: datetime = Field(serialization_alias="from")
    until: datetime
    ticks_kept_since: datetime | None = Field(
        description="Frames of earlier times are only in statistics, and not accounted for here."
    )
    complete_until: datetime | None = Field(
        description="Newer frames of some agent asked for may still be in memory."
    )
    complete: bool
    agents: list[AgentCompletenessOut]
