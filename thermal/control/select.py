"""Where several wishes meet one actuator: the largest wins, and it moves no faster than allowed."""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One controller's wish for an actuator."""

    source: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """Asymmetric slew: towards more cooling fast, back slowly."""

    up_per_s: float
    down_per_s: float


def largest(requests: Iterable[Request], floor: Request) -> Request:
    """The request that asks for most cooling; `floor` when none asks for more.

    A request that is not a finite number is passed over. On a tie the first named wins, the
    floor last.
    """
    best: Request | None = None
    for request in requests:
        if math.isfinite(request.value) and (best is None or request.value > best.value):
            best = request
    return best if best is not None and best.value >= floor.value else floor


def limit_rate(previous: float, wanted: float, limit: RateLimit, dt_s: float) -> float:
    """`wanted`, moved from `previous` by no more than the limit allows in `dt_s`."""
    low, high = reachable(previous, limit, dt_s)
    return min(max(wanted, low), high)


def reachable(previous: float, limit: RateLimit, dt_s: float) -> tuple[float, float]:
    """Lowest and highest value after `dt_s`; the bounds to hand to a PID step."""
    return previous - limit.down_per_s * dt_s, previous + limit.up_per_s * dt_s
