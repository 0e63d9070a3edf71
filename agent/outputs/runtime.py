from http import HTTPStatus
from urllib.parse import quote

import msgspec

from agent.transport import Transport, refusal, send_json
from fleet.commands import StartJob
from fleet.errors import CommandRefusedError, DeviceError


class JobRuntime:
    """The program on a sled that runs its share of a job."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def start(self, job: StartJob) -> None:
        """Idempotent. CommandRefusedError for a model that it does not know."""
        path = _path(job.job_id)
        document = {
            "attempt": job.attempt,
            "model": job.model,
            "chips": job.chips,
            "tensor_parallel": job.tensor_parallel,
            "gang": job.gang,
        }
        status, body = self._transport.request("PUT", path, msgspec.json.encode(document))
        if status in (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT):
            return
        if status == HTTPStatus.UNPROCESSABLE_ENTITY:
            raise CommandRefusedError(f"PUT {path}: {refusal(status, body)}")
        raise DeviceError(f"PUT {path}: {refusal(status, body)}")

    def stop(self, job_id: str, attempt: int) -> None:
        """Idempotent; a later attempt is left alone."""
        send_json(self._transport, "DELETE", f"{_path(job_id)}?attempt={attempt}", None)


def _path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"
