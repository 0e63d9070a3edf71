from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import msgspec
from sqlalchemy import Connection, Row, select, update

from controller.placement.job import FINAL_STATES, Job, JobState
from controller.store.tables import JOBS
from controller.store.upsert import insert_absent, upsert

_decoder: Final = msgspec.msgpack.Decoder(Job)
_encoder: Final = msgspec.msgpack.Encoder()
_FINAL: Final = [state.value for state in FINAL_STATES]


class Jobs:
    """Jobs as people asked for them and as the controller runs them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, job: Job) -> bool:
        """False when a job of this id is there already; then nothing is changed."""
        return insert_absent(self._connection, JOBS, _values(job))

    def save(self, jobs: Iterable[Job]) -> None:
        """Write jobs as they are now; a cancellation that came meanwhile stays."""
        rows = [_values(job) for job in jobs]
        upsert(self._connection, JOBS, rows, keep=["cancel_requested"])

    def cancel(self, job_id: str) -> bool:
        """Ask for the end of a job; False when there is none or it has ended already."""
        asked = (
            update(JOBS)
            .where(JOBS.c.id == job_id, JOBS.c.state.not_in(_FINAL))
            .values(cancel_requested=True)
        )
        return self._connection.execute(asked).rowcount == 1

    def get(self, job_id: str) -> Job | None:
        row = self._connection.execute(select(JOBS).where(JOBS.c.id == job_id)).first()
        return None if row is None else _job(row)

    def unfinished(self) -> list[Job]:
        """All that wait, run or are being stopped, oldest first."""
        chosen = select(JOBS).where(JOBS.c.state.not_in(_FINAL))
        ordered = chosen.order_by(JOBS.c.submitted_at_unix_ns, JOBS.c.id)
        return [_job(row) for row in self._connection.execute(ordered)]

    def page(
        self,
        *,
        state: JobState | None = None,
        limit: int = 100,
        after: tuple[int, str] | None = None,
    ) -> list[Job]:
        """Newest first; `after` is (submitted_at_unix_ns, id) of the page before's last."""
        chosen = select(JOBS).order_by(JOBS.c.submitted_at_unix_ns.desc(), JOBS.c.id.desc())
        if state is not None:
            chosen = chosen.where(JOBS.c.state == state.value)
        if after is not None:
            at, job_id = after
            same = (JOBS.c.submitted_at_unix_ns == at) & (JOBS.c.id < job_id)
            chosen = chosen.where((JOBS.c.submitted_at_unix_ns < at) | same)
        return [_job(row) for row in self._connection.execute(chosen.limit(limit))]


def _values(job: Job) -> dict[str, object]:
    return {
        "id": job.id,
        "state": job.state.value,
        "submitted_at_unix_ns": job.submitted_at_unix_ns,
        "cancel_requested": job.cancel_requested,
        "document": _encoder.encode(job),
    }


def _job(row: Row[tuple[object, ...]]) -> Job:
    job = _decoder.decode(row.document)
    return replace(job, cancel_requested=True) if row.cancel_requested else job
