from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    WARNING = "warning"  # someone should look in working hours
    CRITICAL = "critical"  # a job, a chip or the loop is in danger now


class Place(StrEnum):
    """What a finding's subject is."""

    LOOP = "loop"  # a whole cooling loop
    CDU = "cdu"  # a CDU or one of its pumps
    SLED = "sled"  # one sled
    CHIP = "chip"  # one chip of a sled


class Family(StrEnum):
    """What kind of trouble a rule speaks of; findings of one family belong together."""

    COOLING = "cooling"  # too hot, cooled too little, or an agent's guard has acted on that
    LEAK = "leak"  # liquid where it must not be
    MEMORY = "memory"  # HBM and SRAM errors
    SILENCE = "silence"  # no telemetry
    IDENTITY = "identity"  # other hardware or firmware than belongs there


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One detector's word about one subject at one time.

    `rule` and `subject` name it; a detector repeats it each cycle for as long as it holds. `cause`
    is the id of the frame that showed it. `sled_id` is the sled of a chip or sled, else None.
    """

    rule: str
    family: Family
    severity: Severity
    subject: str
    scope: Place
    loop_id: str
    sled_id: str | None
    value: float
    limit: float
    text: str
    consequence: str
    action: str
    cause: str
    at_unix_ns: int
    peer_relative: bool = False
    """Found by comparison with peers: no cause that they share can explain it away."""
    explains: bool = False
    """A cause: what its family shows on narrower places below it may be its consequence."""
