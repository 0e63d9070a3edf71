"""One attempt of one job across its gang: shares, phase, and what it has done."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emulator.readings import PERCENTILES, JobPhase, JobSpec, RunningJob
from emulator.serving.replica import Replica
from emulator.serving.request import COLUMNS, columns_of
from fleet.topology import FleetMap

_KEPT_REQUESTS = 512
_HOST_BYTES = 2 * 1024**3  # estimate: host memory of a runtime process

Key = tuple[str, int]


class JobRun:
    """Runs once every sled of the gang has started the same attempt."""

    def __init__(
        self, shares: Mapping[int, JobSpec], fleet_map: FleetMap, *, complete: bool
    ) -> None:
        first = next(iter(shares.values()))
        self.key: Key = (first.job_id, first.attempt)
        self.model = first.model
        self.shares = dict(shares)
        """By sled row."""
        self.complete = complete
        self._spec = first
        self._fleet_map = fleet_map
        self._phase = JobPhase.WAITING
        self._executions = dict.fromkeys(shares, 0)
        self._errors = dict.fromkeys(shares, 0)
        self._requests = dict.fromkeys(shares, 0)
        self._recent = np.zeros((_KEPT_REQUESTS, 2))
        self._recent_total = 0
        self._latency_s: tuple[float, ...] | None = None
        self._request_times: tuple[tuple[float, float], tuple[float, float]] | None = None
        self.start_span()

    def groups(self) -> list[tuple[int, ...]]:
        """Dense chips of each replica, counted through the gang in its order; empty while the
        gang is not complete. Chips that do not fill a group stay idle.
        """
        if not self.complete:
            return []
        chips: list[int] = []
        for sled_id in self._spec.gang:
            sled = self._fleet_map.sled(sled_id)
            first = int(self._fleet_map.first_chip_of_sled[sled])
            chips += [first + chip for chip in sorted(self.shares[sled].chips)]
        size = self._spec.tensor_parallel
        return [tuple(chips[at : at + size]) for at in range(0, len(chips) - size + 1, size)]

    def fail(self, lost_requests: int) -> None:
        """Count an execution that failed on every sled, and the requests that went with it."""
        for sled in self._errors:
            self._errors[sled] += max(lost_requests, 1)

    def start_span(self) -> None:
        self._alive = 0
        self._dead = 0
        self._running = dict.fromkeys(self.shares, 0)
        self._waiting = dict.fromkeys(self.shares, 0)
        self._steps: list[tuple[float, int]] = []

    def count(self, replica: Replica, sleds: Sequence[int], *, alive: bool) -> None:
        """Add what one replica did in the span."""
        self._alive += alive
        self._dead += not alive
        self._steps += replica.steps
        self._running[sleds[0]] += replica.running
        self._waiting[sleds[0]] += replica.waiting
        executions = sum(count for _, count in replica.steps)
        for sled in sleds:
            self._executions[sled] += executions
        if replica.completions:
            done = columns_of(replica.completions)
            self._requests[sleds[0]] += len(done)
            self._keep(done[:, [COLUMNS["ttft_s"], COLUMNS["tpot_s"]]])

    def end_span(self) -> None:
        self._phase = self._phase_now()
        self._latency_s = _weighted_percentiles(self._steps)
        kept = min(self._recent_total, _KEPT_REQUESTS)
        if kept:
            ordered = np.sort(self._recent[:kept], axis=0)
            p50, p99 = ordered[kept // 2], ordered[min(kept - 1, kept * 99 // 100)]
            self._request_times = (
                (float(p50[0]), float(p99[0])),
                (float(p50[1]), float(p99[1])),
            )

    def on_sled(self, sled: int) -> RunningJob:
        times = self._request_times
        return RunningJob(
            job_id=self._spec.job_id,
            attempt=self._spec.attempt,
            model=self.model,
            chips=self.shares[sled].chips,
            state=self._phase,
            completed_total=self._executions[sled],
            errors_total=self._errors[sled],
            latency_s=self._latency_s,
            requests_completed_total=self._requests[sled],
            requests_running=self._running[sled],
            requests_waiting=self._waiting[sled],
            ttft_s=times[0] if times else None,
            tpot_s=times[1] if times else None,
            host_bytes=_HOST_BYTES,
        )

    def _phase_now(self) -> JobPhase:
        if not self.complete:
            return JobPhase.WAITING
        if not self._alive:
            return JobPhase.FAILED
        return JobPhase.DEGRADED if self._dead else JobPhase.RUNNING

    def _keep(self, times: NDArray[np.float64]) -> None:
        fresh = times[-_KEPT_REQUESTS:]
        rows = (self._recent_total + np.arange(len(fresh))) % _KEPT_REQUESTS
        self._recent[rows] = fresh
        self._recent_total += len(fresh)


def assemble(
    wanted: Sequence[Mapping[str, JobSpec]], fleet_map: FleetMap, *, known: Mapping[Key, JobRun]
) -> dict[Key, JobRun]:
    """Join the sleds' shares to runs; an unchanged run is the known object itself.

    A run that wants a chip of another run waits until that one is gone.
    """
    shares: dict[Key, dict[int, JobSpec]] = {}
    for sled, jobs in enumerate(wanted):
        for spec in jobs.values():
            shares.setdefault((spec.job_id, spec.attempt), {})[sled] = spec
    # Runs that were here before keep their chips.
    order = sorted(shares, key=lambda key: key not in known)
    taken: set[tuple[int, int]] = set()
    runs: dict[Key, JobRun] = {}
    for key in order:
        before = known.get(key)
        wants = {(sled, chip) for sled, spec in shares[key].items() for chip in spec.chips}
        complete = taken.isdisjoint(wants) and _is_complete(shares[key], fleet_map)
        if complete:
            taken |= wants
        if before is not None and before.shares == shares[key] and before.complete is complete:
            runs[key] = before
        else:
            runs[key] = JobRun(shares[key], fleet_map, complete=complete)
    return runs


def _is_complete(shares: Mapping[int, JobSpec], fleet_map: FleetMap) -> bool:
    """Every sled of the gang has its share, all told the same."""
    gangs = {(spec.gang, spec.model, spec.tensor_parallel) for spec in shares.values()}
    if len(gangs) != 1:
        return False
    ids = set(next(iter(shares.values())).gang)
    return ids == {fleet_map.sled_ids[sled] for sled in shares}


def _weighted_percentiles(steps: Sequence[tuple[float, int]]) -> tuple[float, ...] | None:
    if not steps:
        return None
    durations, counts = np.array(steps).T
    order = np.argsort(durations)
    reached = np.cumsum(counts[order])
    at = np.searchsorted(reached, np.array(PERCENTILES) / 100.0 * reached[-1], side="left")
    return tuple(durations[order][np.minimum(at, len(order) - 1)].tolist())
