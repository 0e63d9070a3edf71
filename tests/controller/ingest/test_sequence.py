import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from controller.ingest.sequence import MAX_EPOCHS, MAX_RANGES, Arrival, Sequences
from controller.store.marks import Mark


@given(seqs=st.lists(st.integers(1, 25), min_size=1, max_size=60))
def test_each_frame_counts_once_and_every_hole_is_known(seqs: list[int]) -> None:
    sequences = Sequences([Mark(agent="a", epoch=1, last_seq=0)])
    counted: list[int] = []
    missed_total, late_total = 0, 0
    for seq in seqs:
        arrival, missed = sequences.take("a", 1, seq)
        missed_total += missed
        late_total += arrival is Arrival.LATE
        if arrival is not Arrival.DUPLICATE:
            counted.append(seq)
    assert sorted(counted) == sorted(set(seqs))
    assert missed_total - late_total == max(seqs) - len(set(seqs))


def test_the_first_word_of_an_unknown_agent_is_no_gap() -> None:
    assert Sequences().take("a", 4, 1000) == (Arrival.NEW, 0)


def test_a_new_life_of_a_known_agent_starts_at_one() -> None:
    sequences = Sequences([Mark(agent="a", epoch=4, last_seq=9)])
    assert sequences.take("a", 5, 3) == (Arrival.NEW, 2)


def test_a_spool_may_still_bring_frames_of_the_life_before() -> None:
    sequences = Sequences([Mark(agent="a", epoch=4, last_seq=9)])
    sequences.take("a", 5, 1)
    assert sequences.take("a", 4, 10) == (Arrival.NEW, 0)
    assert sequences.take("a", 4, 10) == (Arrival.DUPLICATE, 0)


def test_memory_is_bounded() -> None:
    sequences = Sequences()
    for epoch in range(1, 20):
        for seq in range(1, 4 * MAX_RANGES, 2):
            sequences.take("a", epoch, seq)
    assert len(sequences._marks["a"]) <= MAX_EPOCHS
    assert all(len(mark.missing) <= MAX_RANGES for mark in sequences._marks["a"].values())


def test_what_was_saved_is_continued() -> None:
    first = Sequences()
    for seq in (1, 2, 5):
        first.take("a", 1, seq)
    second = Sequences(first.changed())
    assert second.take("a", 1, 5) == (Arrival.DUPLICATE, 0)
    assert second.take("a", 1, 3) == (Arrival.LATE, 0)
    assert second.take("a", 1, 6) == (Arrival.NEW, 0)


def test_only_what_changed_is_saved_again() -> None:
    sequences = Sequences()
    sequences.take("a", 1, 1)
    sequences.saved()
    assert sequences.changed() == []
    sequences.take("a", 1, 1)  # a duplicate changes nothing
    assert sequences.changed() == []
    sequences.take("b", 1, 1)
    assert [mark.agent for mark in sequences.changed()] == ["b"]


def test_random_orders_end_at_the_same_mark() -> None:
    order = np.random.default_rng(5).permutation(np.arange(1, 31))
    sequences = Sequences([Mark(agent="a", epoch=1, last_seq=0)])
    for seq in order:
        sequences.take("a", 1, int(seq))
    assert sequences.changed() == [Mark(agent="a", epoch=1, last_seq=30)]
