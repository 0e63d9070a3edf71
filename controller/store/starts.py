from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, select

from controller.store.tables import AGENT_STARTS
from controller.store.upsert import upsert


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStart:
    """What an agent said when it last began: `loss_window_s` is how much of what it measured a
    power cut may take from its spool.
    """

    agent: str
    epoch: int
    loss_window_s: float
    at_unix_ns: int


class AgentStarts:
    """The newest start of each agent."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save(self, starts: Iterable[AgentStart]) -> None:
        """In order; one that is told again changes nothing."""
        rows = [
            {
                "agent": start.agent,
                "epoch": start.epoch,
                "loss_window_s": start.loss_window_s,
                "at_unix_ns": start.at_unix_ns,
            }
            for start in {start.agent: start for start in starts}.values()
        ]
        upsert(self._connection, AGENT_STARTS, rows)

    def all(self) -> list[AgentStart]:
        rows = self._connection.execute(select(AGENT_STARTS))
        return [
            AgentStart(
                agent=row.agent,
                epoch=row.epoch,
                loss_window_s=row.loss_window_s,
                at_unix_ns=row.at_unix_ns,
            )
            for row in rows
        ]
