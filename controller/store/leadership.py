"""Which shards of the fleet one controller leads, and whether it leads placement."""

import zlib
from collections.abc import Iterable, Mapping
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
    forget_s: float = 600.0
    """A controller that was not seen for so long has left for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sighting:
    lease: Lease
    since_s: float
    """Since when its row has looked so, by the watcher's own monotonic clock."""


class Leadership:
    """The leases of one controller. One thread calls all but `held`, which any may ask.

    Controllers share the shards evenly: each takes free ones up to its share, and finds in
    `surplus` what it should give back. A lease is free when it was given back, or when its row has
    not changed for `length_s` before the eyes of the one who takes it: so wall clocks need not
    agree.
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
        self._leases: Mapping[str, Lease] = {}
        self._until: Mapping[str, tuple[float, int]] = {}
        """Until when each lease may be used, by the monotonic and by the wall clock."""
        self._sightings: dict[str, _Sighting] = {}
        self._controllers = 1
        self._next_try_s = -1e18

    def keep(self) -> Mapping[str, int]:
        """Renew and take leases when it is time to; the terms of those that hold now."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._next_try_s or not all(map(self.held, self._leases)):
            self._next_try_s = now_s + self._settings.renew_s
            try:
                self._renew()
                self._take_free()
            except StoreError as error:
                # Until they run out, the leases are ours, whether or not the database answers.
                _log.warning("leases_not_renewed", error=str(error))
        return {
            name: lease.term
            for name, lease in self._leases.items()
            if name != self._presence and self.held(name)
        }

    def held(self, name: str) -> bool:
        """By both clocks: one steps when it is set, the other sleeps when the machine does."""
        until_s, until_unix_ns = self._until.get(name, (-1e18, 0))
        return self._clock.monotonic_s() < until_s and self._clock.unix_ns() < until_unix_ns

    def term(self, name: str) -> int:
        """KeyError when it is not in hand."""
        return self._leases[name].term

    def check(self, tx: Transaction) -> None:
        """Lock the rows of all leases in hand until the transaction ends, so that nobody takes over
        meanwhile; LeaseLostError when one has run out or was taken.
        """
        leases = [lease for name, lease in self._leases.items() if name != self._presence]
        self._limit(tx)
        good = tx.leases.hold(leases)
        bad = [one.name for one in leases if one not in good or not self.held(one.name)]
        if bad:
            raise LeaseLostError(f"{self._holder} no longer holds {', '.join(bad)}")

    def surplus(self) -> tuple[str, ...]:
        """Shards beyond this controller's share; the caller ends its work on them first."""
        mine = sorted(name for name in self._leases if name in self._shards)
        return tuple(mine[self._share() :])

    def give_back(self, names: Iterable[str] | None = None) -> None:
        """Let others take these leases at once; all of them, when this controller leaves."""
        given = [self._leases[name] for name in (self._leases if names is None else names)]
        gone = {lease.name for lease in given}
        self._leases = {n: lease for n, lease in self._leases.items() if n not in gone}
        self._until = {n: until for n, until in self._until.items() if n not in gone}
        if given:
            with self._store.begin() as tx:
                tx.leases.give_back(given)

    def _share(self) -> int:
        return -(-len(self._shards) // self._controllers)

    def _renew(self) -> None:
        # Times are taken before the call: a slow database shortens a lease, never stretches it.
        now_s, now_ns = self._clock.monotonic_s(), self._clock.unix_ns()
        until_ns = self._later(now_ns)
        with self._store.begin() as tx:
            self._limit(tx)
            kept = tx.leases.renew(self._leases.values(), until_unix_ns=until_ns)
            rows = tx.leases.all()
        lost = sorted(self._leases.keys() - {lease.name for lease in kept})
        if lost:
            _log.warning("leases_lost", holder=self._holder, names=lost)
        self._leases = {lease.name: lease for lease in kept}
        self._until = dict.fromkeys(self._leases, self._usable(now_s, now_ns))
        self._watch(rows)

    def _watch(self, rows: Iterable[Lease]) -> None:
        # What was read is at most as new as now: a lease is believed in for too long, never too
        # short.
        now_s = self._clock.monotonic_s()
        before, self._sightings = self._sightings, {}
        for lease in rows:
            old = before.get(lease.name)
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
            self._limit(tx)
            taken = [self._take(tx, name, until_ns) for name in wanted]
            if gone:
                tx.leases.forget(gone)
        won = {lease.name: lease for lease in taken if lease is not None}
        self._leases = {**self._leases, **won}
        self._until = {**self._until, **dict.fromkeys(won, self._usable(now_s, now_ns))}
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

    def _limit(self, tx: Transaction) -> None:
        # Locks of a process that was stopped must be gone before its leases are free.
        tx.leases.limit(self._settings.length_s / 2)

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
