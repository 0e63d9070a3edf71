"""What outlives a process: desired state, jobs, incidents, leases and the outbox, in SQL.

Domain objects go in and come out; rows never leave this package.
"""

from controller.store.database import Store, Transaction

__all__ = ["Store", "Transaction"]
