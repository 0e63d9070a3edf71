from pydantic import BaseModel, Field

from api.schemas.values import Values


class ChipOut(BaseModel):
    """A chip's last word; `age_s` says how old it is, null when it was never heard."""

    id: str = Field(examples=["h1/us01/r1/s07/c2"])
    index: int = Field(description="row of the chip in the fleet", examples=[26])
    sled_id: str = Field(examples=["h1/us01/r1/s07"])
    job_id: str | None
    age_s: float | None
    values: Values = Field(examples=[{"junction_c": 61.2, "power_w": 843.0}])
