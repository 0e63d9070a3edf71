"""Fixed limits with hysteresis and an on-delay: the rows of `controller.anomaly.rules`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.anomaly.finding import Finding, Place
from controller.anomaly.rules import THRESHOLDS, Threshold
from controller.anomaly.signals import SIGNALS, Signal, SignalSettings
from controller.anomaly.wording import find
from controller.state.health import BoolArray
from controller.state.snapshot import FleetSnapshot
from fleet.topology import FleetMap


@dataclass(slots=True, kw_only=True, eq=False)
class _Memory:
    """Of one rule: cycles in a row beyond the limit, and where it fires."""

    ticks: NDArray[np.int32]
    firing: BoolArray


class ThresholdDetector:
    """An unknown value neither starts nor ends a finding; one that does not matter ends it."""

    def __init__(
        self,
        fleet_map: FleetMap,
        rules: Sequence[Threshold] = THRESHOLDS,
        settings: SignalSettings | None = None,
    ) -> None:
        self._rules = tuple(rules)
        self._settings = settings or SignalSettings()
        rows = {
            Place.CHIP: fleet_map.chips,
            Place.SLED: fleet_map.sleds,
            Place.CDU: len(fleet_map.cdu_ids),
            Place.LOOP: len(fleet_map.loop_ids),
        }
        self._memory = {
            row.rule.name: _Memory(
                ticks=np.zeros(rows[row.rule.place], np.int32),
                firing=np.zeros(rows[row.rule.place], np.bool_),
            )
            for row in self._rules
        }

    def observe(self, snapshot: FleetSnapshot) -> list[Finding]:
        wanted = dict.fromkeys(row.signal for row in self._rules)
        signals = {name: SIGNALS[name].read(snapshot, self._settings) for name in wanted}
        for row in self._rules:
            _advance(row, self._memory[row.rule.name], signals[row.signal])
        return [
            find(
                row.rule, snapshot, int(place), float(signals[row.signal].values[place]), row.limit
            )
            for row in self._rules
            for place in np.flatnonzero(self._shown(row))
        ]

    def _shown(self, row: Threshold) -> BoolArray:
        firing = self._memory[row.rule.name].firing
        if row.outranked_by is None:
            return firing
        shown: BoolArray = firing & ~self._memory[row.outranked_by].firing
        return shown


def _advance(row: Threshold, memory: _Memory, signal: Signal) -> None:
    values = signal.values if row.high_is_bad else -signal.values
    limit, clear = (row.limit, row.clear) if row.high_is_bad else (-row.limit, -row.clear)
    unknown = np.isnan(values) & ~signal.idle
    beyond = (values >= limit) & ~signal.idle
    counted = np.where(beyond, np.minimum(memory.ticks, row.on_ticks) + 1, 0)
    memory.ticks = np.where(unknown, memory.ticks, counted).astype(np.int32)
    holds = memory.firing & (unknown | ((values > clear) & ~signal.idle))
    memory.firing = holds | (memory.ticks >= row.on_ticks)
