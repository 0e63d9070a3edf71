from controller.store import Store
from controller.store.gaps import Gap, GapState
from controller.store.marks import Mark

AGENT = "h1/us01/r1/s01"


def ledger(store: Store) -> list[tuple[int, int, str]]:
    with store.read() as tx:
        return [(gap.first_seq, gap.last_seq, gap.state) for gap in tx.gaps.of_agents([AGENT])]


def test_a_hole_is_missing_then_filled(store: Store) -> None:
    with store.begin() as tx:
        assert tx.gaps.follow(AGENT, 1, [(5, 9), (20, 20)], [(5, 9), (20, 20)], at_unix_ns=1)
        tx.gaps.follow(AGENT, 2, [(1, 1)], [], at_unix_ns=1)
    with store.begin() as tx:
        assert tx.gaps.follow(AGENT, 1, [(5, 6), (9, 9)], [(5, 6), (9, 9)], at_unix_ns=9)
    assert ledger(store) == [
        (5, 6, "missing"),
        (7, 8, "late-filled"),
        (9, 9, "missing"),
        (20, 20, "late-filled"),
        (1, 1, "missing"),
    ]
    with store.read() as tx:
        noted = {gap.first_seq: gap.noted_at_unix_ns for gap in tx.gaps.of_agents([AGENT])}
    assert (noted[5], noted[9], noted[7]) == (1, 1, 9)


def test_what_came_and_is_not_written_is_still_missing(store: Store) -> None:
    with store.begin() as tx:
        tx.gaps.follow(AGENT, 1, [(5, 9)], [(5, 9)], at_unix_ns=1)
        assert not tx.gaps.follow(AGENT, 1, [(5, 5)], [(5, 9), (30, 33)], at_unix_ns=9)
    assert ledger(store) == [(5, 5, "missing"), (6, 9, "missing")]
    with store.begin() as tx:
        assert tx.gaps.follow(AGENT, 1, [(5, 5)], [(5, 5)], at_unix_ns=9)
    assert ledger(store) == [(5, 5, "missing"), (6, 9, "late-filled")]


def test_the_ledger_in_total(store: Store) -> None:
    with store.begin() as tx:
        assert (tx.gaps.totals(), tx.marks.numbered()) == ([], 0)
        tx.gaps.follow(AGENT, 1, [(5, 9), (20, 20)], [], at_unix_ns=1)
        for number, last in enumerate((12, 0)):
            gap = Gap(
                agent=AGENT,
                epoch=number + 1,
                first_seq=3,
                last_seq=last,
                state=GapState.DECLARED,
                reason="torn",
                noted_at_unix_ns=1,
            )
            tx.gaps.declare(gap)
        tx.marks.save(
            Mark(agent=AGENT, epoch=epoch, last_seq=last) for epoch, last in ((1, 30), (2, 2**40))
        )
    with store.read() as tx:
        totals = {(one.state, one.reason): (one.gaps, one.frames) for one in tx.gaps.totals()}
        assert tx.marks.numbered() == 2**40 + 30
    assert totals == {(GapState.MISSING, ""): (2, 6), (GapState.DECLARED, "torn"): (2, 10)}


def test_a_declaration_counts_once(store: Store) -> None:
    gap = Gap(
        agent=AGENT,
        epoch=1,
        first_seq=3,
        last_seq=0,
        state=GapState.DECLARED,
        reason="torn",
        noted_at_unix_ns=1,
    )
    with store.begin() as tx:
        assert tx.gaps.declare(gap)
        assert not tx.gaps.declare(gap)
        assert tx.gaps.of_agents([AGENT, "other"]) == [gap]
