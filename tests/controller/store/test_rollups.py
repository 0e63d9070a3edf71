from controller.history.levels import LEVELS
from controller.history.rollup import RolledBlock, Stat
from controller.store import Store

TEN, MINUTE, COARSE = LEVELS
GROUP = "h1/us01"


def block(start: int, *, body: bytes = b"x", group: str = GROUP) -> RolledBlock:
    return RolledBlock(
        group_id=group,
        metric="junction_c",
        level=TEN,
        start_unix_ns=start,
        bodies={stat: body + stat.encode() for stat in Stat},
    )


def starts(store: Store) -> list[int]:
    with store.read() as tx:
        found = tx.rollups.of_group(
            TEN, GROUP, ("junction_c",), (Stat.MEAN,), from_unix_ns=0, until_unix_ns=2**62
        )
        return [block.start_unix_ns for block in found]


def test_only_the_statistics_asked_for_are_read(store: Store) -> None:
    with store.begin() as tx:
        tx.rollups.save([block(0), block(TEN.span_ns)])
    with store.read() as tx:
        found = tx.rollups.of_group(
            TEN, GROUP, ("junction_c",), (Stat.MAX,), from_unix_ns=1, until_unix_ns=2**62
        )
        (one,) = found
    assert one.start_unix_ns == TEN.span_ns
    assert {stat: bytes(body) for stat, body in one.bodies.items()} == {Stat.MAX: b"xmax"}


def test_a_span_that_is_rolled_up_again_takes_its_own_place(store: Store) -> None:
    with store.begin() as tx:
        tx.rollups.save([block(0), block(0, group="h1/us02")])
        tx.rollups.save([block(0, body=b"new")])
    with store.read() as tx:
        found = {
            b.group_id: b for b in tx.rollups.at(TEN, "junction_c", tuple(Stat), start_unix_ns=0)
        }
    assert bytes(found[GROUP].bodies[Stat.MIN]) == b"newmin"
    assert bytes(found["h1/us02"].bodies[Stat.MIN]) == b"xmin"


def test_old_statistics_are_deleted_level_by_level(store: Store) -> None:
    with store.begin() as tx:
        tx.rollups.save([block(n * TEN.span_ns) for n in range(4)])
        assert tx.rollups.forget(MINUTE, before_unix_ns=2**60) == 0
        assert tx.rollups.forget(TEN, before_unix_ns=2 * TEN.span_ns + 1) == 2
    assert starts(store) == [2 * TEN.span_ns, 3 * TEN.span_ns]


def test_what_comes_while_a_span_is_rolled_up_keeps_it_dirty(store: Store) -> None:
    with store.begin() as tx:
        tx.rollups.touch(TEN, {(GROUP, 0), (GROUP, TEN.span_ns)})
        tx.rollups.touch(MINUTE, {(GROUP, 0)})
    with store.read() as tx:
        first, second = tx.rollups.dirty(TEN, until_unix_ns=2**62, limit=10)
        assert len(tx.rollups.dirty(TEN, until_unix_ns=1, limit=10)) == 1
    with store.begin() as tx:
        tx.rollups.touch(TEN, {(GROUP, 0)})
    with store.begin() as tx:
        assert not tx.rollups.done(first)
        assert tx.rollups.done(second)
        assert not tx.rollups.done(second)
        (left,) = tx.rollups.dirty(TEN, until_unix_ns=2**62, limit=10)
    assert (left.start_unix_ns, left.version) == (0, first.version + 1)


def test_how_far_back_ticks_go_is_remembered(store: Store) -> None:
    with store.begin() as tx:
        assert tx.rollups.ticks_kept_since() == 0
        tx.rollups.keep_ticks_since(5)
        tx.rollups.keep_ticks_since(7)
        assert tx.rollups.ticks_kept_since() == 7
