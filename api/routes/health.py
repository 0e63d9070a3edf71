from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from starlette.responses import JSONResponse

from api.desk import AtDesk
from api.problems import Problem, problem_response
from fleet.errors import StoreError

router = APIRouter(tags=["health"])


class Healthy(BaseModel):
    """All is well."""

    status: str = "ok"


@router.get("/livez", summary="Whether this process answers")
def live() -> Healthy:
    return Healthy()


@router.get(
    "/readyz",
    summary="Whether the database answers and every loop has been heard lately",
    response_model=Healthy,
    responses={503: {"model": Problem}},
)
def ready(desk: AtDesk, request: Request) -> Response:
    reasons = []
    try:
        desk.store.ping()
    except StoreError as error:
        reasons.append(str(error))
    fresh_s = desk.options.live_fresh_s
    silent = desk.live.silent(fresh_s)
    if silent:
        shown = ", ".join(silent[:5]) + (f" and {len(silent) - 5} more" if len(silent) > 5 else "")
        reasons.append(f"no live view within {fresh_s:g} s of {shown}")
    if reasons:
        return problem_response(request, 503, "; ".join(reasons), kind="not-ready")
    return JSONResponse(Healthy().model_dump())
