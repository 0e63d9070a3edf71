import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.store import Store
from controller.store.leadership import PLACEMENT, Leadership, LeaseSettings
from controller.store.leases import GIVEN_BACK, Lease
from fleet.clock import ManualClock
from fleet.errors import LeaseLostError

SHARDS = tuple(f"shard/{n}" for n in range(8))


def take(store: Store, holder: str, seen: Lease | None, until: int) -> Lease | None:
    with store.begin() as tx:
        return tx.leases.take("one", holder, seen=seen, until_unix_ns=until)


def test_a_row_that_has_changed_is_not_taken(store: Store) -> None:
    first = take(store, "a", None, 10)
    assert first is not None
    assert take(store, "b", None, 10) is None
    with store.begin() as tx:
        (renewed,) = tx.leases.renew([first], until_unix_ns=20)
    assert take(store, "b", first, 30) is None
    assert take(store, "b", renewed, 30) is not None


def test_the_term_rises_with_every_holder(store: Store) -> None:
    lease: Lease | None = None
    terms = []
    for until, holder in ((10, "a"), (20, "b"), (30, "a")):
        lease = take(store, holder, lease, until)
        assert lease is not None
        terms.append(lease.term)
    assert terms == [1, 2, 3]


def test_a_new_name_begins_above_every_term_that_was_given(store: Store) -> None:
    first = take(store, "a", None, 10)
    take(store, "b", first, 20)
    with store.begin() as tx:
        other = tx.leases.take("other", "a", seen=None, until_unix_ns=10)
    assert other is not None
    assert other.term == 3


def test_a_lease_that_was_taken_can_not_be_renewed_held_or_given_back(store: Store) -> None:
    old = take(store, "a", None, 10)
    assert old is not None
    new = take(store, "b", old, 20)
    assert new is not None
    with store.begin() as tx:
        assert tx.leases.renew([old], until_unix_ns=30) == []
        assert tx.leases.hold([old]) == []
        tx.leases.give_back([old])
        assert tx.leases.hold([new]) == [new]
        assert tx.leases.get("one") == new


def test_one_that_is_being_written_under_is_not_taken(store: Store) -> None:
    lease = take(store, "a", None, 10)
    assert lease is not None
    if "sqlite" in store.place:
        pytest.skip("SQLite has one writer at a time: the other waits")
    with store.begin() as writing:
        assert writing.leases.hold([lease]) == [lease]
        assert take(store, "b", lease, 20) is None
    assert take(store, "b", lease, 20) is not None


class Party:
    """Controllers with a clock each, and what each has in hand."""

    def __init__(self, store: Store, *holders: str, skew_s: float = 0.0) -> None:
        self._store = store
        self.clocks: dict[str, ManualClock] = {}
        self.members: dict[str, Leadership] = {}
        for number, holder in enumerate(holders):
            self.join(holder, skew_s=number * skew_s)

    def join(self, holder: str, *, skew_s: float = 0.0) -> None:
        # Wall clocks may say anything, and monotonic ones begin anywhere.
        clock = ManualClock(1_760_000_000_000_000_000 + round(skew_s * 1e9))
        clock.advance(abs(skew_s))
        self.clocks[holder] = clock
        self.members[holder] = Leadership(self._store, clock, shards=SHARDS, holder=holder)

    def advance(self, duration_s: float) -> None:
        for clock in self.clocks.values():
            clock.advance(duration_s)

    def turn(self, holder: str) -> None:
        leader = self.members[holder]
        leader.keep()
        if surplus := leader.surplus():
            leader.give_back(surplus)

    def run(self, duration_s: float, *holders: str) -> None:
        for _ in range(round(duration_s / 0.1)):
            self.advance(0.1)
            for holder in holders or self.members:
                self.turn(holder)

    def held(self, holder: str) -> set[str]:
        return {name for name in (*SHARDS, PLACEMENT) if self.members[holder].held(name)}

    def shards(self) -> list[int]:
        return sorted(len(self.held(holder) & set(SHARDS)) for holder in self.members)

    def holders(self, name: str) -> list[str]:
        return [holder for holder in self.members if name in self.held(holder)]


