"""Real matrix products that stand for a model's work: executed, verified, counted."""

from emulator.workload.engine import Executed, Flop, Orders, WorkloadEngine
from emulator.workload.ledger import Corruption
from emulator.workload.options import ProductOptions
from emulator.workload.record import ProductRecord
from emulator.workload.shapes import LONGEST_ROWS, ProductShape, product_shape

__all__ = [
    "LONGEST_ROWS",
    "Corruption",
    "Executed",
    "Flop",
    "Orders",
    "ProductOptions",
    "ProductRecord",
    "ProductShape",
    "WorkloadEngine",
    "product_shape",
]
