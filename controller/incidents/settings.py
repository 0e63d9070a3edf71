from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentSettings:
    """All are estimates, to be tuned by the people on call."""

    quiet_s: float = 30.0
    """An incident resolves when nothing of it was found for this long."""
    reopen_s: float = 300.0
    """Coming back within this long after it was resolved reopens it: flapping is one incident."""
    storm_sleds: int = 8
    """So many sleds of a loop with trouble of one family are one incident."""
    cordon_share_limit: float = 0.2
    """Cordons by incidents stop when more of the fleet than this is cordoned (EKS auto repair
    stops at 20 % of a pool)."""
    cordon_always: int = 5
    """So many sleds may be cordoned in any case (EKS auto repair: 5 nodes)."""
