import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from controller.ingest.sequence import MAX_EPOCHS, MAX_RANGES, Arrival, Sequences
from controller.state.roster import Roster
from controller.store.marks import Mark
from tests.controller.spoken import small_map

ROSTER = Roster(small_map())
A, B = ROSTER.agents[:2]


def known(epoch: int, last_seq: int) -> Sequences:
    return Sequences(ROSTER, [Mark(agent=A, epoch=epoch, last_seq=last_seq)])


def take(sequences: Sequences, epochs: list[int], seqs: list[int]) -> list[bool]:
    """One slab of the first agents of the roster, an entry each."""
    rows = np.arange(len(seqs))
    taken = sequences.take(rows, np.array(epochs), np.array(seqs), distinct=True)
    return [bool(fresh) for fresh in taken.fresh]


@given(seqs=st.lists(st.integers(1, 25), min_size=1, max_size=60))
def test_each_frame_counts_once_and_every_hole_is_known(seqs: list[int]) -> None:
    sequences = known(1, 0)
    counted: list[int] = []
    missed_total, late_total = 0, 0
    for seq in seqs:
        arrival, missed = sequences.take_one(0, 1, seq)
        missed_total += missed
        late_total += arrival is Arrival.LATE
        if arrival is not Arrival.DUPLICATE:
            counted.append(seq)
    assert sorted(counted) == sorted(set(seqs))
    assert missed_total - late_total == max(seqs) - len(set(seqs))


@given(steps=st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)), max_size=30))
def test_slabs_and_single_frames_are_judged_alike(steps: list[tuple[int, int]]) -> None:
    together, alone = Sequences(ROSTER), Sequences(ROSTER)
    for pair in steps:
        one_by_one = [
            alone.take_one(row, 1, seq)[0] is not Arrival.DUPLICATE for row, seq in enumerate(pair)
        ]
        assert take(together, [1, 1], list(pair)) == one_by_one
    assert together.marks([0, 1], {}) == alone.marks([0, 1], {})


def test_the_first_word_of_an_unknown_agent_is_no_gap() -> None:
    assert Sequences(ROSTER).take_one(0, 4, 1000) == (Arrival.NEW, 0)


def test_what_an_unknown_agent_had_spooled_may_come_after_its_newest_frames() -> None:
    sequences = Sequences(ROSTER)
    arrivals = [sequences.take_one(0, 4, seq) for seq in (900, 901, 1, 2, 1)]
    assert [arrival for arrival, _ in arrivals] == [
        Arrival.NEW,
        Arrival.NEW,
        Arrival.LATE,
        Arrival.LATE,
        Arrival.DUPLICATE,
    ]
    assert sum(missed for _, missed in arrivals) == 0
    assert sequences.missing(0, 4) == ((3, 899),)


def test_a_new_life_of_a_known_agent_starts_at_one() -> None:
    assert known(4, 9).take_one(0, 5, 3) == (Arrival.NEW, 2)


def test_a_spool_may_still_bring_frames_of_the_life_before() -> None:
    sequences = known(4, 9)
    sequences.take_one(0, 5, 1)
    assert sequences.take_one(0, 4, 10) == (Arrival.NEW, 0)
    assert sequences.take_one(0, 4, 10) == (Arrival.DUPLICATE, 0)


def test_memory_is_bounded() -> None:
    sequences = Sequences(ROSTER)
    for seq in range(1, 4 * MAX_RANGES, 2):
        sequences.take_one(0, 1, seq)
    assert len(sequences.missing(0, 1)) == MAX_RANGES
    for epoch in range(2, 2 * MAX_EPOCHS):
        sequences.take_one(0, epoch, 2)
    assert len(sequences.marks([0], {})) == MAX_EPOCHS
    assert len(sequences._missing) == MAX_EPOCHS
    assert len(sequences._unsettled) == MAX_EPOCHS
    assert sequences.forgotten([0, 1]) == {A: MAX_EPOCHS}


def test_of_a_life_that_is_forgotten_nothing_is_believed() -> None:
    sequences = Sequences(ROSTER)
    for epoch in range(2, MAX_EPOCHS + 3):
        sequences.take_one(0, epoch, 1)
    taken = sequences.take(np.array([0]), np.array([2]), np.array([2]), distinct=True)
    assert taken.fresh.tolist() == [False]
    assert taken.forgotten == 1


def test_only_lives_that_have_changed_are_written_again() -> None:
    sequences = Sequences(ROSTER)
    for epoch in (1, 2, 3):
        sequences.take_one(0, epoch, 1)
    held = {(0, 2): [(1, 1)]}
    marks = sequences.marks([0], held)
    assert [mark.epoch for mark in marks] == [1, 2, 3]
    sequences.written(marks, held)
    marks = sequences.marks([0], {})
    assert [mark.epoch for mark in marks] == [2, 3]  # of the second, a number was held back
    sequences.written(marks, {})
    sequences.take_one(0, 1, 2)
    assert [mark.epoch for mark in sequences.marks([0], {})] == [1, 3]


def test_what_was_saved_is_continued() -> None:
    first = Sequences(ROSTER)
    for seq in (1, 2, 5):
        first.take_one(0, 1, seq)
    second = Sequences(ROSTER, first.marks([0], {}))
    assert second.take_one(0, 1, 5) == (Arrival.DUPLICATE, 0)
    assert second.take_one(0, 1, 3) == (Arrival.LATE, 0)
    assert second.take_one(0, 1, 6) == (Arrival.NEW, 0)


def test_what_is_not_written_yet_is_read_again_after_a_restart() -> None:
    first = Sequences(ROSTER)
    for seq in (1, 2, 3, 4, 7):
        first.take_one(0, 1, seq)
    (mark,) = first.marks([0], {(0, 1): [(3, 4), (7, 7)]})
    assert mark.missing == ((3, 4), (5, 6), (7, 7))
    second = Sequences(ROSTER, [mark])
    arrivals = [second.take_one(0, 1, seq)[0] for seq in (2, 3, 4, 7, 7)]
    assert arrivals == [
        Arrival.DUPLICATE,
        Arrival.LATE,
        Arrival.LATE,
        Arrival.LATE,
        Arrival.DUPLICATE,
    ]


def test_random_orders_end_at_the_same_mark() -> None:
    sequences = known(1, 0)
    for seq in np.random.default_rng(5).permutation(np.arange(1, 31)):
        sequences.take_one(0, 1, int(seq))
    assert sequences.marks([0], {}) == [Mark(agent=A, epoch=1, last_seq=30)]


def test_an_agent_that_was_never_heard_has_no_mark() -> None:
    assert known(1, 1).marks([1], {}) == []
    assert B != A
