"""Every refusal as a problem document (RFC 9457)."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from fleet.errors import BusError, IsothermError, StoreError, UnknownIdError

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 5
_log: Final = structlog.get_logger(__name__)


class FieldProblem(BaseModel):
    """What is wrong with one part of a request."""

    location: str = Field(description="body, query, path or header", examples=["body"])
    pointer: str = Field(description="JSON pointer inside the location", examples=["#/chips"])
    detail: str = Field(examples=["Input should be greater than or equal to 1"])


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    type: str = Field(examples=["urn:isotherm:problem:unknown-chip"])
    title: str = Field(examples=["Unknown chip"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["unknown chip 'h1/us09/r1/s01/c0'"])
    instance: str = Field(description="path of the request")
    request_id: str = Field(description="also in the X-Request-ID header and in the log")
    errors: list[FieldProblem] | None = None
    limit: str | None = Field(
        default=None,
        description="the limit in force that the request would break",
        examples=["supply_c 17..45 °C"],
    )
    predicted: str | None = Field(
        default=None,
        description="what the request would have done, by the controller's own model",
        examples=["the worst chip would reach up to 91.2 °C"],
    )


class RefusedRequestError(IsothermError):
    """A request that this server understands and will not carry out."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        kind: str | None = None,
        errors: Sequence[FieldProblem] = (),
        limit: str | None = None,
        predicted: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.errors = tuple(errors)
        self.limit = limit
        self.predicted = predicted


def problem_response(
    request: Request,
    status: int,
    detail: str,
    *,
    kind: str | None = None,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[FieldProblem] = (),
    refused: RefusedRequestError | None = None,
) -> JSONResponse:
    """`kind` names the sort of problem for programs; None when the status says it all."""
    title = kind.replace("-", " ").capitalize() if kind else _phrase(status)
    problem = Problem(
        type=f"urn:isotherm:problem:{kind}" if kind else "about:blank",
        title=title,
        status=status,
        detail=detail,
        instance=request.url.path,
        request_id=request_id(request),
        errors=list(errors) or None,
        limit=None if refused is None else refused.limit,
        predicted=None if refused is None else refused.predicted,
    )
    return JSONResponse(
        problem.model_dump(exclude_none=True),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers=dict(headers or {}),
    )


def request_id(request: Request) -> str:
    return str(getattr(request.state, "request_id", ""))


def install_problems(app: FastAPI) -> None:
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(IsothermError, _refused)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


async def _http(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    detail = str(error.detail)
    match error.status_code:
        case 404:
            detail = f"there is nothing at {request.url.path}"
        case 405:
            detail = f"{request.method} is not possible at {request.url.path}"
    return problem_response(request, error.status_code, detail, headers=error.headers)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    found = [_field_problem(entry) for entry in error.errors()]
    first = found[0]
    detail = f"{first.location} {first.pointer}: {first.detail}"
    if len(found) > 1:
        detail += f" (and {len(found) - 1} more)"
    return problem_response(request, 422, detail, kind="invalid-request", errors=found)


def _field_problem(entry: Mapping[str, Any]) -> FieldProblem:
    location, *rest = [str(part) for part in entry["loc"]]
    detail = str(entry["msg"]).removeprefix("Value error, ")
    if entry["type"] == "json_invalid":
        # Here the rest is no place in a document but a count of characters.
        detail = f"not JSON: {entry['ctx']['error']}, at character {rest[0]}"
        rest = []
    pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in rest)
    return FieldProblem(location=location, pointer=f"#{pointer}", detail=detail)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    match error:
        case RefusedRequestError():
            return problem_response(
                request,
                error.status,
                error.detail,
                kind=error.kind,
                errors=error.errors,
                refused=error,
            )
        case UnknownIdError():
            return problem_response(request, 404, str(error), kind=f"unknown-{error.kind}")
        case StoreError() | BusError():
            _log.warning("dependency is away", error=str(error), request_id=request_id(request))
            return problem_response(
                request,
                503,
                str(error),
                kind="unavailable",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        case _:
            raise error
