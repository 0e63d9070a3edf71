"""Which shards of the fleet one controller leads, and whether it leads placement."""

import threading
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from controller.store.database import Store, Transaction
from controller.store.leases import GIVEN_BACK, Lease
from fleet.clock import NS_PER_S, Clock
from fleet.errors import LeaseLostError, StoreError

_log = structlog.get_logger(__name__)

PLACEMENT: Final = "placement"
"""The lease of what is decided once for the whole fleet."""
_PRESENCE: Final = "controller/"
"""Each controller holds one lease of its own, by which the others count who is there."""


def shard_name(partition: int) -> str:
    """Lease of the cooling loops whose telemetry lands in a partition."""
    return f"shard/{partition}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseSettings:
    """A holder stops `margin_s` before others may start: their clocks may run unevenly."""

    length_s: float = 1.8
    renew_s: float = 0.3
    margin_s: float = 0.3
    patience_s: float = 0.9
    """The database is given so long to answer a question about leases."""
    stall_s: float = 5.0
    """The leases of a controller that has not turned for so long are left to the others; its
    set-points have run out by then.
    """
    credit_s: float = 900.0
    """While the database answers nobody, set-points go on for so long under the last terms."""
    forget_s: float = 600.0
    """A controller that was not seen for so long has left for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sighting:
    lease: Lease
    since_s: float
    """Since when its row has looked so, by the watcher's own monotonic clock."""


