from hypothesis import given
from hypothesis import strategies as st

from emulator.serving.kv_blocks import KvBlocks


def kv_of(blocks: int) -> KvBlocks:
    return KvBlocks(blocks * 512, block_tokens=512)


def test_a_released_prefix_stays_for_the_next_request() -> None:
    kv = kv_of(10)
    assert kv.hits((1, 2, 3)) == 0

    assert kv.reserve(4, (1, 2, 3))
    kv.release(4, (1, 2, 3))

    assert kv.hits((1, 2, 3, 4)) == 3
    assert (kv.reserved, kv.kept) == (0, 3)


def test_requests_in_flight_share_a_prefix_once() -> None:
    kv = kv_of(10)

    assert kv.reserve(4, (1, 2, 3))
    assert kv.reserve(4, (1, 2, 3))

    assert kv.reserved == 3 + 2


def test_the_longest_unused_gives_way_and_its_tail_first() -> None:
    kv = kv_of(6)
    for prefix in ((1, 2), (3, 4), (5, 6)):
        assert kv.reserve(2, prefix)
        kv.release(2, prefix)

    assert kv.reserve(1, ())

    assert kv.hits((1, 2)) == 1
    assert kv.hits((3, 4)) == kv.hits((5, 6)) == 2


def test_what_is_in_flight_never_gives_way() -> None:
    kv = kv_of(4)
    assert kv.reserve(3, (1, 2))

    assert not kv.reserve(2, ())
    assert not kv.reserve(2, (9,))
    assert kv.hits((1, 2)) == 2
    assert kv.reserved == 3


def test_a_block_behind_a_gap_is_no_hit() -> None:
    kv = kv_of(4)
    assert kv.reserve(1, (2,))

    assert kv.hits((1, 2)) == 0


@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 12), max_size=5), st.integers(0, 4), st.booleans()),
        max_size=60,
    )
)
def test_memory_is_never_overrun_and_all_comes_back(
    steps: list[tuple[list[int], int, bool]],
) -> None:
    kv = KvBlocks(12 * 512, block_tokens=128)
    here: list[tuple[int, tuple[int, ...]]] = []
    for ids, more, leave in steps:
        if leave and here:
            kv.release(*here.pop(0))
        wanted = (4 * len(ids) + more, tuple(ids))
        if kv.reserve(*wanted):
            here.append(wanted)
        assert 0 <= kv.reserved <= kv.blocks
        assert kv.reserved + kv.kept <= kv.blocks
    for wanted in here:
        kv.release(*wanted)
    assert kv.reserved == 0
