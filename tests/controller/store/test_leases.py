import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.store import Store
from controller.store.leadership import PLACEMENT, Leadership, LeaseSettings
from controller.store.leases import GIVEN_BACK, Lease
from fleet.clock import ManualClock
from fleet.errors import LeaseLostError, StoreError
from tests.controller.flaky_store import FlakyStore

DEEDS = ["a", "b", "c", "leave a", "set b", "cut a", "cut b", "heal a", "heal b"]
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


@pytest.mark.postgresql
def test_one_that_is_being_written_under_is_not_taken(postgres_database_url: str) -> None:
    """SQLite has one writer at a time: there the other waits."""
    with closing(Store(postgres_database_url)) as store:
        lease = take(store, "a", None, 10)
        assert lease is not None
        with store.begin() as writing:
            assert writing.leases.hold([lease]) == [lease]
            assert take(store, "b", lease, 20) is None
        assert take(store, "b", lease, 20) is not None


class Party:
    """Controllers with a clock each, and what each has in hand."""

    def __init__(self, url: str, *holders: str, skew_s: float = 0.0) -> None:
        self._url = url
        self.stores: dict[str, FlakyStore] = {}
        self.clocks: dict[str, ManualClock] = {}
        self.members: dict[str, Leadership] = {}
        for number, holder in enumerate(holders):
            self.join(holder, skew_s=number * skew_s)

    def join(self, holder: str, *, skew_s: float = 0.0) -> None:
        # Wall clocks may say anything, and monotonic ones begin anywhere.
        clock = ManualClock(1_760_000_000_000_000_000 + round(skew_s * 1e9))
        clock.advance(abs(skew_s))
        self.clocks[holder] = clock
        self.stores[holder] = store = FlakyStore(self._url, prepared=True)
        self.members[holder] = Leadership(store, clock, shards=SHARDS, holder=holder)

    def close(self) -> None:
        for store in self.stores.values():
            store.close()

    def cut(self, *holders: str, away: bool = True) -> None:
        """The database does not answer these (all) any more."""
        for holder in holders or self.members:
            self.stores[holder].available = not away

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


@pytest.fixture
def gather(store: Store, database_url: str) -> Iterator[Callable[..., Party]]:
    """Makes parties on one database, whose tables are there."""
    assert store.place
    with ExitStack() as stack:

        def make(*holders: str, skew_s: float = 0.0) -> Party:
            return stack.enter_context(closing(Party(database_url, *holders, skew_s=skew_s)))

        yield make


def test_one_alone_holds_everything_at_once(gather: Callable[..., Party]) -> None:
    party = gather("a")
    party.turn("a")
    assert party.held("a") == {*SHARDS, PLACEMENT}


def test_two_share_within_a_second_and_one_places(gather: Callable[..., Party]) -> None:
    party = gather("a", "b")
    party.turn("a")
    party.run(1.0)
    assert party.shards() == [4, 4]
    assert party.holders(PLACEMENT) == ["a"]


@pytest.mark.parametrize(("count", "shares"), [(3, [2, 3, 3]), (5, [1, 1, 2, 2, 2])])
def test_many_share_evenly(gather: Callable[..., Party], count: int, shares: list[int]) -> None:
    party = gather(*(f"c{n}" for n in range(count)))
    party.run(4.0)
    assert all(len(party.holders(name)) == 1 for name in SHARDS)
    assert max(party.shards()) == max(shares)


def test_who_leaves_hands_over_at_once(gather: Callable[..., Party]) -> None:
    party = gather("a", "b")
    party.run(2.0)
    party.members["a"].give_back()
    party.run(0.5, "b")
    assert party.held("b") == {*SHARDS, PLACEMENT}


def test_who_stops_is_succeeded_within_two_and_a_half_seconds(gather: Callable[..., Party]) -> None:
    party = gather("a", "b", skew_s=1000.0)
    party.run(2.0)
    terms = {name: party.members["a"].term(name) for name in party.held("a")}
    party.run(2.3, "b")
    assert party.held("b") == {*SHARDS, PLACEMENT}
    assert all(party.members["b"].term(name) > term for name, term in terms.items())
    assert party.held("a") == set()
    party.run(1.0)
    assert party.shards() == [4, 4]


def test_a_lapse_that_nobody_saw_costs_nothing(gather: Callable[..., Party]) -> None:
    party = gather("a")
    party.turn("a")
    before = dict(party.members["a"].keep())
    party.advance(60.0)
    assert party.held("a") == set()
    assert party.members["a"].keep() == before


def test_what_is_written_is_checked_against_the_rows_and_the_clock(
    store: Store, gather: Callable[..., Party]
) -> None:
    party = gather("a", "b")
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


def test_rows_of_controllers_that_left_are_swept(
    store: Store, gather: Callable[..., Party]
) -> None:
    party = gather("a", "b")
    party.run(1.0)
    party.run(3.0, "b")
    party.advance(LeaseSettings().forget_s)
    party.run(3.0, "b")
    with store.read() as tx:
        names = {lease.name for lease in tx.leases.all()}
        placement = tx.leases.get(PLACEMENT)
    assert "controller/a" not in names
    assert placement is not None
    assert placement.expires_at_unix_ns != GIVEN_BACK


