"""What the serving engines of a sled expose: vLLM's production metrics as Prometheus text.

Names, types and labels follow vLLM's documentation ("Production Metrics", V1 engine); of its many
series those are shown that the world knows.
"""

from collections.abc import Sequence
from typing import Final

from emulator.readings import RunningJob

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_RUNNING: Final = "vllm:num_requests_running"
_WAITING: Final = "vllm:num_requests_waiting"
_DONE: Final = "vllm:request_success"


def render(jobs: Sequence[RunningJob]) -> bytes:
    """One engine a job; without a job there are names and no series."""
    labels = [
        f'engine="{engine}",model_name="{_escaped(job.model)}"' for engine, job in enumerate(jobs)
    ]
    lines = [
        f"# HELP {_RUNNING} Number of requests in model execution batches.",
        f"# TYPE {_RUNNING} gauge",
        *(
            f"{_RUNNING}{{{label}}} {float(job.requests_running)}"
            for label, job in zip(labels, jobs, strict=True)
        ),
        f"# HELP {_WAITING} Number of requests waiting to be processed.",
        f"# TYPE {_WAITING} gauge",
        *(
            f"{_WAITING}{{{label}}} {float(job.requests_waiting)}"
            for label, job in zip(labels, jobs, strict=True)
        ),
        f"# HELP {_DONE}_total Count of successfully processed requests.",
        f"# TYPE {_DONE}_total counter",
        *(
            f'{_DONE}_total{{finished_reason="stop",{label}}} {float(job.requests_completed_total)}'
            for label, job in zip(labels, jobs, strict=True)
        ),
    ]
    return ("\n".join(lines) + "\n").encode()


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
