from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.schemas.values import Name, when
from controller.placement.job import Job, JobState


class JobIn(BaseModel):
    """A gang of chips of one UltraServer that serves one model."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "chat-1", "model": "llama-3-70b", "chips": 16, "tensor_parallel": 4}
            ]
        },
    )

    name: Name
    model: Name
    chips: Annotated[int, Field(ge=1, le=100_000)]
    tensor_parallel: Annotated[int, Field(ge=1, le=1024)] = 1
    priority: Annotated[int, Field(ge=-1000, le=1000, description="higher goes first")] = 0

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.chips % self.tensor_parallel:
            raise ValueError(
                f"chips ({self.chips}) must be a multiple of tensor_parallel "
                f"({self.tensor_parallel})"
            )
        return self


class ShareOut(BaseModel):
    """What one sled runs of a job; chips count from 0 inside the sled."""

    sled_id: str
    chips: list[int]


class JobOut(BaseModel):
    id: str
    name: str
    model: str
    chips: int
    tensor_parallel: int
    priority: int
    submitted_at: datetime
    state: JobState
    attempt: int = Field(description="placements so far")
    cancel_requested: bool
    placement: list[ShareOut]
    reasons: list[str] = Field(
        description="why it waits",
        examples=[["needs 16 chips in one UltraServer; h1/us01 has 12 free"]],
    )


def job_out(job: Job) -> JobOut:
    shares = job.placement.shares if job.placement is not None else ()
    return JobOut(
        id=job.id,
        name=job.name,
        model=job.model,
        chips=job.chips,
        tensor_parallel=job.tensor_parallel,
        priority=job.priority,
        submitted_at=when(job.submitted_at_unix_ns),
        state=job.state,
        attempt=job.attempt,
        cancel_requested=job.cancel_requested,
        placement=[ShareOut(sled_id=share.sled_id, chips=list(share.chips)) for share in shares],
        reasons=list(job.reasons),
    )


def job_of(body: JobIn, job_id: str, at_unix_ns: int) -> Job:
    return Job(
        id=job_id,
        name=body.name,
        model=body.model,
        chips=body.chips,
        tensor_parallel=body.tensor_parallel,
        priority=body.priority,
        submitted_at_unix_ns=at_unix_ns,
        state_since_unix_ns=at_unix_ns,
    )
