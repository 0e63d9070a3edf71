"""A database that can be taken away."""

from collections.abc import Iterator
from contextlib import contextmanager

from controller.store import Store, Transaction
from fleet.errors import StoreError


class FlakyStore(Store):
    """Answers while it is `available`; `asked` counts the transactions that were tried."""

    available = True
    asked = 0

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        self._refuse()
        with super().begin() as tx:
            yield tx

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        self._refuse()
        with super().read() as tx:
            yield tx

    def _refuse(self) -> None:
        self.asked += 1
        if not self.available:
            raise StoreError("the database is away")
