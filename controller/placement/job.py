from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class JobState(StrEnum):
    PENDING = "pending"  # waits for chips; `reasons` says why
    STARTING = "starting"  # sent to its sleds, not all have answered
    RUNNING = "running"  # every sled of the gang has started its share
    STOPPING = "stopping"  # cancelled, not all sleds have answered
    STOPPED = "stopped"  # cancelled by a person; the end
    FAILED = "failed"  # can never run, or failed too often; the end


LIVE_STATES = frozenset({JobState.STARTING, JobState.RUNNING, JobState.STOPPING})
"""States in which a job holds the chips of its placement."""

FINAL_STATES = frozenset({JobState.STOPPED, JobState.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The part of a gang that one sled runs; `chips` count from 0 inside the sled."""

    sled_id: str
    chips: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a gang runs: shares on sleds of one UltraServer, in fleet order."""

    ultraserver_id: str
    shares: tuple[Share, ...]

    @property
    def sled_ids(self) -> tuple[str, ...]:
        return tuple(share.sled_id for share in self.shares)

    @property
    def chips(self) -> int:
        return sum(len(share.chips) for share in self.shares)


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Chips that an earlier attempt still holds until its sleds have stopped, or time is up."""

    attempt: int
    placement: Placement
    since_unix_ns: int
    stopped_sleds: frozenset[str] = frozenset()
    sent_at_unix_ns: int = 0
    sends: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A gang of chips that serves one model; higher `priority` goes first.

    `attempt` counts placements from 1; 0 before the first. `answered_sleds` are those of the
    current attempt that have started (or, when STOPPING, stopped) their share.
    """

    id: str
    name: str
    model: str
    chips: int
    tensor_parallel: int
    priority: int
    submitted_at_unix_ns: int
    state: JobState = JobState.PENDING
    state_since_unix_ns: int = 0
    attempt: int = 0
    placement: Placement | None = None
    reasons: tuple[str, ...] = ()
    cancel_requested: bool = False
    answered_sleds: frozenset[str] = frozenset()
    sent_at_unix_ns: int = 0
    """When the commands of this attempt were last sent."""
    sends: int = 0
    """How often they were sent."""
    failures: int = 0
    """Attempts in a row that did not start."""
    avoid: tuple[str, ...] = ()
    """Sleds that did not start the last attempts; others are tried first."""
    departures: tuple[Departure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cordon:
    """No new work for a sled. `incident_id` is set when an incident asked for it: then what runs
    there is moved; under a person's cordon it may finish. Only a person lifts either.
    """

    sled_id: str
    reason: str
    since_unix_ns: int
    incident_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    job_id: str
    attempt: int
    placement: Placement
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    job_id: str
    attempt: int
    placement: Placement
    reason: str
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Stop an attempt and start the next one elsewhere; `to` is None when no place is free yet:
    then the job stops and waits.
    """

    job_id: str
    attempt: int
    origin: Placement
    to: Placement | None
    reason: str
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What placement proposes on one snapshot.

    `reasons` has a row for each job that waits, `rejects` for each that can never run.
    """

    starts: tuple[Start, ...]
    stops: tuple[Stop, ...]
    moves: tuple[Move, ...]
    reasons: Mapping[str, tuple[str, ...]]
    rejects: Mapping[str, str] = field(default_factory=dict)
