"""History is written beside the control cycle, which never waits for the store."""

from collections.abc import Callable
from concurrent.futures import Future, wait

from controller.background import begin
from controller.ingest.batch import Batch, Written
from controller.ingest.consume import Consumer
from controller.store import Store, Transaction
from fleet.errors import StoreError

Check = Callable[[Transaction], None]


class HistoryWriter:
    """Writes one batch at a time in a thread of its own, which the end of the process does not wait
    for. One other thread uses it.
    """

    def __init__(self, ingest: Consumer, store: Store) -> None:
        self._ingest = ingest
        self._store = store
        self._batch: Batch | None = None
        self._job: Future[Written] | None = None

    def turn(self, check: Check) -> Written:
        """Take what was written since the last call, and begin the next batch, which `check` may
        refuse. Raises StoreError when one failed; it is begun anew by the next call.
        """
        written = self._collect(0.0)
        if self._job is None:
            self._begin(check, everything=False)
        return written or Written()

    def finish(self, check: Check, timeout_s: float) -> Written:
        """Write all windows, open ones too; StoreError when that fails or takes too long."""
        self._collect(timeout_s)
        if self._job is None:
            self._begin(check, everything=True)
        written = self._collect(timeout_s)
        if written is None:
            raise StoreError(f"history was not written within {timeout_s:g} s")
        return written

    def _begin(self, check: Check, *, everything: bool) -> None:
        self._batch = batch = self._ingest.prepare(everything=everything)
        self._job = begin("history", lambda: self._ingest.write(self._store, batch, check))

    def _collect(self, timeout_s: float) -> Written | None:
        if self._job is None or self._batch is None:
            return None
        if not wait([self._job], timeout_s).done:
            return None
        job, batch = self._job, self._batch
        self._job = self._batch = None
        try:
            written = job.result()
        except BaseException:
            self._ingest.failed(batch)
            raise
        self._ingest.wrote(batch, written)
        return written
