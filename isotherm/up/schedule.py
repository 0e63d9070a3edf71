"""Jobs that are submitted and cancelled at their times, as a person would."""

from collections.abc import Callable, Sequence
from functools import partial

import structlog

from api.client import ApiClient, ApiError
from isotherm.up.demo import DemoJob

_log = structlog.get_logger(__name__)


class JobSchedule:
    """Does nothing at all where people's jobs are, or were, before it began."""

    def __init__(self, api: ApiClient, jobs: Sequence[DemoJob]) -> None:
        self._api = api
        self._waiting = [] if api.jobs() else sorted(jobs, key=lambda job: job.start_s)
        self._ends: list[tuple[float, str]] = []

    def follow(self, now_s: float) -> None:
        """`now_s` in emulated seconds. What the API does not answer is asked again next time; what
        it refuses is told in the log, and left.
        """
        while self._waiting and self._waiting[0].start_s <= now_s:
            if not self._submit(self._waiting[0]):
                return
            self._waiting.pop(0)
        for end_s, job_id in [end for end in self._ends if end[0] <= now_s]:
            if self._done(partial(self._api.cancel, job_id), job_id):
                self._ends.remove((end_s, job_id))

    def _submit(self, job: DemoJob) -> bool:
        def submit() -> None:
            found = self._api.submit(
                name=job.name,
                model=job.model,
                chips=job.chips,
                tensor_parallel=job.tensor_parallel,
                idempotency_key=f"demo-{job.name}",
            )
            if job.end_s is not None:
                self._ends.append((job.end_s, found["id"]))

        return self._done(submit, job.name)

    def _done(self, ask: Callable[[], object], what: str) -> bool:
        """False: to be asked again."""
        try:
            ask()
        except ApiError as error:
            if error.status is None:
                return False
            _log.warning("job_refused", job=what, detail=str(error))
        return True
