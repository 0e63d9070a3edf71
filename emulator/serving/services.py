"""Jobs become replicas, replicas serve requests, and serving becomes work for chips."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emulator.models import SERVED, ModelShape
from emulator.readings import JobSpec, RunningJob
from emulator.serving.job_run import JobRun, assemble
from emulator.serving.latency import Durations
from emulator.serving.replica import BatchLimits, Replica
from emulator.serving.report import (
    PERCENTS,
    PriceSettings,
    Quantiles,
    ServingReport,
    Spent,
)
from emulator.serving.roofline import StepCost
from emulator.serving.service import Server, Service
from emulator.serving.tally import Tally
from emulator.serving.traffic import Arrivals
from emulator.skus import FleetSkus, SkuSettings
from emulator.workload import ProductShape, product_shape
from fleet.topology import FleetMap, IntArray
from thermal.arrays import BoolArray, FloatArray


class Collectives(Protocol):
    """The fabric between the chips of a group, as it is at this moment."""

    def collective_bytes_per_s(self, chips: IntArray) -> float:
        """What each chip of the group can move in a collective; 0.0: cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What serving asked of each chip in a span, at the scale of the real chip; arrays [chips]."""

    prefill_flop: NDArray[np.float64]
    decode_flop: NDArray[np.float64]
    moved_bytes: NDArray[np.float64]
    decode_rows: NDArray[np.int64]

    @classmethod
    def none(cls, chips: int) -> "Work":
        return cls(
            prefill_flop=np.zeros(chips),
            decode_flop=np.zeros(chips),
            moved_bytes=np.zeros(chips),
            decode_rows=np.zeros(chips, dtype=np.int64),
        )


class Serving:
    """All jobs of the hall. `reconcile`, then `serve`, once a step."""

    def __init__(
        self,
        fleet_map: FleetMap,
        skus: FleetSkus,
        limits: BatchLimits,
        new_arrivals: Callable[[], Arrivals],
        collectives: Collectives | None = None,
    ) -> None:
        """Without `collectives` every group has the links of its chips for itself."""
        self._fleet_map = fleet_map
        self._skus = skus
        self._limits = limits
        self._new_arrivals = new_arrivals
        self._collectives = collectives
        self._runs: dict[tuple[str, int], JobRun] = {}
        self._services: dict[str, Service] = {}
        self._servers: list[Server] = []
        self._costs: dict[tuple[str, int, int], StepCost] = {}
        self._runs_of_sled: dict[int, list[JobRun]] = {}
        self._span_s = 0.0
        self._chip_s = 0.0
        self._usd_s_per_hour = 0.0
        """Price of an hour times seconds, summed over chips."""

    def reconcile(self, wanted: Sequence[Mapping[str, JobSpec]], now_s: float) -> bool:
        """Take what each sled was told to run; whether any chip's work changed."""
        runs = assemble(wanted, self._fleet_map, known=self._runs)
        self._runs_of_sled = {}
        for run in runs.values():
            for sled in run.shares:
                self._runs_of_sled.setdefault(sled, []).append(run)
        kept = [server for server in self._servers if runs.get(server.run.key) is server.run]
        started = [run for key, run in runs.items() if self._runs.get(key) is not run]
        self._runs = runs
        if len(kept) == len(self._servers) and not started:
            return False
        for server in self._servers:
            if runs.get(server.run.key) is not server.run:
                self._services[server.shape.name].retire(server)
        self._servers = kept
        for run in started:
            self._servers += self._build(run, now_s)
        self._regroup()
        return True

    def shapes(self) -> dict[int, ProductShape]:
        """Chips in use and the products they execute."""
        return {
            int(chip): product_shape(server.shape, len(server.chips))
            for server in self._servers
            for chip in server.chips
        }

    def serve(
        self,
        start_s: float,
        dt_s: float,
        *,
        load_ratio: float,
        speed_ratio: FloatArray,
        usable: BoolArray,
    ) -> Work:
        """Bring in requests and advance every replica; a gang runs at its slowest chip."""
        for server in self._servers:
            server.replica.start_span()
            self._look_at_chips(server, speed_ratio, usable)
        for service in self._services.values():
            service.serve(start_s, start_s + dt_s, load_ratio)
        work = Work.none(self._fleet_map.chips)
        for server in self._servers:
            if server.serves:
                _add_work(work, server)
                chip_s = len(server.chips) * dt_s
                self._chip_s += chip_s
                self._usd_s_per_hour += chip_s * server.sku.usd_per_chip_hour
        self._span_s += dt_s
        self._account()
        return work

    def stall(self, lost_s: FloatArray, end_s: float) -> None:
        """Hold replicas whose chips [chips] could not execute all that was served until `end_s`."""
        if not lost_s.any():
            return
        for server in self._servers:
            server.replica.hold_until(end_s + float(lost_s[server.chips].max()))

    def interrupt(self, failed: BoolArray, until_s: float) -> None:
        """Replicas with a failed chip [chips] load their model again; their requests go back to the
        queue.
        """
        if not failed.any():
            return
        for server in self._servers:
            if server.alive and failed[server.chips].any():
                self._fail(server)
                server.replica.hold_until(until_s)

    def used_bytes(self) -> NDArray[np.int64]:
        """Memory held on each chip: weights and KV cache."""
        used = np.zeros(self._fleet_map.chips, dtype=np.int64)
        for server in self._servers:
            stored = server.stored_bytes + server.replica.cached_bytes
            used[server.chips] = int(stored / len(server.chips))
        return used

    def running_jobs(self, sled: int) -> tuple[RunningJob, ...]:
        return tuple(run.on_sled(sled) for run in self._runs_of_sled.get(sled, ()))

    @property
    def capacity_per_s(self) -> float:
        """Requests a second that the running replicas can serve."""
        return sum(service.capacity_per_s for service in self._services.values())

    @property
    def queued(self) -> int:
        """Requests that wait or run, in the whole hall."""
        return sum(service.unfinished for service in self._services.values())

    @property
    def refused_total(self) -> int:
        return sum(service.tally.refused for service in self._services.values())

    @property
    def models(self) -> tuple[str, ...]:
        """That were ever served."""
        return tuple(self._services)

    def answered_rows(self, model: str) -> NDArray[np.float64]:
        """[completions, fields of Completion] of the last span, of a model that is served."""
        return self._services[model].answered_rows

    def report(
        self,
        *,
        chip_j: float,
        plant_j: float,
        prices: PriceSettings | None = None,
        model: str | None = None,
    ) -> ServingReport:
        """Of one model, or of all. Energy and chip time are those of the whole hall."""
        tally, unfinished = Tally(), 0
        for name, service in list(self._services.items()):  # others ask while the world steps
            if model in (None, name):
                tally.take(service.tally)
                unfinished += service.unfinished
        return ServingReport(
            arrived=tally.arrived,
            completed=tally.completed,
            refused=tally.refused,
            retries=tally.retries,
            unfinished=unfinished,
            prompt_tokens=tally.prompt_tokens,
            output_tokens=tally.output_tokens,
            hit_tokens=tally.hit_tokens,
            looked_up_tokens=tally.looked_up_tokens,
            moved_cache_bytes=tally.moved_cache_bytes,
            ttft=_quantiles(tally.ttft),
            tpot=_quantiles(tally.tpot),
            queue=_quantiles(tally.queue),
            latency=_quantiles(tally.latency),
            span_s=self._span_s,
            spent=Spent(
                chip_j=chip_j,
                plant_j=plant_j,
                chip_s=self._chip_s,
                usd_per_chip_hour=self._usd_s_per_hour / self._chip_s if self._chip_s else 0.0,
            ),
            prices=prices or PriceSettings(),
        )

    def _build(self, run: JobRun, now_s: float) -> list[Server]:
        found = SERVED.get(run.model)
        if found is None:
            return []
        shape, role = found
        built: list[Server] = []
        for chips in run.groups():
            cost = self._cost(shape, chips)
            if cost is None:
                continue
            service = self._services.get(shape.name)
            if service is None:
                service = self._services[shape.name] = Service(arrivals=self._new_arrivals())
            link_bytes_per_s = self._link_bytes_per_s(np.array(chips, dtype=np.int32), cost.sku)
            prompts_per_s, answers_per_s = cost.rates_per_s(
                service.arrivals.mean_prompt_tokens,
                service.arrivals.mean_output_tokens,
                self._limits.prefill_tokens,
                link_bytes_per_s,
            )
            sled = int(self._fleet_map.sled_of_chip[chips[0]])
            built.append(
                Server(
                    run=run,
                    shape=shape,
                    replica=Replica(cost, self._limits, now_s, role),
                    chips=np.array(chips, dtype=np.int32),
                    sleds=tuple(sorted({int(self._fleet_map.sled_of_chip[c]) for c in chips})),
                    ultraserver=int(self._fleet_map.ultraserver_of_sled[sled]),
                    prompts_per_s=prompts_per_s,
                    answers_per_s=answers_per_s,
                    stored_bytes=cost.sharding.stored_bytes(shape),
                    link_bytes_per_s=link_bytes_per_s,
                    sku=cost.sku,
                )
            )
        return built

    def _cost(self, shape: ModelShape, chips: Sequence[int]) -> StepCost | None:
        """None when the model is too big for so few chips, or the chips are of two kinds: a gang
        runs in step.
        """
        kinds = {int(self._fleet_map.generation_of_chip[chip]) for chip in chips}
        if len(kinds) != 1:
            return None
        key = (shape.name, len(chips), kinds.pop())
        if key not in self._costs:
            self._costs[key] = StepCost(
                shape=shape,
                chips=len(chips),
                sku=self._skus.of_chip(chips[0]),
                max_batch=self._limits.max_batch,
            )
        return self._costs[key] if self._costs[key].kv_tokens > 0 else None

    def _regroup(self) -> None:
        for service in self._services.values():
            service.servers = []
        for server in self._servers:
            self._services[server.shape.name].servers.append(server)

    def _look_at_chips(self, server: Server, speed_ratio: FloatArray, usable: BoolArray) -> None:
        if not server.alive:
            return
        if not usable[server.chips].all():
            self._fail(server)
            server.alive = False
            return
        link_bytes_per_s = self._link_bytes_per_s(server.chips, server.sku)
        if server.connected and not link_bytes_per_s:
            self._fail(server)
        server.connected = link_bytes_per_s > 0.0
        if server.connected:
            server.link_bytes_per_s = link_bytes_per_s
            server.replica.pace(float(speed_ratio[server.chips].min()), link_bytes_per_s)

    def _link_bytes_per_s(self, chips: IntArray, sku: SkuSettings) -> float:
        """Of each chip of a group; 0.0 when it is cut off."""
        if self._collectives is None or len(chips) == 1:
            return sku.link_bytes_per_s
        return self._collectives.collective_bytes_per_s(chips)

    def _fail(self, server: Server) -> None:
        server.run.fail(self._services[server.shape.name].retire(server))

    def _account(self) -> None:
        for run in self._runs.values():
            run.start_span()
        for server in self._servers:
            server.run.count(server.replica, server.sleds, alive=server.serves)
        for run in self._runs.values():
            run.end_span()


def _add_work(work: Work, server: Server) -> None:
    """A replica's work is shared evenly by its chips."""
    replica, chips = server.replica, server.chips
    work.prefill_flop[chips] = replica.prefill_flop / len(chips)
    work.decode_flop[chips] = replica.decode_flop / len(chips)
    work.moved_bytes[chips] = replica.moved_bytes / len(chips)
    work.decode_rows[chips] = replica.decode_rows


def _quantiles(durations: Durations) -> Quantiles:
    p50_s, p90_s, p99_s = durations.percentiles_s(PERCENTS)
    return Quantiles(p50_s=p50_s, p90_s=p90_s, p99_s=p99_s)
