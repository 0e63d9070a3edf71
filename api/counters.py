from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Counters:
    """What this process has counted since its start; `/metrics` shows all of it."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By method and status."""
    sockets_refused: Counter[str] = field(default_factory=Counter)
    """WebSocket handshakes by reason."""
    sockets_expelled: Counter[str] = field(default_factory=Counter)
    """Viewers closed for what they sent, by reason."""
    planes_sent: int = 0
    planes_replaced: int = 0
    """Planes that a slow viewer never got because a newer one came first."""
    live_views: int = 0
    live_malformed: int = 0
    live_errors: int = 0
    nudges_failed: int = 0
