from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from api.desk import AtDesk
from api.metrics import registry_of

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    summary="Prometheus metrics of racks, CDUs and this process",
    response_class=PlainTextResponse,
)
def metrics(desk: AtDesk) -> Response:
    return Response(generate_latest(registry_of(desk)), media_type=CONTENT_TYPE_PLAIN_0_0_4)
