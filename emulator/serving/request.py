"""One request on its way through the hall, and what became of it."""

from array import array
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True, eq=False)
class Request:
    """As it was asked for, and where it stands; there are many, so it is changed in place."""

    arrived_s: float
    """The same through retries and hand-overs."""
    prompt_tokens: int
    output_tokens: int
    serial: int = 0
    """Counted by the service that took it."""
    blocks: tuple[int, ...] = ()
    """Ids of the whole prefix blocks of the prompt; equal ids have equal content."""
    retries: int = 0
    ready_s: float = 0.0
    """When its data are at the replica where it waits."""
    queue_s: float = 0.0
    """Spent in queues so far."""
    first_token_s: float | None = None
    """When the first token came; None: the prompt is still to be computed."""
    needed_blocks: int = 0
    """Of KV cache, at the replica where it is."""

    def begin_again(self) -> None:
        """All that was done for it is lost."""
        self.retries += 1
        self.first_token_s = None


class Completion(NamedTuple):
    """What became of a request, in seconds since it arrived."""

    serial: int
    ttft_s: float
    tpot_s: float
    latency_s: float
    queue_s: float
    prompt_tokens: int
    output_tokens: int
    retries: int


COLUMNS: Final = {name: column for column, name in enumerate(Completion._fields)}


def columns_of(completions: "array[float]") -> NDArray[np.float64]:
    """[completions, fields of Completion] of rows that were written one after the other."""
    return np.array(completions).reshape(-1, len(COLUMNS))
