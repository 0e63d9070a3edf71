"""What one service has done so far, as counts and percentiles."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emulator.serving.latency import Durations
from emulator.serving.request import COLUMNS


@dataclass(slots=True)
class Tally:
    """Counts since the service began; see `ServingReport` for what each is."""

    arrived: int = 0
    completed: int = 0
    refused: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    hit_tokens: int = 0
    looked_up_tokens: int = 0
    moved_cache_bytes: float = 0.0
    ttft: Durations = field(default_factory=Durations)
    tpot: Durations = field(default_factory=Durations)
    queue: Durations = field(default_factory=Durations)
    latency: Durations = field(default_factory=Durations)

    def add(self, answered_rows: NDArray[np.float64]) -> None:
        """Count requests that have their last token: [completions, fields of Completion]."""
        if not len(answered_rows):
            return
        each = dict(zip(COLUMNS, answered_rows.T, strict=True))
        self.completed += len(answered_rows)
        self.ttft.add(each["ttft_s"])
        # A single token has no time between tokens.
        self.tpot.add(each["tpot_s"][each["output_tokens"] > 1.0])
        self.latency.add(each["latency_s"])
        self.queue.add(each["queue_s"])
        self.prompt_tokens += int(each["prompt_tokens"].sum())
        self.output_tokens += int(each["output_tokens"].sum())

    def take(self, other: "Tally") -> None:
        """Add another service's."""
        for name in self.__slots__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, Durations):
                mine.take(theirs)
            else:
                setattr(self, name, mine + theirs)
