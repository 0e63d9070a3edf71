from pydantic import BaseModel, Field

from api.schemas.cordons import CordonOut
from api.schemas.values import States, Values


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
    jobs: list[str] = Field(description="ids of the jobs that hold chips of it")
