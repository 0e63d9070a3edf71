import math

from hypothesis import given
from hypothesis import strategies as st

from thermal.control.select import RateLimit, Request, largest, limit_rate

FLOOR = Request(source="floor", value=0.3)
LIMIT = RateLimit(up_per_s=0.05, down_per_s=0.01)
values = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(values))
def test_nothing_ever_wins_below_the_floor_nor_as_nonsense(wishes: list[float]) -> None:
    won = largest([Request(source=str(wish), value=wish) for wish in wishes], FLOOR)
    assert math.isfinite(won.value)
    assert won.value >= FLOOR.value
    assert all(won.value >= wish for wish in wishes if math.isfinite(wish))


def test_the_winner_is_named_and_the_first_wins_a_tie() -> None:
    requests = [Request(source="junction", value=0.7), Request(source="dp", value=0.7)]
    assert largest(requests, FLOOR).source == "junction"
    assert largest([], FLOOR) is FLOOR


@given(st.floats(0, 1), st.floats(-5, 5), st.floats(0.0, 30.0))
def test_the_slew_is_never_exceeded(previous: float, wanted: float, dt_s: float) -> None:
    moved = limit_rate(previous, wanted, LIMIT, dt_s) - previous
    assert -LIMIT.down_per_s * dt_s - 1e-12 <= moved <= LIMIT.up_per_s * dt_s + 1e-12
    assert abs(moved) <= abs(wanted - previous) + 1e-12


def test_up_is_faster_than_down() -> None:
    assert limit_rate(0.5, 1.0, LIMIT, 1.0) - 0.5 > 0.5 - limit_rate(0.5, 0.0, LIMIT, 1.0)
