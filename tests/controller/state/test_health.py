import pytest

from controller.state.health import HealthSettings, sled_health
from tests.controller.spoken import SpokenFleet

SLED = "h1/us01/r1/s01"


@pytest.mark.parametrize(
    ("metric", "value", "words"),
    [
        ("power_state", 0.0, "not powered"),
        ("guard_level", 1.0, "guard"),
        ("leak_state", 1.0, "leak"),
        ("leak_state", 3.0, "leak"),
        ("leak_state", float("nan"), "leak"),
    ],
)
def test_a_sled_that_is_not_well_says_why(metric: str, value: float, words: str) -> None:
    health = sled_health(SpokenFleet(sled={SLED: {metric: value}}).tick(), HealthSettings())
    assert not health.ok[0]
    assert health.ok[1]
    assert [words in reason for reason in health.reasons(0)] == [True]


def test_a_sled_without_leak_detector_is_well() -> None:
    health = sled_health(SpokenFleet(sled={SLED: {"leak_state": 4.0}}).tick(), HealthSettings())
    assert health.ok.all()


def test_a_silent_sled_is_not_judged_by_its_memories() -> None:
    fleet = SpokenFleet()
    fleet.tick()
    fleet.silent = {SLED}
    for _ in range(6):
        snapshot = fleet.tick()
    health = sled_health(snapshot, HealthSettings())
    assert health.reasons(0) == ("no fresh telemetry",)
    assert health.reasons(1) == ()