class Leadership:
    """The leases of one controller. One thread calls all but `held` and `steers`, which any may
    ask. After `start` a thread of its own renews and takes, so that a long cycle costs no lease;
    without, `keep` does.

    Controllers share the shards evenly: each takes free ones up to its share, and finds in
    `surplus` what it should give back. A lease is free when it was given back, or when its row has
    not changed for `length_s` before the eyes of the one who takes it: so wall clocks need not
    agree. A lease that ran out is renewed only while its row still has this holder and term.

    While the database does not answer, nobody can take or write anything; then `steers` goes on
    for a while after `held` has ended. Should only this controller be cut off, others take over
    with a higher term, and the agents, who keep the highest they have seen, refuse this one.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        shards: Iterable[str],
        holder: str,
        settings: LeaseSettings | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._shards = frozenset(shards)
        self._holder = holder
        self._settings = settings or LeaseSettings()
        self._presence = _PRESENCE + holder
        self._talking = threading.Lock()
        """Held by the thread that speaks with the database about leases."""
        self._fields = threading.Lock()
        """Guards the leases and until when they may be used, which change together."""
        self._leases: Mapping[str, Lease] = {}
        self._until: Mapping[str, tuple[float, int]] = {}
        """Until when each lease may be used, by the monotonic and by the wall clock."""
        self._used: Mapping[str, Lease] = {}
        """What the last `keep` gave; everything is done and written under these."""
        self._sightings: dict[str, _Sighting] = {}
        self._controllers = 1
        self._next_try_s = -1e18
        self._asked_s = clock.monotonic_s()
        self._answered_s = -1e18
        self._refused_s: float | None = None
        """When the database last did not answer; None when it has since."""
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._tried = threading.Condition()
        self._tries = 0
        self.stalls_total = 0
        """Times when the controller did not turn, and its leases were left to run out."""

    def start(self, store: Store) -> None:
        """Renew in a thread of its own from now on, by a store that nothing else waits for."""
        self._store = store
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; the leases stay as they are."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(2 * self._settings.patience_s)
            self._thread = None

    def keep(self) -> Mapping[str, int]:
        """The terms of the leases that may be used now; without a thread, renew and take when it
        is time to.
        """
        self._asked_s = now_s = self._clock.monotonic_s()
        if self._thread is None:
            if now_s >= self._next_try_s or not all(map(self.held, self._leases)):
                self._try()
        elif not all(map(self.steers, self._leases)):
            # As after a pause of the whole process: what ran out may still be ours.
            self._wait_for_try()
        with self._fields:
            leases = self._leases
        self._used = {
            name: lease
            for name, lease in leases.items()
            if name != self._presence and self.steers(name)
        }
        return {name: lease.term for name, lease in self._used.items()}

    def held(self, name: str) -> bool:
        """By both clocks: one steps when it is set, the other sleeps when the machine does."""
        until_s, until_unix_ns = self._until.get(name, (-1e18, 0))
        return self._clock.monotonic_s() < until_s and self._clock.unix_ns() < until_unix_ns

    def steers(self, name: str) -> bool:
        """Whether set-points may go out under this lease: it is held, or it was when the database
        last answered, and it does not answer now.
        """
        if self.held(name):
            return True
        refused_s, now_s = self._refused_s, self._clock.monotonic_s()
        # A process that was stopped meanwhile knows nothing of the database.
        fresh_s = 2 * (self._settings.patience_s + self._settings.renew_s)
        return (
            name in self._leases
            and refused_s is not None
            and now_s - refused_s <= fresh_s
            and now_s - self._answered_s <= self._settings.credit_s
        )

    @property
    def answers(self) -> bool:
        """Whether the database answered when it was last asked."""
        return self._refused_s is None

    def term(self, name: str) -> int:
        """KeyError when it is not in hand."""
        return self._used[name].term

    def check(self, tx: Transaction) -> None:
        """Lock the rows of all leases in use until the transaction ends, so that nobody takes over
        meanwhile; LeaseLostError when one has run out or was taken. The last thing to do in a
        transaction: the rows can not be renewed while it has them.
        """
        self._check(tx, self._used)

    def guard(self) -> Callable[[Transaction], None]:
        """`check` for what is done under the leases of this moment, to be called by any thread."""
        used = self._used
        return lambda tx: self._check(tx, used)

    def limit(self, tx: Transaction) -> None:
        """The first thing to do in a transaction: locks of a process that was stopped must be gone
        before its leases are free.
        """
        tx.leases.limit(self._settings.length_s / 2)

    def _check(self, tx: Transaction, used: Mapping[str, Lease]) -> None:
        self.limit(tx)
        good = tx.leases.hold(list(used.values()))
        bad = [name for name, one in used.items() if one not in good or not self.held(name)]
        if bad:
            raise LeaseLostError(f"{self._holder} no longer holds {', '.join(bad)}")

    def _run(self) -> None:
        stalled = False
        while not self._stop.is_set():
            late = self._clock.monotonic_s() - self._asked_s > self._settings.stall_s
            if late and not stalled:
                self.stalls_total += 1
                _log.error("controller_stalled", holder=self._holder)
            stalled = late
            if not stalled:
                self._try()
            self._clock.wait(self._stop, self._settings.renew_s)

    def _try(self) -> None:
        self._next_try_s = self._clock.monotonic_s() + self._settings.renew_s
        with self._talking:
            try:
                self._renew()
                self._take_free()
            except StoreError as error:
                _log.warning("leases_not_renewed", error=str(error))
                self._refused_s = self._clock.monotonic_s()
            else:
                self._answered_s = self._clock.monotonic_s()
                self._refused_s = None
        with self._tried:
            self._tries += 1
            self._tried.notify_all()

    def _wait_for_try(self) -> None:
        with self._tried:
            # The try that is under way may have begun before what it is waited for.
            enough = self._tries + 2
            self._tried.wait_for(
                lambda: self._tries >= enough or all(map(self.steers, self._leases)),
                self._settings.patience_s,
            )

    def surplus(self) -> tuple[str, ...]:
        """Shards beyond this controller's share; the caller ends its work on them first."""
        mine = sorted(name for name in self._used if name in self._shards)
        return tuple(mine[self._share() :]) if self.answers else ()

    def give_back(self, names: Iterable[str] | None = None) -> None:
        """Let others take these leases at once; all of them, when this controller leaves."""
        with self._talking:
            leases = self._leases
            chosen = leases if names is None else [name for name in names if name in leases]
            given = [leases[name] for name in chosen]
            gone = {lease.name for lease in given}
            self._put(
                {n: lease for n, lease in leases.items() if n not in gone},
                {n: until for n, until in self._until.items() if n not in gone},
            )
            self._used = {n: lease for n, lease in self._used.items() if n not in gone}
            if given:
                with self._store.begin() as tx:
                    tx.leases.give_back(given)

    def _put(self, leases: Mapping[str, Lease], until: Mapping[str, tuple[float, int]]) -> None:
        with self._fields:
            self._leases, self._until = leases, until

    def _share(self) -> int:
        return -(-len(self._shards) // self._controllers)

    def _renew(self) -> None:
        # Times are taken before the call: a slow database shortens a lease, never stretches it.
        now_s, now_ns = self._clock.monotonic_s(), self._clock.unix_ns()
        until_ns = self._later(now_ns)
        with self._store.begin() as tx:
            self.limit(tx)
            kept = tx.leases.renew(self._leases.values(), until_unix_ns=until_ns)
            rows = tx.leases.all()
        lost = sorted(self._leases.keys() - {lease.name for lease in kept})
        if lost:
            _log.warning("leases_lost", holder=self._holder, names=lost)
        leases = {lease.name: lease for lease in kept}
        self._put(leases, dict.fromkeys(leases, self._usable(now_s, now_ns)))
        self._watch(rows)

    def _watch(self, rows: Iterable[Lease]) -> None:
        # What was read is at most as new as now: a lease is believed in for too long, never too
        # short.
        now_s = self._clock.monotonic_s()
        before, self._sightings = self._sightings, {}
        for lease in rows:
            # What was not seen while the database was silent may have been renewed in vain.
            old = before.get(lease.name) if self.answers else None
            since_s = old.since_s if old is not None and old.lease == lease else now_s
            self._sightings[lease.name] = _Sighting(lease=lease, since_s=since_s)
        others = [n for n in self._sightings if n.startswith(_PRESENCE) and n != self._presence]
        self._controllers = 1 + sum(not self._free(name) for name in others)

    def _free(self, name: str) -> bool:
        seen = self._sightings.get(name)
        return (
            seen is None
            or seen.lease.expires_at_unix_ns == GIVEN_BACK
            # One of an earlier life: two controllers never share a name.
            or (seen.lease.holder == self._holder and name not in self._leases)
            or self._clock.monotonic_s() - seen.since_s >= self._settings.length_s
        )

    def _take_free(self) -> None:
        wanted = self._wanted()
        gone = self._long_gone()
        if not wanted and not gone:
            return
        now_s, now_ns = self._clock.monotonic_s(), self._clock.unix_ns()
        until_ns = self._later(now_ns)
        with self._store.begin() as tx:
            self.limit(tx)
            taken = [self._take(tx, name, until_ns) for name in wanted]
            if gone:
                tx.leases.forget(gone)
        won = {lease.name: lease for lease in taken if lease is not None}
        until = dict.fromkeys(won, self._usable(now_s, now_ns))
        self._put({**self._leases, **won}, {**self._until, **until})
        if won:
            terms = {name: lease.term for name, lease in sorted(won.items())}
            _log.info("leases_won", holder=self._holder, terms=terms)

    def _wanted(self) -> list[str]:
        singles = [
            name
            for name in (self._presence, PLACEMENT)
            if name not in self._leases and self._free(name)
        ]
        free = [name for name in self._shards - self._leases.keys() if self._free(name)]
        # Each begins elsewhere, so that two do not fight for the same shards.
        free.sort(key=lambda name: zlib.crc32(f"{self._holder} {name}".encode()))
        room = self._share() - len(self._shards & self._leases.keys())
        return [*singles, *free[: max(room, 0)]]

    def _take(self, tx: Transaction, name: str, until_ns: int) -> Lease | None:
        seen = self._sightings.get(name)
        old = None if seen is None else seen.lease
        return tx.leases.take(name, self._holder, seen=old, until_unix_ns=until_ns)

    def _long_gone(self) -> list[Lease]:
        now_s = self._clock.monotonic_s()
        return [
            seen.lease
            for name, seen in self._sightings.items()
            if name.startswith(_PRESENCE)
            and name != self._presence
            and now_s - seen.since_s >= self._settings.forget_s
        ]

    def _later(self, now_ns: int) -> int:
        """An expiry that differs from all before, also after the clock was set back."""
        newest = max((lease.expires_at_unix_ns for lease in self._leases.values()), default=0)
        return max(now_ns + round(self._settings.length_s * NS_PER_S), newest + 1)

    def _usable(self, now_s: float, now_ns: int) -> tuple[float, int]:
        usable_s = self._settings.length_s - self._settings.margin_s
        return now_s + usable_s, now_ns + round(usable_s * NS_PER_S)
