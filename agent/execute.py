"""Commands in: is it for now, from the controller in office, and new? Then it is done, once."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from agent.durable import AgentMemory
from fleet.clock import Clock
from fleet.commands import Ack, Command, Outcome
from fleet.errors import CommandRefusedError, DeviceError

_REMEMBERED: Final = 256

Apply = Callable[[Command], str]
"""Carries a command out; gives a detail for the acknowledgement, or raises CommandRefusedError
(outside local limits) or DeviceError (the device did not take it).
"""


class Executor:
    """Decides on one agent's commands. One thread calls `execute`."""

    def __init__(self, agent_id: str, memory: AgentMemory, clock: Clock, apply: Apply) -> None:
        self._agent_id = agent_id
        self._memory = memory
        self._clock = clock
        self._apply = apply
        self._done: OrderedDict[str, Ack] = OrderedDict()

    def execute(self, command: Command) -> Ack:
        """The answer; the same as before to a command that was carried out already."""
        if command.id in self._done:
            return self._done[command.id]
        outcome, detail = self._judge(command)
        ack = acknowledge(command, outcome, detail, self._clock.unix_ns())
        self._done[command.id] = ack
        while len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)
        return ack

    def _judge(self, command: Command) -> tuple[Outcome, str]:
        late_ns = self._clock.unix_ns() - command.expires_at_unix_ns
        if late_ns >= 0:
            return Outcome.REFUSED_EXPIRED, f"expired {late_ns / 1e9:.3f} s ago"
        if command.term < self._memory.term:
            return Outcome.REFUSED_TERM, f"term {self._memory.term} has been seen"
        try:
            # On disk before it takes effect, so that a restart does not let an old one in again.
            self._memory.raise_term(command.term)
            return Outcome.APPLIED, self._apply(command)
        except CommandRefusedError as error:
            return Outcome.REFUSED_LIMITS, str(error)
        except DeviceError as error:
            return Outcome.FAILED, str(error)
        except OSError as error:
            return Outcome.FAILED, f"the term could not be stored: {error.strerror}"


def acknowledge(command: Command, outcome: Outcome, detail: str, at_unix_ns: int) -> Ack:
    return Ack(
        command_id=command.id,
        target=command.target,
        term=command.term,
        seq=command.seq,
        outcome=outcome,
        detail=detail,
        at_unix_ns=at_unix_ns,
    )
