import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.history.completeness import (
    Completeness,
    Declared,
    Ticks,
    account,
    ticks_by_seat,
    without,
)
from fleet.clock import NS_PER_S
from tests.controller.history.kept import T0_NS, noise, times, windows


def heard(seqs: list[int], *, epoch: int = 1, first_s: int = 0) -> Ticks:
    """One tick a frame, at the second of its number."""
    numbers = np.array(seqs, np.int64)
    return Ticks(
        at_unix_ns=T0_NS + (first_s + numbers) * NS_PER_S,
        epochs=np.full(len(seqs), epoch, np.int64),
        seqs=numbers,
    )


def counted(
    ticks: Ticks, declared: list[Declared] | None = None, *, from_s: int = 0, until_s: int = 1000
) -> Completeness:
    return account(
        ticks,
        declared or [],
        from_unix_ns=T0_NS + from_s * NS_PER_S,
        until_unix_ns=T0_NS + until_s * NS_PER_S,
    )


def lost(first: int, last: int, epoch: int = 1) -> Declared:
    return Declared(epoch=epoch, first_seq=first, last_seq=last)


def test_a_hole_is_missing_until_it_is_declared() -> None:
    ticks = heard([*range(5, 20), *range(25, 40)])
    found = counted(ticks)
    assert (found.expected, found.received, found.missing) == (35, 30, 5)
    assert not found.complete
    half = counted(ticks, [lost(18, 22)])
    assert (half.declared, half.missing) == (3, 2)
    whole = counted(ticks, [lost(0, 22), lost(21, 24), lost(1, 100, epoch=2)])
    assert (whole.declared, whole.missing, whole.complete) == (5, 0, True)
    assert counted(ticks, [lost(20, 0)]).complete


def test_a_hole_at_the_edge_shows_by_what_is_beyond() -> None:
    ticks = heard([*range(5, 20), *range(25, 40)])
    assert counted(ticks, from_s=10, until_s=20).missing == 5
    assert counted(ticks, from_s=25, until_s=30).missing == 5
    assert counted(ticks, from_s=30, until_s=35).complete


def test_a_new_life_begins_with_its_first_frame() -> None:
    old, new = heard([7, 8, 9]), heard([3, 4], epoch=2, first_s=20)
    both = Ticks(
        at_unix_ns=np.concatenate((old.at_unix_ns, new.at_unix_ns)),
        epochs=np.concatenate((old.epochs, new.epochs)),
        seqs=np.concatenate((old.seqs, new.seqs)),
    )
    assert counted(both).missing == 2
    assert counted(new).missing == 0


def test_silence_is_not_complete() -> None:
    nothing = counted(heard([1, 2, 3]), from_s=100)
    assert (nothing.expected, nothing.complete, nothing.last_unix_ns) == (0, False, None)


@pytest.mark.parametrize("far", [2**40, 2**62])
def test_a_leap_of_the_numbers_costs_no_memory(far: int) -> None:
    ticks = Ticks(
        at_unix_ns=T0_NS + np.arange(2, dtype=np.int64),
        epochs=np.ones(2, np.int64),
        seqs=np.array([1, far], np.int64),
    )
    assert counted(ticks).missing == far - 2


def test_windows_say_what_each_seat_sent() -> None:
    at = times(3, 200)
    at[1, 50:60] = -1
    blocks = [b for b in windows("g", at, {"junction_c": noise(3, 200)}) if b.metric == "@times"]
    seats = ticks_by_seat(blocks, 3)
    assert [len(np.unique(ticks.seqs)) for ticks in seats] == [200, 190, 200]
    assert [counted(ticks).missing for ticks in seats] == [0, 10, 0]
    assert [len(ticks.seqs) for ticks in ticks_by_seat(blocks, 4)] == [0] * 4


RANGES = st.lists(
    st.tuples(st.integers(-5, 40), st.integers(0, 9)).map(lambda pair: (pair[0], sum(pair))),
    max_size=6,
)


@given(first=st.integers(0, 20), length=st.integers(0, 20), taken=RANGES)
def test_what_is_left_of_a_range(first: int, length: int, taken: list[tuple[int, int]]) -> None:
    wanted = set(range(first, first + length + 1)) - {n for a, b in taken for n in range(a, b + 1)}
    left = without((first, first + length), taken)
    assert [n for a, b in left for n in range(a, b + 1)] == sorted(wanted)
