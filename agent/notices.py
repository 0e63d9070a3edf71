"""What an agent has to say besides its frames: answers to commands, and events."""

from collections import deque

from fleet.clock import Clock
from fleet.commands import Ack
from fleet.events import Event, EventKind


class Notices:
    """Written by the tick and by the command thread, taken by the runtime."""

    def __init__(self, agent_id: str, epoch: int, clock: Clock) -> None:
        self._agent_id = agent_id
        self._epoch = epoch
        self._clock = clock
        self._events = 0
        self._waiting: deque[Ack | Event] = deque()

    def answer(self, ack: Ack) -> None:
        self._waiting.append(ack)

    def tell_start(self, *, loss_window_s: float) -> None:
        """`loss_window_s` is what a power cut may take; a crash of the process takes nothing."""
        detail = {"epoch": str(self._epoch), "loss_window_s": f"{loss_window_s:g}"}
        self.tell(EventKind.AGENT_STARTED, "start", detail)

    def tell(self, kind: EventKind, cause: str, detail: dict[str, str]) -> None:
        self._events += 1
        self._waiting.append(
            Event(
                id=f"{self._agent_id}@{self._epoch}.event{self._events}",
                kind=kind,
                subject=self._agent_id,
                at_unix_ns=self._clock.unix_ns(),
                cause=cause,
                detail=detail,
            )
        )

    def take(self) -> list[Ack | Event]:
        return [self._waiting.popleft() for _ in range(len(self._waiting))]
