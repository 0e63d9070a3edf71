"""Parts of URLs and headers that several routes share."""

from typing import Annotated, Final

from fastapi import Header, Path

_ID: Final = r"^[A-Za-z0-9._:@/-]+$"

FleetId = Annotated[str, Path(min_length=1, max_length=200, pattern=_ID)]
"""A place of the fleet; the slashes of the id are slashes of the path."""
RowId = Annotated[str, Path(min_length=1, max_length=200, pattern=_ID)]
"""A job, incident or webhook."""
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=150,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key with the same body gives the same job, however often it is sent.",
    ),
]
