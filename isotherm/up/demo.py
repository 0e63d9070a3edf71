"""The jobs that a new data center starts with, so that there is something to see."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoJob:
    name: str
    model: str
    chips: int
    tensor_parallel: int
    start_s: float = 0.0
    """Emulated seconds after the beginning."""
    end_s: float | None = None
    """None: it stays."""


DEMO_JOBS: Final = (
    DemoJob(name="chat-70b", model="llama-3-70b", chips=96, tensor_parallel=4),
    DemoJob(name="assistant-405b", model="llama-3.1-405b", chips=64, tensor_parallel=16),
    DemoJob(name="code-8b", model="llama-3-8b", chips=40, tensor_parallel=1),
    DemoJob(name="agents-moe", model="gpt-oss-120b", chips=48, tensor_parallel=4),
)
"""86 % of two UltraServers: room stays to move a gang."""
