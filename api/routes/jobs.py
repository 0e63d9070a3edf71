import hashlib
import secrets
from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from api.desk import AtDesk, Desk, Wish, nudge, record
from api.pagination import Paged, TimePosition
from api.problems import RefusedRequestError
from api.routes.parameters import IdempotencyKey, RowId
from api.schemas.jobs import JobIn, JobOut, job_of, job_out
from api.schemas.page import Page
from controller.placement.job import JobState
from controller.store import Transaction
from controller.store.idempotency import Answered
from fleet.clock import NS_PER_S
from fleet.errors import UnknownIdError

router = APIRouter(prefix="/jobs", tags=["jobs"])


@router.post("", status_code=HTTPStatus.CREATED, summary="Submit a job")
def submit(
    body: JobIn,
    desk: AtDesk,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> JobOut:
    """The answer comes as soon as the job is stored; it is placed by the controller's next cycle,
    or waits with its reasons.
    """
    at_unix_ns = desk.clock.unix_ns()
    job = job_of(body, f"job-{secrets.token_hex(6)}", at_unix_ns)
    wish = Wish(action="submit_job", subject=job.id)
    with desk.store.begin() as transaction:
        earlier = _claim(desk, transaction, idempotency_key, body)
        if earlier is None:
            transaction.jobs.add(job)
            record(desk, transaction, wish, request)
            submitted = job_out(job)
            if idempotency_key is not None:
                transaction.idempotency.answer(
                    _stored(idempotency_key),
                    status=HTTPStatus.CREATED,
                    response=submitted.model_dump_json().encode(),
                )
    if earlier is None:
        nudge(desk, wish, request)
    else:
        submitted = JobOut.model_validate_json(earlier.response)
        response.headers["Idempotent-Replayed"] = "true"
    response.headers["Location"] = f"{request.url.path}/{submitted.id}"
    return submitted


@router.get("", summary="Jobs, newest first")
def jobs(desk: AtDesk, paged: Paged, state: JobState | None = None) -> Page[JobOut]:
    with desk.store.read() as transaction:
        found = transaction.jobs.page(state=state, limit=paged.limit + 1, after=paged.after())
    shown = found[: paged.limit]
    next_cursor = None
    if len(found) > len(shown):
        next_cursor = paged.next(TimePosition(shown[-1].submitted_at_unix_ns, shown[-1].id))
    return Page(items=[job_out(job) for job in shown], next_cursor=next_cursor)


@router.get("/{job_id:path}", summary="One job, and why it waits")
def job(job_id: RowId, desk: AtDesk) -> JobOut:
    with desk.store.read() as transaction:
        found = transaction.jobs.get(job_id)
    if found is None:
        raise UnknownIdError("job", job_id)
    return job_out(found)


@router.delete("/{job_id:path}", status_code=HTTPStatus.ACCEPTED, summary="Cancel a job")
def cancel(job_id: RowId, desk: AtDesk, request: Request) -> JobOut:
    """Its chips are free once its sleds have stopped it; one that has ended stays as it is."""
    wish = Wish(action="cancel_job", subject=job_id)
    with desk.store.begin() as transaction:
        asked = transaction.jobs.cancel(job_id)
        if asked:
            record(desk, transaction, wish, request)
        found = transaction.jobs.get(job_id)
    if found is None:
        raise UnknownIdError("job", job_id)
    if asked:
        nudge(desk, wish, request)
    return job_out(found)


def _claim(desk: Desk, transaction: Transaction, key: str | None, body: JobIn) -> Answered | None:
    """What an earlier request with this key was answered, None when this is the first."""
    if key is None:
        return None
    now_unix_ns = desk.clock.unix_ns()
    keep_ns = round(desk.options.idempotency_keep_s * NS_PER_S)
    transaction.idempotency.forget(before_unix_ns=now_unix_ns - keep_ns)
    digest = hashlib.blake2b(body.model_dump_json().encode(), digest_size=32).hexdigest()
    earlier = transaction.idempotency.claim(_stored(key), digest, at_unix_ns=now_unix_ns)
    if earlier is not None and earlier.request != digest:
        raise RefusedRequestError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"Idempotency-Key {key!r} was used for another job; take a new key",
            kind="idempotency-key-reused",
        )
    return earlier


def _stored(key: str) -> str:
    return f"POST /jobs {key}"
