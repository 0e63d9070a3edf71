"""What really happened in the memories: for scoring, never for devices."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray


class FaultClass(StrEnum):
    CELL = "cell"  # one bit or word
    ROW = "row"  # cells of one row of a bank
    COLUMN = "column"  # cells of one column of a bank
    BANK = "bank"  # anywhere in a bank
    CHANNEL = "channel"  # anywhere in a channel: TSV, pseudo-channel, stack


class MemoryTruth(StrEnum):
    LATENT = "latent"  # a location became faulty
    CORRECTED = "corrected"  # `count` corrected errors at one address
    UNCORRECTED = "uncorrected"  # after `count` corrected errors at this location
    REPAIRED = "repaired"  # rows were remapped at a driver reload
    REPAIR_FAILED = "repair_failed"  # they could not be; the chip is lost
    SRAM_UNCORRECTED = "sram_uncorrected"  # the chip is lost
    REPLACED = "replaced"  # another chip stands in its place


CLASSES: Final = tuple(FaultClass)
KINDS: Final = tuple(MemoryTruth)
CODE_OF_KIND: Final = {kind: code for code, kind in enumerate(KINDS)}
ADDRESS: Final = ("stack", "channel", "bank", "row", "column")
TRUTH_ROW: Final = np.dtype(
    [
        ("at_s", "f8"),
        ("kind", "i1"),
        ("chip", "i4"),
        ("location", "i8"),
        ("fault_class", "i1"),
        *((name, "i4") for name in ADDRESS),
        ("count", "i8"),
    ]
)
"""`kind` and `fault_class` are places in `KINDS` and `CLASSES`; -1 is not applicable."""

Rows = NDArray[np.void]


class TruthLog:
    """The last `most` rows since they were taken; older ones are dropped and counted."""

    def __init__(self, *, most: int = 100_000) -> None:
        self._most = most
        self._chunks: list[Rows] = []
        self._kept = 0
        self.dropped_total = 0

    def add(self, kind: MemoryTruth, rows: int, **columns: Any) -> None:
        """Columns that are not named are -1, counts 0."""
        if not rows:
            return
        chunk = np.full(rows, -1, dtype=TRUTH_ROW)
        chunk["count"] = 0
        chunk["kind"] = CODE_OF_KIND[kind]
        for name, values in columns.items():
            chunk[name] = values
        self._chunks.append(chunk)
        self._kept += rows
        while self._kept > self._most and len(self._chunks) > 1:
            gone = len(self._chunks.pop(0))
            self._kept -= gone
            self.dropped_total += gone

    def take(self) -> Rows:
        """Rows since the last call, of type `TRUTH_ROW`."""
        taken = np.concatenate([np.zeros(0, dtype=TRUTH_ROW), *self._chunks])
        self._chunks, self._kept = [], 0
        return taken


def in_words(rows: Rows) -> Iterator[dict[str, Any]]:
    """Rows as documents, without the columns that do not apply."""
    names = rows.dtype.names or ()
    for row in rows.tolist():
        document = {name: value for name, value in zip(names, row, strict=True) if value != -1}
        document["kind"] = KINDS[document["kind"]]
        if "fault_class" in document:
            document["fault_class"] = CLASSES[document["fault_class"]]
        yield document