def test_one_alone_holds_everything_at_once(store: Store) -> None:
    party = Party(store, "a")
    party.turn("a")
    assert party.held("a") == {*SHARDS, PLACEMENT}


def test_two_share_within_a_second_and_one_places(store: Store) -> None:
    party = Party(store, "a", "b")
    party.turn("a")
    party.run(1.0)
    assert party.shards() == [4, 4]
    assert party.holders(PLACEMENT) == ["a"]


@pytest.mark.parametrize(("count", "shares"), [(3, [2, 3, 3]), (5, [1, 1, 2, 2, 2])])
def test_many_share_evenly(store: Store, count: int, shares: list[int]) -> None:
    party = Party(store, *(f"c{n}" for n in range(count)))
    party.run(4.0)
    assert all(len(party.holders(name)) == 1 for name in SHARDS)
    assert max(party.shards()) == max(shares)


def test_who_leaves_hands_over_at_once(store: Store) -> None:
    party = Party(store, "a", "b")
    party.run(2.0)
    party.members["a"].give_back()
    party.run(0.5, "b")
    assert party.held("b") == {*SHARDS, PLACEMENT}


def test_who_stops_is_succeeded_within_two_and_a_half_seconds(store: Store) -> None:
    party = Party(store, "a", "b", skew_s=1000.0)
    party.run(2.0)
    terms = {name: party.members["a"].term(name) for name in party.held("a")}
    party.run(2.3, "b")
    assert party.held("b") == {*SHARDS, PLACEMENT}
    assert all(party.members["b"].term(name) > term for name, term in terms.items())
    assert party.held("a") == set()
    party.run(1.0)
    assert party.shards() == [4, 4]


def test_a_lapse_that_nobody_saw_costs_nothing(store: Store) -> None:
    party = Party(store, "a")
    party.turn("a")
    before = dict(party.members["a"].keep())
    party.advance(60.0)
    assert party.held("a") == set()
    assert party.members["a"].keep() == before


def test_what_is_written_is_checked_against_the_rows_and_the_clock(store: Store) -> None:
    party = Party(store, "a", "b")
    party.turn("a")
    leader = party.members["a"]
    with store.begin() as tx:
        leader.check(tx)
    party.advance(1.6)
    with pytest.raises(LeaseLostError, match="no longer holds"), store.begin() as tx:
        leader.check(tx)
    party.run(2.5, "b")
    with pytest.raises(LeaseLostError, match="placement"), store.begin() as tx:
        leader.check(tx)


def test_rows_of_controllers_that_left_are_swept(store: Store) -> None:
    party = Party(store, "a", "b")
    party.run(1.0)
    party.run(LeaseSettings().forget_s + 3.0, "b")
    with store.read() as tx:
        names = {lease.name for lease in tx.leases.all()}
        placement = tx.leases.get(PLACEMENT)
    assert "controller/a" not in names
    assert placement is not None
    assert placement.expires_at_unix_ns != GIVEN_BACK


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    skews_s=st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3),
    steps=st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", "leave a", "set b"]), st.floats(0.0, 2.5)),
        min_size=1,
        max_size=40,
    ),
)
def test_never_two_holders(
    store: Store, skews_s: list[float], steps: list[tuple[str, float]]
) -> None:
    with store.begin() as tx:
        tx.leases.forget(tx.leases.all())  # what an earlier example left behind
    party = Party(store)
    for holder, skew_s in zip("abc", skews_s, strict=True):
        party.join(holder, skew_s=skew_s)
    for deed, pause_s in steps:
        party.advance(pause_s)
        match deed:
            case "leave a":
                party.members["a"].give_back()
            case "set b":
                party.clocks["b"]._start_unix_ns -= 3_600_000_000_000
            case _:
                party.turn(deed)
        for name in (*SHARDS, PLACEMENT):
            assert len(party.holders(name)) <= 1