def test_a_database_that_was_away_moves_no_lease(gather: Callable[..., Party]) -> None:
    party = gather("a", "b", skew_s=1000.0)
    party.run(2.0)
    before = {holder: dict(party.members[holder].keep()) for holder in "ab"}
    party.cut()
    party.run(30.0)
    assert party.shards() == [0, 0]
    assert {holder: party.members[holder].keep() for holder in "ab"} == before
    assert all(party.members["a"].steers(name) for name in before["a"])
    party.cut(away=False)
    party.run(3.0)
    assert {holder: party.members[holder].keep() for holder in "ab"} == before
    assert party.shards() == [4, 4]


def test_who_alone_is_cut_off_is_succeeded_by_a_higher_term(
    store: Store, gather: Callable[..., Party]
) -> None:
    party = gather("a", "b")
    party.run(2.0)
    old = dict(party.members["a"].keep())
    party.cut("a")
    party.run(2.5)
    assert party.held("b") == {*SHARDS, PLACEMENT}
    # The one that is cut off can not know; agents refuse its term, and the database its writing.
    assert all(party.members["a"].steers(name) for name in old)
    assert all(party.members["b"].term(name) > term for name, term in old.items())
    with pytest.raises(LeaseLostError), store.begin() as tx:
        party.members["a"].check(tx)
    party.cut("a", away=False)
    party.turn("a")
    assert not any(party.members["a"].steers(name) for name in old)


def test_who_was_stopped_steers_nothing_when_it_wakes(gather: Callable[..., Party]) -> None:
    party = gather("a")
    party.turn("a")
    party.cut()
    party.run(1.0)
    assert party.members["a"].steers(PLACEMENT)
    party.advance(10.0)  # nobody asked the database meanwhile, so it may have answered others
    assert not party.members["a"].steers(PLACEMENT)


def test_the_thread_renews_while_the_controller_is_busy_and_not_when_it_is_stuck(
    store: Store,
) -> None:
    clock = ManualClock()
    leader = Leadership(store, clock, shards=SHARDS, holder="a")
    leader.keep()
    renewed_s = stuck_s = 0.0
    started = threading.Event()

    class Waits(ManualClock):
        def wait(self, stop: threading.Event, timeout_s: float) -> bool:
            clock.advance(timeout_s)
            nonlocal renewed_s, stuck_s
            if leader.held(PLACEMENT):
                renewed_s = clock.monotonic_s()
            stuck_s = clock.monotonic_s()
            if stuck_s > 20.0:
                started.set()
                stop.set()
            return stop.is_set()

    leader._clock = Waits()
    leader._clock.monotonic_s = clock.monotonic_s  # type: ignore[method-assign]
    leader._clock.unix_ns = clock.unix_ns  # type: ignore[method-assign]
    leader.start(store)
    assert started.wait(60.0)
    leader.stop()
    settings = LeaseSettings()
    # Kept for as long as a cycle may take, and then left to the others.
    assert settings.stall_s <= renewed_s <= settings.stall_s + settings.length_s
    assert leader.stalls_total == 1


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    skews_s=st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3),
    steps=st.lists(
        st.tuples(st.sampled_from(DEEDS), st.floats(0.0, 2.5)),
        min_size=1,
        max_size=40,
    ),
)
def test_never_two_holders(
    store: Store, database_url: str, skews_s: list[float], steps: list[tuple[str, float]]
) -> None:
    with store.begin() as tx:
        tx.leases.forget(tx.leases.all())  # what an earlier example left behind
    with closing(Party(database_url)) as party:
        _never_two_holders(party, skews_s, steps)


def _never_two_holders(party: Party, skews_s: list[float], steps: list[tuple[str, float]]) -> None:
    for holder, skew_s in zip("abc", skews_s, strict=True):
        party.join(holder, skew_s=skew_s)
    for deed, pause_s in steps:
        party.advance(pause_s)
        match deed:
            case "leave a":
                with suppress(StoreError):
                    party.members["a"].give_back()
            case "cut a" | "cut b" | "heal a" | "heal b":
                party.cut(deed[-1], away=deed.startswith("cut"))
            case "set b":
                party.clocks["b"]._start_unix_ns -= 3_600_000_000_000
            case _:
                party.turn(deed)
        for name in (*SHARDS, PLACEMENT):
            assert len(party.holders(name)) <= 1
            # Others may still steer, for want of a database that told them; their terms are lower.
            steering = [one for one in party.members.values() if one.steers(name)]
            terms = [one.term(name) for one in steering if name in one._used]
            assert len(set(terms)) == len(terms)
            for holder in party.holders(name):
                newest = party.members[holder]._leases[name].term
                assert newest >= max(terms, default=0)
