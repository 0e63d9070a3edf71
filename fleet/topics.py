import zlib
from dataclasses import dataclass, replace
from typing import Final, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic and how it is laid out; every key lands in a partition that all sides can compute."""

    name: str
    partitions: int
    by_loop: bool = False
    """Keyed by cooling loop, and spread: how wide is the installation's choice."""
    compacted: bool = False
    retention_s: float = 86_400.0
    volatile: bool = False
    """Worth nothing after a restart, so a bus of one process keeps it in memory alone."""

    def spread(self, partitions: int) -> Self:
        """As it is laid out where loops are spread over so many partitions."""
        return replace(self, partitions=partitions) if self.by_loop else self

    def partition_of(self, key: str) -> int:
        return zlib.crc32(key.encode()) % self.partitions


MAX_MESSAGE_BYTES: Final = 8 * 2**20
"""The longest message that every side takes."""

LOOP_PARTITIONS: Final = 8
"""Unless the installation says otherwise; no more controllers than that can share the loops."""

TELEMETRY: Final = Topic(name="isotherm.telemetry", partitions=LOOP_PARTITIONS, by_loop=True)
COMMANDS: Final = Topic(
    name="isotherm.commands", partitions=LOOP_PARTITIONS, by_loop=True, retention_s=3600
)
ACKS: Final = Topic(
    name="isotherm.acks", partitions=LOOP_PARTITIONS, by_loop=True, retention_s=3600
)
EVENTS: Final = Topic(name="isotherm.events", partitions=1)
LIVE: Final = Topic(  # key: cooling loop
    name="isotherm.live", partitions=1, retention_s=600, volatile=True
)
SCHEMAS: Final = Topic(name="isotherm.schemas", partitions=1, compacted=True)  # key: schema id
DEAD_LETTERS: Final = Topic(name="isotherm.dead-letters", partitions=1)  # key: reason

TOPICS: Final = (TELEMETRY, COMMANDS, ACKS, EVENTS, LIVE, SCHEMAS, DEAD_LETTERS)
