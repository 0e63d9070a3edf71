"""Totals that the Neuron driver keeps for each chip since it was loaded, at power-up."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emulator.readings import CoreCounts, RunningJob
from fleet.topology import FleetMap
from thermal.arrays import BoolArray, FloatArray

_US_PER_S = 1_000_000


class CoreCounters:
    """Of every chip of a hall. What jobs did that have ended is kept, and told with the rest."""

    def __init__(self, fleet_map: FleetMap) -> None:
        self._map = fleet_map
        chips = fleet_map.chips
        self._flop = np.zeros(chips)
        self._busy_us = np.zeros(chips)
        self._memory_peak = np.zeros(chips, dtype=np.int64)
        self._host_peak = np.zeros(chips, dtype=np.int64)
        self._completed, self._failed, self._loads = ([0] * chips for _ in range(3))
        self._jobs: list[tuple[RunningJob, ...]] = [()] * fleet_map.sleds

    def take(
        self,
        dt_s: float,
        *,
        flop_per_s: FloatArray,
        busy_ratio: FloatArray,
        memory_bytes: Sequence[int],
        jobs: Sequence[tuple[RunningJob, ...]],
        powered: BoolArray,
    ) -> list[CoreCounts]:
        """By sled. `powered` [sleds]: one that is off forgets everything."""
        self._forget(powered)
        self._flop += flop_per_s * dt_s
        self._busy_us += busy_ratio * (dt_s * _US_PER_S)
        np.maximum(self._memory_peak, memory_bytes, out=self._memory_peak)
        host = self._host_bytes(jobs)
        np.maximum(self._host_peak, host, out=self._host_peak)
        columns = (
            np.floor(self._flop).astype(np.int64).tolist(),
            np.floor(self._busy_us).astype(np.int64).tolist(),
            self._memory_peak.tolist(),
            host.tolist(),
            self._host_peak.tolist(),
        )
        return [self._of_sled(row, jobs[row], columns) for row in range(self._map.sleds)]

    def _forget(self, powered: BoolArray) -> None:
        if powered.all():
            return
        off = np.flatnonzero(~powered[self._map.sled_of_chip])
        for column in (self._flop, self._busy_us, self._memory_peak, self._host_peak):
            column[off] = 0
        for chip in off.tolist():
            self._completed[chip] = self._failed[chip] = self._loads[chip] = 0
        for row in np.flatnonzero(~powered).tolist():
            self._jobs[row] = ()

    def _host_bytes(self, jobs: Sequence[tuple[RunningJob, ...]]) -> NDArray[np.int64]:
        """[chips] A process' host memory counts for its first chip."""
        host = np.zeros(self._map.chips, dtype=np.int64)
        for row, running in enumerate(jobs):
            first = int(self._map.first_chip_of_sled[row])
            for job in running:
                host[first + job.chips[0]] += job.host_bytes
        return host

    def _of_sled(
        self, row: int, running: tuple[RunningJob, ...], columns: tuple[list[int], ...]
    ) -> CoreCounts:
        self._follow(row, running)
        span = self._map.chips_in_sled(row)
        completed, failed = self._completed[span], self._failed[span]
        for job in running:
            for chip in job.chips:
                completed[chip] += job.completed_total
                failed[chip] += job.errors_total
        flop, busy_us, memory_peak, host, host_peak = (tuple(one[span]) for one in columns)
        return CoreCounts(
            flop_total=flop,
            busy_us_total=busy_us,
            completed_total=tuple(completed),
            failed_total=tuple(failed),
            model_loads_total=tuple(self._loads[span]),
            device_memory_peak_bytes=memory_peak,
            host_memory_bytes=host,
            host_memory_peak_bytes=host_peak,
        )

    def _follow(self, row: int, running: tuple[RunningJob, ...]) -> None:
        """Keep what a job did that is gone, and count the models of those that came."""
        before, self._jobs[row] = self._jobs[row], running
        was, now = ({(job.job_id, job.attempt): job for job in some} for some in (before, running))
        if was.keys() == now.keys():
            return
        first = int(self._map.first_chip_of_sled[row])
        for name in was.keys() - now.keys():
            for chip in was[name].chips:
                self._completed[first + chip] += was[name].completed_total
                self._failed[first + chip] += was[name].errors_total
        for name in now.keys() - was.keys():
            for chip in now[name].chips:
                self._loads[first + chip] += 1
