"""A connection to PostgreSQL on which nobody waits for ever."""

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus


def connect_within(patience_s: float) -> Callable[..., psycopg.Connection[Any]]:
    """`psycopg.connect`, but each question on the connection must be answered in `patience_s`.

    The network's own limits do not see a server that is stopped, or a middleman that takes
    everything and passes nothing on: those acknowledge what they are sent.
    """

    class Patient(psycopg.Connection[Any]):
        def wait(self, gen: Any, *args: Any, **settings: Any) -> Any:
            try:
                return super().wait(gen, *args, **{"timeout": patience_s, **settings})
            except psycopg.OperationalError:
                if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                    # The answer may still come, and would be taken for that of the next question.
                    self.pgconn.finish()
                raise

    return Patient.connect
