import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from fleet.errors import MalformedMessageError
from fleet.metrics import BY_NAME, Kind, Scope, in_scope

FloatBlock = NDArray[np.float32]
CountBlock = NDArray[np.uint64]
IntBlock = NDArray[np.int64]

MISSING_COUNT: Final = 2**64 - 1
MAX_COLUMNS: Final = 4096
STATS: Final = ("min", "max", "mean", "count")
"""What is left of a column when an agent has had to thin it, in this order."""


class Reporter(StrEnum):
    SLED = "sled"  # a sled agent: chip and sled metrics
    CDU = "cdu"  # a CDU agent: CDU and pump metrics


class Column(msgspec.Struct, frozen=True, array_like=True):
    """A metric and which part it is of: the chip of the sled, the pump of the CDU, or 0."""

    metric: str
    part: int


class Schema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which columns a frame has and in what order; addressed by the hash of its content.

    Metrics are appended, never reordered. A reader skips columns whose metric it does not know.
    """

    reporter: Reporter
    columns: tuple[Column, ...]
    counters: tuple[Column, ...]

    @property
    def id(self) -> str:
        return schema_id(encode_schema(self))


def schema_id(document: bytes) -> str:
    return hashlib.blake2b(document, digest_size=8).hexdigest()


def encode_schema(schema: Schema) -> bytes:
    return msgspec.json.encode(schema)


def decode_schema(document: bytes) -> Schema:
    """Raises MalformedMessageError when the document is not a schema."""
    try:
        schema = msgspec.json.decode(document, type=Schema)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise MalformedMessageError(f"not a schema document: {error}") from error
    if len(schema.columns) + len(schema.counters) > MAX_COLUMNS:
        raise MalformedMessageError(f"schema with more than {MAX_COLUMNS} columns")
    return schema


def _columns(scopes: tuple[tuple[Scope, int], ...], *, counters: bool) -> tuple[Column, ...]:
    return tuple(
        Column(spec.name, part)
        for scope, parts in scopes
        for spec in in_scope(scope)
        if (spec.kind is Kind.COUNTER) is counters
        for part in range(parts)
    )


@cache
def sled_schema(chips: int) -> Schema:
    scopes = ((Scope.CHIP, chips), (Scope.SLED, 1))
    return Schema(
        reporter=Reporter.SLED,
        columns=_columns(scopes, counters=False),
        counters=_columns(scopes, counters=True),
    )


@cache
def cdu_schema(pumps: int) -> Schema:
    scopes = ((Scope.CDU, 1), (Scope.PUMP, pumps))
    return Schema(
        reporter=Reporter.CDU,
        columns=_columns(scopes, counters=False),
        counters=_columns(scopes, counters=True),
    )


@cache
def stat_schema(schema: Schema) -> Schema:
    """Of frames that say what some ticks of `schema` were like.

    Column `junction_c` becomes `junction_c.min`, `.max`, `.mean` and `.count` (of values that were
    read), each for all parts; counters are those of the last tick. MalformedMessageError where
    that are more columns than a frame may have.
    """
    if len(STATS) * len(schema.columns) + len(schema.counters) > MAX_COLUMNS:
        raise MalformedMessageError(f"statistics of {len(schema.columns)} columns are too wide")
    return Schema(
        reporter=schema.reporter,
        columns=tuple(
            Column(f"{column.metric}.{stat}", column.part)
            for stat in STATS
            for column in schema.columns
        ),
        counters=schema.counters,
    )


def known(schema: Schema) -> bool:
    """Whether every column of the schema is in this build's table of metrics."""
    return all(column.metric in BY_NAME for column in (*schema.columns, *schema.counters))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """What one sled or CDU measured in `ticks` ticks, `dt_ns` apart, from `t0_unix_ns`.

    `values` is (ticks, columns) float32, NaN where nothing was read; `counters` is
    (ticks, counters) uint64, MISSING_COUNT where nothing was read. `epoch` is a durable count of
    the agent's starts; `seq` counts 1, 2, 3 ... in each epoch, one a frame.
    """

    agent: str
    epoch: int
    seq: int
    schema_id: str
    t0_unix_ns: int
    dt_ns: int
    values: FloatBlock
    counters: CountBlock

    @property
    def ticks(self) -> int:
        return len(self.values)

    @property
    def id(self) -> str:
        """The frame's name wherever it is given as a cause."""
        return f"{self.agent}@{self.epoch}.{self.seq}"

    def slab(self) -> "Slab":
        """This frame alone."""
        return Slab(
            schema_id=self.schema_id,
            dt_ns=self.dt_ns,
            agents=(self.agent,),
            epochs=np.array([self.epoch], np.int64),
            seqs=np.array([self.seq], np.int64),
            t0_unix_ns=np.array([self.t0_unix_ns], np.int64),
            values=self.values[None],
            counters=self.counters[None],
        )


class Slab(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Frames of one schema and one length, side by side, as a message carries them.

    `agents`, `epochs`, `seqs` and `t0_unix_ns` (int64) have one entry a frame; `values` is
    (frames, ticks, columns) float32, `counters` (frames, ticks, counters) uint64.
    """

    schema_id: str
    dt_ns: int
    agents: tuple[str, ...]
    epochs: IntBlock
    seqs: IntBlock
    t0_unix_ns: IntBlock
    values: FloatBlock
    counters: CountBlock

    @property
    def ticks(self) -> int:
        return int(self.values.shape[1])

    def __len__(self) -> int:
        """How many frames."""
        return len(self.agents)

    def frame(self, row: int) -> Frame:
        return Frame(
            agent=self.agents[row],
            epoch=int(self.epochs[row]),
            seq=int(self.seqs[row]),
            schema_id=self.schema_id,
            t0_unix_ns=int(self.t0_unix_ns[row]),
            dt_ns=self.dt_ns,
            values=self.values[row],
            counters=self.counters[row],
        )

    def frames(self) -> tuple[Frame, ...]:
        return tuple(self.frame(row) for row in range(len(self)))

    def take(self, rows: Sequence[int]) -> "Slab":
        """These frames alone, in this order."""
        chosen = np.asarray(rows, dtype=np.intp)
        return msgspec.structs.replace(
            self,
            agents=tuple(self.agents[row] for row in rows),
            epochs=self.epochs[chosen],
            seqs=self.seqs[chosen],
            t0_unix_ns=self.t0_unix_ns[chosen],
            values=self.values[chosen],
            counters=self.counters[chosen],
        )
