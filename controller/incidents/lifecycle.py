from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from controller.anomaly.finding import Finding
from controller.incidents.incident import Acknowledgement, Incident, IncidentEffect


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentSettings:
    """All are estimates to be tuned by the people on call."""

    quiet_s: float = 30.0
    """An incident resolves when nothing of it was found for this long."""
    reopen_s: float = 300.0
    """Coming back within this long after it was resolved reopens it: flapping is one incident."""
    cordon_share_limit: float = 0.2
    """Cordons by incidents stop when they hold more of the fleet than this (EKS auto repair
    stops at 20 % of a pool)."""
    cordon_always: int = 5
    """So many sleds may be cordoned in any case (EKS auto repair: 5 nodes)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentBook:
    """Every incident that is open or was resolved lately, by key."""

    incidents: Mapping[str, Incident] = field(default_factory=dict)

    @classmethod
    def of(cls, incidents: Iterable[Incident]) -> "IncidentBook":
        """The book as a store kept it; of incidents with one key the newest counts."""
        newest = sorted(incidents, key=lambda incident: incident.opened_at_unix_ns)
        return cls(incidents={incident.key: incident for incident in newest})


def step(
    book: IncidentBook,
    findings: Iterable[Finding],
    *,
    at_unix_ns: int,
    acks: Iterable[Acknowledgement] = (),
    cordoned: Set[str] = frozenset(),
    sleds: int = 0,
    settings: IncidentSettings,
) -> tuple[IncidentBook, tuple[IncidentEffect, ...]]:
    """One cycle. `cordoned` are the sleds under a cordon now, `sleds` how many the fleet has."""
    raise NotImplementedError
