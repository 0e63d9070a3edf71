"""Rows of history as Arrow tables."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from controller.history.flat import Flat
from controller.history.levels import RAW_STEP_S, Level
from controller.history.rollup import Stat
from fleet.frame import MISSING_COUNT, IntBlock
from fleet.metrics import MetricSpec
from fleet.units import SUFFIXES

METADATA_KEY: Final = b"isotherm"
AT: Final = pa.timestamp("ns", tz="UTC")
_EXACT_OF: Final = {Stat.MIN: "exact_min", Stat.MAX: "exact_max", Stat.LAST: "exact_last"}


def schema_of(metrics: Sequence[MetricSpec], level: Level | None, ids: Sequence[str]) -> pa.Schema:
    """Gauges stand in `value` (float32), exact counters in `exact` (uint64); over steps each
    statistic has such columns, and so has what was thinned among ticks. What was not read is null.
    The metadata say each metric's unit.
    """
    text = pa.dictionary(pa.int32(), pa.string())
    fields = [pa.field("at", AT, nullable=False)]
    fields += [pa.field(name, text, nullable=False) for name in ("id", "metric")]
    if level is None:
        fields += [pa.field("value", pa.float32()), pa.field("exact", pa.uint64())]
        fields += [pa.field(stat.value, pa.float32()) for stat in (Stat.MIN, Stat.MAX, Stat.MEAN)]
        fields += [pa.field(Stat.COUNT.value, pa.uint64())]
    else:
        fields += [
            pa.field(stat.value, pa.float32())
            for stat in (Stat.MIN, Stat.MAX, Stat.MEAN, Stat.LAST)
        ]
        fields += [pa.field(name, pa.uint64()) for name in _EXACT_OF.values()]
        fields += [
            pa.field(stat.value, pa.uint64(), nullable=False)
            for stat in (Stat.COUNT, Stat.NAN_COUNT)
        ]
    return pa.schema(fields, metadata={METADATA_KEY: _metadata(metrics, level, ids)})


def _metadata(metrics: Sequence[MetricSpec], level: Level | None, ids: Sequence[str]) -> bytes:
    return msgspec.json.encode(
        {
            "step_s": RAW_STEP_S if level is None else level.step_s,
            "places": len(ids),
            "metrics": {
                spec.name: {
                    "unit": unit_of(spec.name),
                    "scope": spec.scope,
                    "kind": spec.kind,
                    "help": spec.help,
                    **({"states": spec.states} if spec.states else {}),
                }
                for spec in metrics
            },
        }
    )


def unit_of(metric: str) -> str:
    """In words; empty for a code of a state."""
    fitting = [suffix for suffix in SUFFIXES if metric.endswith(suffix)]
    return SUFFIXES[max(fitting, key=len)] if fitting else ""


class Tables:
    """Makes tables of one schema; the ids and the names of metrics are kept once."""

    def __init__(self, metrics: Sequence[MetricSpec], level: Level | None, ids: Sequence[str]):
        self.schema = schema_of(metrics, level, ids)
        self._ids = pa.array(ids, pa.string())
        self._names = pa.array([spec.name for spec in metrics], pa.string())
        self._code = {spec.name: code for code, spec in enumerate(metrics)}

    def table(self, metric: str, codes: NDArray[np.int32], flats: Sequence[Flat]) -> pa.Table:
        """Rows of one metric, by id and then by time; `codes` are the ids of all the rows."""
        at = np.concatenate([flat.at_unix_ns for flat in flats])
        order = np.lexsort((at, codes))
        values = {
            stat: np.concatenate([flat.values[stat] for flat in flats])[order]
            for stat in flats[0].values
        }
        names = np.full(len(at), self._code[metric], np.int32)
        columns = {
            "at": _times(at[order]),
            "id": pa.DictionaryArray.from_arrays(codes[order], self._ids),
            "metric": pa.DictionaryArray.from_arrays(names, self._names),
            **(_steps(values) if Stat.COUNT in values else _ticks(values[Stat.LAST])),
        }
        arrays = [columns.get(field.name, _nothing(field, len(at))) for field in self.schema]
        return pa.Table.from_arrays(arrays, schema=self.schema)


def _times(at: IntBlock) -> pa.Array:
    return pa.array(at, pa.int64()).cast(AT)


def _ticks(values: NDArray[Any]) -> dict[str, pa.Array]:
    return {"exact" if values.dtype == np.uint64 else "value": _nullable(values)}


def _steps(values: dict[Stat, NDArray[Any]]) -> dict[str, pa.Array]:
    columns = {}
    for stat, column in values.items():
        if stat in {Stat.COUNT, Stat.NAN_COUNT}:
            columns[stat.value] = pa.array(column)
        else:
            exact = column.dtype == np.uint64
            columns[_EXACT_OF[stat] if exact else stat.value] = _nullable(column)
    return columns


def _nullable(values: NDArray[Any]) -> pa.Array:
    absent = values == MISSING_COUNT if values.dtype == np.uint64 else np.isnan(values)
    return pa.array(values, mask=absent)


def _nothing(field: pa.Field, rows: int) -> pa.Array:
    return pa.nulls(rows, field.type)
