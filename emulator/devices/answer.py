"""What an HTTP-like device says, whether HTTP carries it or not."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = field(default=())
    """Beyond the type and length of the body."""
    content_type: str = "application/json"
