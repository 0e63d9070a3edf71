"""Holding the leases of some cooling loops: all of them, or none."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog

from controller.store.database import Store, Transaction
from controller.store.leases import Lease
from fleet.clock import NS_PER_S, Clock
from fleet.errors import LeaseLostError, StoreError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseSettings:
    """A holder stops `margin_s` before others may start: their clocks may differ."""

    length_s: float = 10.0
    renew_s: float = 2.0
    margin_s: float = 2.0


class Leadership:
    """The leases of one controller. One thread calls `keep`; any may ask `held`."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        names: Iterable[str],
        holder: str,
        settings: LeaseSettings | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._names = sorted(names)
        self._holder = holder
        self._settings = settings or LeaseSettings()
        self._leases: Mapping[str, Lease] = {}
        self._until_s = 0.0
        self._until_unix_ns = 0
        self._next_try_s = -1e18
        self.gained_total = 0
        """How often the leases were won; a new number means that others may have led meanwhile."""

    def keep(self) -> bool:
        """Renew or win the leases when it is time to; whether they are held now."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._next_try_s or (self._leases and not self.held()):
            self._next_try_s = now_s + self._settings.renew_s
            try:
                self._try()
            except StoreError as error:
                # Until it runs out, the lease is ours, whether or not the database answers.
                _log.warning("lease_not_renewed", error=str(error), held=self.held())
        return self.held()

    def held(self) -> bool:
        """By both clocks: one steps when it is set, the other sleeps when the machine does."""
        return (
            bool(self._leases)
            and self._clock.monotonic_s() < self._until_s
            and self._clock.unix_ns() < self._until_unix_ns
        )

    def lease(self, name: str) -> Lease:
        """KeyError when it was never held."""
        return self._leases[name]

    def leases(self) -> tuple[Lease, ...]:
        return tuple(self._leases.values())

    def check(self, tx: Transaction) -> None:
        """Lock the leases' rows until the transaction ends, so that nobody takes over meanwhile;
        LeaseLostError when somebody has.
        """
        for lease in self._leases.values():
            if not tx.leases.holds(lease):
                raise LeaseLostError(f"lease {lease.name} was taken from {lease.holder}")

    def release(self) -> None:
        """Let others lead at once."""
        leases, self._leases = self._leases, {}
        if leases:
            with self._store.begin() as tx:
                for lease in leases.values():
                    tx.leases.release(lease)

    def _try(self) -> None:
        # Times are taken before the call: a slow database shortens the lease, never stretches it.
        now_s, now_ns = self._clock.monotonic_s(), self._clock.unix_ns()
        until_ns = now_ns + round(self._settings.length_s * NS_PER_S)
        had = bool(self._leases)
        with self._store.begin() as tx:
            leases: dict[str, Lease] = {}
            for name in self._names:
                held = self._leases.get(name)
                lease = (
                    tx.leases.renew(held, now_unix_ns=now_ns, until_unix_ns=until_ns)
                    if held
                    else tx.leases.acquire(
                        name, self._holder, now_unix_ns=now_ns, until_unix_ns=until_ns
                    )
                )
                if lease is None:
                    tx.undo()
                    leases = {}
                    break
                leases[name] = lease
        self._take(leases, had=had, now_s=now_s, until_ns=until_ns)

    def _take(self, leases: Mapping[str, Lease], *, had: bool, now_s: float, until_ns: int) -> None:
        self._leases = leases
        if not leases:
            if had:
                _log.warning("lease_lost", names=self._names)
            return
        usable_s = self._settings.length_s - self._settings.margin_s
        self._until_s = now_s + usable_s
        self._until_unix_ns = until_ns - round(self._settings.margin_s * NS_PER_S)
        if not had:
            self.gained_total += 1
            terms = {name: lease.term for name, lease in leases.items()}
            _log.info("lease_won", holder=self._holder, terms=terms)
