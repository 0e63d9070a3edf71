"""What one transaction of history holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from controller.history.window import Sealed, Window
from controller.ingest.sequence import Life
from controller.store.marks import Mark

Ranges = tuple[tuple[int, int], ...]


@dataclass(slots=True, kw_only=True)
class Waiter:
    """A window that takes no more ticks and is not written yet; sealed by the first try to."""

    group: int
    agents: tuple[int, ...]
    """Rows of the agents with frames in it."""
    window: Window | None
    sealed: Sealed | None = None

    @property
    def bytes(self) -> int:
        if self.sealed is not None:
            return self.sealed.bytes
        return 0 if self.window is None else self.window.memory_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Holes:
    """Sequence numbers of one life that have not come, and those that are not written."""

    agent: str
    missing: Ranges
    unwritten: Ranges


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Windows, and how far was read when they were closed: written together or not at all."""

    waiting: tuple[Waiter, ...]
    marks: Sequence[Mark]
    holes: Mapping[Life, Holes]
    forgotten: Mapping[str, int]
    """Agent -> its oldest life that is still remembered."""
    offsets: Mapping[str, Mapping[int, int]]
    """Topic -> partition -> offset to read next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a batch has put into the store."""

    windows: int = 0
    samples: int = 0
    bytes: int = 0
    settled: frozenset[Life] = field(default_factory=frozenset)
    """Whose holes are in the ledger as they are."""
