"""What was learnt of loops outlives the process, and a loop's way to another controller."""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

import structlog

from controller.background import begin, settle
from controller.hardware import Marks, marks
from controller.identities import Identities
from controller.identity_record import decode_identity, encode_identity, hardware_in
from controller.store import Store, Transaction
from fleet.clock import Clock
from fleet.errors import MalformedMessageError, StoreError
from fleet.topology import FleetMap
from thermal.model.identity import LoopIdentity

_log = structlog.get_logger(__name__)

Check = Callable[[Transaction], None]

KEEP_S: Final = 300.0
"""How often a loop's is written, each in its turn: what a crash takes is a few lessons."""
_MOST_READ: Final = 50
_MOST_WRITTEN: Final = 20
"""Loops at a time: a thousand are read within half a minute, and written within `KEEP_S`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    read: Sequence[str]
    write: Mapping[str, bytes]
    check: Check


@dataclass(slots=True, kw_only=True)
class _Done:
    read: Mapping[str, tuple[LoopIdentity, Marks] | None] = field(default_factory=dict)
    standing: Mapping[str, Marks] = field(default_factory=dict)
    """What is enrolled in the places of those loops."""
    written: Sequence[str] = ()


class IdentityKeeper:
    """Reads and writes a few loops at a time. After `start` in a thread, which nobody waits for;
    one other thread uses it.
    """

    def __init__(
        self,
        identities: Identities,
        fleet_map: FleetMap,
        store: Store,
        clock: Clock,
    ) -> None:
        self._identities = identities
        self._map = fleet_map
        self._store = store
        self._clock = clock
        self._threaded = False
        self._job: Future[_Done] | None = None
        self._kept_at_s: dict[str, float] = {}

    def start(self) -> None:
        self._threaded = True

    def turn(self, check: Check) -> None:
        """Hand out what was read since the last call, and begin what is due; `check` may refuse
        what is written. Raises StoreError when a job failed; it is begun anew by the next call.
        """
        self._collect(0.0)
        if self._job is not None:
            return
        read, write = self._identities.orphans()[:_MOST_READ], self._documents(self._due())
        if read or write:
            self._begin(_Job(read=read, write=write, check=check))
            if not self._threaded:
                self._collect(0.0)

    def finish(self, check: Check, timeout_s: float) -> None:
        """Write all that was learnt, for whoever goes on; StoreError when that takes too long."""
        end_s = self._clock.monotonic_s() + timeout_s
        if not self._collect(timeout_s):
            raise StoreError(f"what was learnt of loops was not written within {timeout_s:g} s")
        held = [loop_id for loop_id, _, _ in self._identities.known()]
        write = self._documents({one: self._worth(one) for one in held})
        if not write:
            return
        self._begin(_Job(read=(), write=write, check=check))
        if not self._collect(max(end_s - self._clock.monotonic_s(), 0.0)):
            raise StoreError(f"what was learnt of loops was not written within {timeout_s:g} s")

    def _due(self) -> dict[str, LoopIdentity]:
        now_s = self._clock.monotonic_s()
        held = [loop_id for loop_id, _, _ in self._identities.known()]
        self._kept_at_s = {one: self._kept_at_s.get(one, now_s - _turn_s(one)) for one in held}
        late = [one for one in held if now_s - self._kept_at_s[one] >= KEEP_S]
        found: dict[str, LoopIdentity] = {}
        for loop_id in sorted(late, key=self._kept_at_s.__getitem__)[:_MOST_WRITTEN]:
            identity = self._worth(loop_id)
            if identity is None:
                self._kept_at_s[loop_id] = now_s - _turn_s(loop_id)
            else:
                found[loop_id] = identity
        return found

    def _worth(self, loop_id: str) -> LoopIdentity | None:
        """What is worth keeping of a loop; None while nothing was learnt."""
        identity = self._identities.learnt(loop_id)
        return identity if identity is not None and identity.begun else None

    def _begin(self, job: _Job) -> None:
        if self._threaded:
            self._job = begin("identities", lambda: self._done(job))
        else:
            self._job = Future()
            settle(self._job, lambda: self._done(job))

    def _done(self, job: _Job) -> _Done:
        done = _Done()
        standing: dict[str, Marks] = {}
        if job.read:
            with self._store.read() as tx:
                found = tx.loop_identities.of(job.read)
                standing |= self._standing(tx, job.read)
            done.read = {one: self._decoded(one, found.get(one)) for one in job.read}
        if job.write:
            with self._store.begin() as tx:
                tx.loop_identities.put(job.write, at_unix_ns=self._clock.unix_ns())
                standing |= self._standing(tx, job.write)
                job.check(tx)
            done.written = tuple(job.write)
        done.standing = standing
        return done

    def _standing(self, tx: Transaction, loop_ids: Iterable[str]) -> dict[str, Marks]:
        rows = {one: self._map.loop(one) for one in loop_ids}
        sleds = chain.from_iterable(
            self._map.sled_ids[self._map.sleds_in_loop(row)] for row in rows.values()
        )
        enrolled = tx.enrolments.of(sleds)
        return {one: marks(self._map, row, enrolled) for one, row in rows.items()}

    def _documents(self, learnt: Mapping[str, LoopIdentity | None]) -> dict[str, bytes]:
        return {
            loop_id: encode_identity(identity, self._identities.hardware(loop_id))
            for loop_id, identity in learnt.items()
            if identity is not None
        }

    def _decoded(self, loop_id: str, document: bytes | None) -> tuple[LoopIdentity, Marks] | None:
        if document is None:
            return None
        chips = self._map.chips_in_loop(self._map.loop(loop_id))
        settings = self._identities.settings[loop_id]
        try:
            identity = decode_identity(document, settings, chips.stop - chips.start)
        except MalformedMessageError as error:
            _log.warning("identity_left_out", loop=loop_id, reason=str(error))
            return None
        return identity, hardware_in(document)

    def _collect(self, timeout_s: float) -> bool:
        """Whether nothing is under way any more."""
        if self._job is None:
            return True
        if not wait([self._job], timeout_s).done:
            return False
        job, self._job = self._job, None
        done = job.result()
        for loop_id, before in done.read.items():
            self._identities.inherit(loop_id, *(before or (None,)))
        for loop_id, hardware in done.standing.items():
            self._identities.stands(loop_id, hardware)
        now_s = self._clock.monotonic_s()
        self._kept_at_s |= dict.fromkeys(done.written, now_s)
        return True


def _turn_s(loop_id: str) -> float:
    """Loops are written in turn, not together."""
    return zlib.crc32(loop_id.encode()) % 997 / 997 * KEEP_S
