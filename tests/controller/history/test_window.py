import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from controller.history.window import Window
from controller.state.roster import GroupShare
from fleet.frame import Slab, sled_schema

SCHEMA = sled_schema(4)
SEATS = 3
FRAMES = st.lists(
    st.tuples(st.integers(0, SEATS - 1), st.integers(1, 3), st.integers(1, 90)), max_size=100
)
"""(seat, epoch, sequence number) in the order in which they came."""


def window_of(frames: list[tuple[int, int, int]]) -> Window:
    window = Window(group=0, size=SEATS, schema=SCHEMA, start_unix_ns=0, opened_s=0.0)
    for offset, (seat, epoch, seq) in enumerate(frames):
        slab = Slab(
            schema_id=SCHEMA.id,
            dt_ns=1,
            agents=("a",),
            epochs=np.array([epoch]),
            seqs=np.array([seq]),
            t0_unix_ns=np.array([offset]),
            values=np.zeros((1, 1, len(SCHEMA.columns)), np.float32),
            counters=np.zeros((1, 1, len(SCHEMA.counters)), np.uint64),
        )
        share = GroupShare(group=0, frames=slice(0, 1), seats=slice(seat, seat + 1))
        window.add([slab], share, 0, offset)
    return window


@given(FRAMES)
def test_a_window_names_each_frame_in_it_and_no_other(frames: list[tuple[int, int, int]]) -> None:
    if not frames:
        return
    named = {
        (seat, epoch, seq)
        for (seat, epoch), ranges in window_of(frames).unsealed().items()
        for first, last in ranges
        for seq in range(first, last + 1)
    }
    assert named == set(frames)


def test_numbers_that_follow_each_other_are_one_range() -> None:
    frames = [(seat, 7, seq) for seq in range(5, 75) for seat in (0, 2)]
    assert window_of(frames).unsealed() == {(0, 7): [(5, 74)], (2, 7): [(5, 74)]}
