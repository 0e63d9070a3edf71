from collections.abc import Iterable
from typing import Final

from agent.inputs.lenient import JsonObject
from fleet.metrics import LEAK_STATES, LeakState

# The worst speaks for all. A detector that can not be trusted is worse than a dry one: a rope
# that came loose must not look like "no leak".
_WORST_FIRST: Final = (
    LeakState.CRITICAL,
    LeakState.WARNING,
    LeakState.UNAVAILABLE,
    LeakState.OK,
    LeakState.ABSENT,
)


def worst_leak(detectors: Iterable[JsonObject]) -> float:
    """Code of the worst DetectorState; an unknown or missing one counts as Unavailable."""
    states = {_state(detector.get("DetectorState")) for detector in detectors}
    worst = next((state for state in _WORST_FIRST if state in states), LeakState.ABSENT)
    return float(LEAK_STATES.index(worst))


def _state(value: object) -> LeakState:
    return LeakState(value) if value in LEAK_STATES else LeakState.UNAVAILABLE
