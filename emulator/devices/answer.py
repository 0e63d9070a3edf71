"""What an HTTP-like device says, whether HTTP carries it or not."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = field(default=())
    """Beyond Content-Type, which is JSON wherever there is a body."""
