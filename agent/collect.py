"""One tick: every input read, one frame built, what is absent marked as absent."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray

from agent.inputs.base import Input, Key
from fleet.errors import DeviceError
from fleet.frame import MISSING_COUNT, Column, Frame, Schema
from fleet.metrics import BY_NAME

_log: Final = structlog.get_logger("isotherm.agent")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Collected:
    """One tick in the order of a schema: float64 values, uint64 counters."""

    values: NDArray[np.float64]
    counters: NDArray[np.uint64]


class Collector:
    """Reads inputs into columns; counts and reports once what could not be read.

    A value outside the plausible span of its metric is a broken sensor: NaN, and counted.
    """

    def __init__(
        self, agent_id: str, schema: Schema, inputs: Mapping[str, Input], counts: Counter[str]
    ) -> None:
        self._log = _log.bind(agent=agent_id)
        self._inputs = dict(inputs)
        self._columns = _keys(schema.columns)
        self._counters = _keys(schema.counters)
        self._position = {key: row for row, key in enumerate(self._columns)}
        self._low = np.array([BY_NAME[metric].low for metric, _ in self._columns])
        self._high = np.array([BY_NAME[metric].high for metric, _ in self._columns])
        self._silent: set[str] = set()
        self._counts = counts

    def collect(self, now_s: float) -> Collected:
        values: dict[Key, float] = {}
        counters: dict[Key, int] = {}
        for name, source in self._inputs.items():
            samples = source.read(now_s)
            values.update(samples.values)
            counters.update(samples.counters)
            self._note(name, samples.errors)
        return Collected(values=self._plausible(values), counters=self._exact(counters))

    def position(self, metric: str, part: int = 0) -> int:
        """Where a metric of the schema stands in `Collected.values`."""
        return self._position[metric, part]

    def _plausible(self, values: Mapping[Key, float]) -> NDArray[np.float64]:
        row = np.array([values.get(key, np.nan) for key in self._columns])
        wrong = (row < self._low) | (row > self._high)
        if wrong.any():
            row[wrong] = np.nan
            self._counts["implausible"] += int(wrong.sum())
        return row

    def _exact(self, counters: Mapping[Key, int]) -> NDArray[np.uint64]:
        return np.array(
            [counters.get(key, MISSING_COUNT) for key in self._counters], dtype=np.uint64
        )

    def _note(self, name: str, errors: tuple[DeviceError, ...]) -> None:
        """Count each; log only when an input starts to fail and when it is well again."""
        if not errors:
            if name in self._silent:
                self._silent.discard(name)
                self._log.info("device answers again", input=name)
            return
        self._counts["device_errors"] += len(errors)
        if name not in self._silent:
            self._silent.add(name)
            self._log.warning("device error", input=name, error=str(errors[0]))


class FrameMaker:
    """Numbers the frames of one agent's epoch."""

    def __init__(self, agent_id: str, epoch: int, schema: Schema, period_s: float) -> None:
        self._agent_id = agent_id
        self._epoch = epoch
        self._schema_id = schema.id
        self._dt_ns = round(period_s * 1e9)
        self._seq = 0

    @property
    def next_id(self) -> str:
        """Id of the frame that is made next: the cause of what is done before it is made."""
        return f"{self._agent_id}@{self._epoch}.{self._seq + 1}"

    def make(self, collected: Collected, t0_unix_ns: int) -> Frame:
        self._seq += 1
        return Frame(
            agent=self._agent_id,
            epoch=self._epoch,
            seq=self._seq,
            schema_id=self._schema_id,
            t0_unix_ns=t0_unix_ns,
            dt_ns=self._dt_ns,
            values=collected.values.astype(np.float32)[np.newaxis],
            counters=collected.counters[np.newaxis],
        )


def _keys(columns: tuple[Column, ...]) -> tuple[Key, ...]:
    return tuple((column.metric, column.part) for column in columns)
