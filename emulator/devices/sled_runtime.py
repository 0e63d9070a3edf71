"""The job runtime of a sled: what its agent tells to start and stop shares of gangs.

`/metrics` is that of the serving engines which it runs.
"""

import threading
from typing import Annotated, Final
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from emulator.devices import vllm_metrics
from emulator.devices.answer import Answer
from emulator.devices.view import WorldView
from emulator.faults.reach import check_answers
from emulator.models import SERVED
from emulator.readings import JobSpec, RunningJob

JOBS: Final = "/v1/jobs"
METRICS: Final = "/metrics"

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Share(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PUT /v1/jobs/{job_id}`."""

    attempt: _Count
    model: _Name
    chips: tuple[Annotated[int, msgspec.Meta(ge=0, lt=64)], ...]
    tensor_parallel: Annotated[int, msgspec.Meta(ge=1, le=1024)]
    gang: tuple[_Name, ...]


class _RefusedError(Exception):
    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail

    def answer(self) -> Answer:
        body = {"title": self.title, "status": self.status, "detail": self.detail}
        return Answer(status=self.status, body=msgspec.json.encode(body))


class SledRuntime:
    """Starts and stops jobs on one sled.

    PUT is idempotent: 201 for a new share, 200 for the same again or for a later attempt that
    takes the place of an earlier one. 409: chips busy, or a conflict with what runs. 422: a share
    that this sled can not run. 503: the sled is off.
    """

    def __init__(self, world: WorldView, row: int) -> None:
        self._world = world
        self._row = row
        self._chips = int(world.fleet_map.chips_of_sled[row])
        self._sled_id = world.fleet_map.sled_ids[row]
        # Between the check for free chips and the start, nobody else may start.
        self._starting = threading.Lock()

    def request(self, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
        answer = self.handle(method, target, body)
        return answer.status, answer.body

    def handle(self, method: str, target: str, body: bytes | None = None) -> Answer:
        """Answer to one request; DeviceError while the sled is cut off."""
        check_answers(self._sled_id, self._world.sled_readings(self._row))
        try:
            if not self._world.sled_readings(self._row).powered:
                raise _RefusedError(503, "Sled is off", f"{self._sled_id} is switched off")
            return self._route(method, target, body)
        except _RefusedError as refused:
            return refused.answer()

    def _route(self, method: str, target: str, body: bytes | None) -> Answer:
        try:
            parts = urlsplit(target)
        except ValueError:
            raise _RefusedError(404, "Not found", f"no resource at {target}") from None
        path = parts.path.rstrip("/")
        if path == JOBS:
            return self._on_jobs(method)
        if path == METRICS:
            return self._on_metrics(method)
        job_id = unquote(path.removeprefix(f"{JOBS}/"))
        if not path.startswith(f"{JOBS}/") or not 1 <= len(job_id) <= 200:
            raise _RefusedError(404, "Not found", f"no resource at {path}; jobs are at {JOBS}")
        match method:
            case "PUT":
                return self._start(job_id, body)
            case "DELETE":
                return self._stop(job_id, parts.query)
            case "GET" | "HEAD":
                return self._one(job_id)
            case _:
                return _not_allowed(method, path, "GET, HEAD, PUT, DELETE")

    def _on_jobs(self, method: str) -> Answer:
        if method not in {"GET", "HEAD"}:
            return _not_allowed(method, JOBS, "GET, HEAD")
        wanted = self._world.sled_requests(self._row).jobs
        running = {job.job_id: job for job in self._world.sled_readings(self._row).jobs}
        jobs = [_described(spec, running.get(job_id)) for job_id, spec in wanted.items()]
        return Answer(status=200, body=msgspec.json.encode({"jobs": jobs}))

    def _on_metrics(self, method: str) -> Answer:
        if method not in {"GET", "HEAD"}:
            return _not_allowed(method, METRICS, "GET, HEAD")
        body = vllm_metrics.render(self._world.sled_readings(self._row).jobs)
        return Answer(status=200, body=body, content_type=vllm_metrics.CONTENT_TYPE)

    def _one(self, job_id: str) -> Answer:
        spec = self._world.sled_requests(self._row).jobs.get(job_id)
        if spec is None:
            raise _RefusedError(404, "Not found", f"{self._sled_id} runs no job {job_id}")
        jobs = self._world.sled_readings(self._row).jobs
        running = next((job for job in jobs if job.job_id == job_id), None)
        return Answer(status=200, body=msgspec.json.encode(_described(spec, running)))

    def _start(self, job_id: str, body: bytes | None) -> Answer:
        spec = self._checked(job_id, _decoded(body))
        requests = self._world.sled_requests(self._row)
        with self._starting:
            known = requests.jobs.get(job_id)
            if known != spec:
                self._admit(spec, known)
                requests.start_job(spec)
        status = 201 if known is None else 200
        return Answer(status=status, body=msgspec.json.encode(_described(spec, None)))

    def _checked(self, job_id: str, share: _Share) -> JobSpec:
        for wrong, detail in (
            (share.model not in SERVED, f"unknown model {share.model}; known: {_names()}"),
            (not share.chips, "chips is empty"),
            (len(set(share.chips)) != len(share.chips), "chips names a chip twice"),
            (
                any(chip >= self._chips for chip in share.chips),
                f"chips must be 0 to {self._chips - 1} on {self._sled_id}",
            ),
            (self._sled_id not in share.gang, f"gang does not hold {self._sled_id} itself"),
            (len(set(share.gang)) != len(share.gang), "gang names a sled twice"),
        ):
            if wrong:
                raise _RefusedError(422, "Share can not run here", detail)
        return JobSpec(
            job_id=job_id,
            attempt=share.attempt,
            model=share.model,
            chips=share.chips,
            tensor_parallel=share.tensor_parallel,
            gang=share.gang,
        )

    def _admit(self, spec: JobSpec, known: JobSpec | None) -> None:
        """Refuse a share whose chips are held, or that would undo a newer attempt."""
        if known is not None and spec.attempt <= known.attempt:
            raise _RefusedError(
                409,
                "Attempt is not newer",
                f"job {spec.job_id} runs attempt {known.attempt} with another share; stop it or"
                " send a later attempt",
            )
        jobs = self._world.sled_requests(self._row).jobs
        for other in jobs.values():
            busy = set(other.chips) & set(spec.chips)
            if busy and other.job_id != spec.job_id:
                chips = ", ".join(str(chip) for chip in sorted(busy))
                raise _RefusedError(
                    409, "Chips busy", f"chips {chips} are held by job {other.job_id}"
                )

    def _stop(self, job_id: str, query: str) -> Answer:
        """`?attempt=n` leaves a later attempt alone."""
        attempts = parse_qs(query).get("attempt", [])
        requests = self._world.sled_requests(self._row)
        with self._starting:
            spec = requests.jobs.get(job_id)
            if spec is not None and not (attempts and spec.attempt > _attempt(attempts[0])):
                requests.stop_job(job_id)
        return Answer(status=204)


def _decoded(body: bytes | None) -> _Share:
    try:
        return _decoder.decode(body or b"")
    except msgspec.ValidationError as error:
        raise _RefusedError(422, "Share can not run here", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _RefusedError(400, "Malformed JSON", str(error)) from None


def _attempt(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise _RefusedError(400, "Malformed query", f"attempt={text} is not a count")
    return int(text)


def _described(spec: JobSpec, running: RunningJob | None) -> dict[str, object]:
    described: dict[str, object] = {
        "job_id": spec.job_id,
        "attempt": spec.attempt,
        "model": spec.model,
        "chips": spec.chips,
        "tensor_parallel": spec.tensor_parallel,
        "gang": spec.gang,
        "state": "starting",
    }
    if running is not None and running.attempt == spec.attempt:
        described |= {
            "state": running.state.value,
            "completed_total": running.completed_total,
            "errors_total": running.errors_total,
            "requests_completed_total": running.requests_completed_total,
        }
    return described


def _not_allowed(method: str, path: str, allow: str) -> Answer:
    body = _RefusedError(405, "Method not allowed", f"{path} does not take {method}").answer().body
    return Answer(status=405, body=body, headers=(("Allow", allow),))


def _names() -> str:
    return ", ".join(sorted(SERVED))


_decoder: Final = msgspec.json.Decoder(_Share)
