import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.store import Store
from controller.store.leadership import Leadership, LeaseSettings
from controller.store.leases import Lease
from fleet.clock import ManualClock


def acquire(store: Store, holder: str, now: int, until: int) -> Lease | None:
    with store.begin() as tx:
        return tx.leases.acquire("loop", holder, now_unix_ns=now, until_unix_ns=until)


def test_a_held_lease_is_not_given_to_another(store: Store) -> None:
    assert acquire(store, "a", 0, 10) is not None
    assert acquire(store, "b", 9, 19) is None


def test_the_term_rises_with_every_holder(store: Store) -> None:
    terms = []
    for now, holder in ((0, "a"), (10, "b"), (20, "a")):
        lease = acquire(store, holder, now, now + 10)
        assert lease is not None
        terms.append(lease.term)
    assert terms == [1, 2, 3]


def test_renewing_keeps_the_term(store: Store) -> None:
    lease = acquire(store, "a", 0, 10)
    assert lease is not None
    with store.begin() as tx:
        kept = tx.leases.renew(lease, now_unix_ns=5, until_unix_ns=15)
    assert kept is not None
    assert (kept.term, kept.expires_at_unix_ns) == (1, 15)


def test_a_lease_that_was_taken_can_not_be_renewed_or_released(store: Store) -> None:
    old = acquire(store, "a", 0, 10)
    new = acquire(store, "b", 10, 20)
    assert old is not None
    assert new is not None
    with store.begin() as tx:
        assert tx.leases.renew(old, now_unix_ns=11, until_unix_ns=21) is None
        assert not tx.leases.holds(old)
        tx.leases.release(old)
        assert tx.leases.holds(new)
        assert tx.leases.get("loop") == new


def test_a_lease_that_ran_out_is_not_renewed_even_if_nobody_took_it(store: Store) -> None:
    lease = acquire(store, "a", 0, 10)
    assert lease is not None
    with store.begin() as tx:
        assert tx.leases.renew(lease, now_unix_ns=10, until_unix_ns=20) is None


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def leader(store: Store, clock: ManualClock, holder: str, *names: str) -> Leadership:
    return Leadership(store, clock, names=names or ("l1",), holder=holder)


def test_one_leads_and_the_other_waits(store: Store, clock: ManualClock) -> None:
    first, second = leader(store, clock, "a"), leader(store, clock, "b")
    assert first.keep()
    assert not second.keep()


def test_release_lets_the_other_lead_at_once(store: Store, clock: ManualClock) -> None:
    first, second = leader(store, clock, "a"), leader(store, clock, "b")
    first.keep()
    first.release()
    assert second.keep()
    assert second.lease("l1").term == 2


def test_all_loops_or_none(store: Store, clock: ManualClock) -> None:
    one, both = leader(store, clock, "a", "l2"), leader(store, clock, "b", "l1", "l2")
    assert one.keep()
    assert not both.keep()
    with store.read() as tx:
        assert tx.leases.get("l1") is None


def test_a_holder_that_slept_does_not_hold(store: Store, clock: ManualClock) -> None:
    first, second = leader(store, clock, "a"), leader(store, clock, "b")
    first.keep()
    clock.advance(60.0)
    assert not first.held()
    assert second.keep()
    assert not first.keep()


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.floats(0.0, 15.0)), min_size=1, max_size=20
    )
)
def test_never_two_leaders(store: Store, steps: list[tuple[str, float]]) -> None:
    clock = ManualClock()
    with store.begin() as tx:
        left = tx.leases.get("l1")
    if left is not None:  # what an earlier example left behind
        clock.advance(max(0.0, (left.expires_at_unix_ns - clock.unix_ns()) / 1e9) + 1.0)
    both = {
        holder: Leadership(
            store, clock, names=["l1"], holder=holder, settings=LeaseSettings(length_s=10.0)
        )
        for holder in ("a", "b")
    }
    for holder, pause_s in steps:
        clock.advance(pause_s)
        both[holder].keep()
        assert not (both["a"].held() and both["b"].held())
