"""Jobs become replicas, replicas serve requests, and serving becomes work for chips."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heapreplace

import numpy as np
from numpy.typing import NDArray

from emulator.models import MODELS
from emulator.readings import JobSpec, RunningJob
from emulator.serving.job_run import JobRun, assemble
from emulator.serving.replica import BatchLimits, Replica, Request
from emulator.serving.roofline import StepCost
from emulator.serving.traffic import Traffic, draw
from emulator.skus import FleetSkus
from emulator.workload import ProductShape, product_shape
from fleet.topology import FleetMap
from thermal.arrays import BoolArray, FloatArray


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


@dataclass(slots=True, kw_only=True)
class Server:
    """A replica and the chips it runs on."""

    run: JobRun
    replica: Replica
    chips: NDArray[np.intp]
    sleds: tuple[int, ...]
    capacity_per_s: float
    alive: bool = True


@dataclass(slots=True, kw_only=True)
class Service:
    """All replicas of one model behind one queue-balancing front, with a stream of its own."""

    traffic: Traffic
    servers: list[Server] = field(default_factory=list)
    refused_total: int = 0


class Serving:
    """All jobs of the hall. `reconcile`, then `serve`, once a step."""

    def __init__(
        self,
        fleet_map: FleetMap,
        skus: FleetSkus,
        limits: BatchLimits,
        new_traffic: Callable[[], Traffic],
    ) -> None:
        self._fleet_map = fleet_map
        self._skus = skus
        self._limits = limits
        self._new_traffic = new_traffic
        self._runs: dict[tuple[str, int], JobRun] = {}
        self._services: dict[str, Service] = {}
        self._servers: list[Server] = []
        self._costs: dict[tuple[str, int, int], StepCost] = {}
        self._runs_of_sled: dict[int, list[JobRun]] = {}

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
        self._servers = kept
        for run in started:
            self._servers += self._build(run, now_s)
        self._regroup()
        return True

    def shapes(self) -> dict[int, ProductShape]:
        """Chips in use and the products they execute."""
        return {
            int(chip): product_shape(MODELS[server.run.model], len(server.chips))
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
            if server.alive and not usable[server.chips].all():
                server.alive = False
                server.run.fail(server.replica.drop_all())
        for service in self._services.values():
            self._arrive(service, start_s, dt_s, load_ratio)
        work = Work.none(self._fleet_map.chips)
        for server in self._servers:
            if server.alive:
                slowest = float(speed_ratio[server.chips].min())
                server.replica.advance(start_s + dt_s, slowest)
                _add_work(work, server)
        self._account()
        return work

    def stall(self, lost_s: FloatArray, end_s: float) -> None:
        """Hold replicas whose chips [chips] could not execute all that was served until `end_s`."""
        if not lost_s.any():
            return
        for server in self._servers:
            server.replica.hold_until(end_s + float(lost_s[server.chips].max()))

    def interrupt(self, failed: BoolArray, until_s: float) -> None:
        """Replicas with a failed chip [chips] lose their requests and load their model again."""
        if not failed.any():
            return
        for server in self._servers:
            if server.alive and failed[server.chips].any():
                server.run.fail(server.replica.drop_all())
                server.replica.hold_until(until_s)

    def used_bytes(self) -> NDArray[np.int64]:
        """HBM held on each chip: weights and KV cache."""
        used = np.zeros(self._fleet_map.chips, dtype=np.int64)
        for server in self._servers:
            stored = MODELS[server.run.model].stored_bytes + server.replica.cached_bytes
            used[server.chips] = int(stored / len(server.chips))
        return used

    def running_jobs(self, sled: int) -> tuple[RunningJob, ...]:
        return tuple(run.on_sled(sled) for run in self._runs_of_sled.get(sled, ()))

    @property
    def capacity_per_s(self) -> float:
        """Requests a second that the running replicas can serve."""
        return sum(server.capacity_per_s for server in self._servers if server.alive)

    @property
    def queued(self) -> int:
        """Requests that wait or run, in the whole hall."""
        return sum(server.replica.queue_length for server in self._servers)

    @property
    def refused_total(self) -> int:
        return sum(service.refused_total for service in self._services.values())

    def _build(self, run: JobRun, now_s: float) -> list[Server]:
        built: list[Server] = []
        for chips in run.groups():
            cost = self._cost(run.model, chips)
            if cost is None:
                continue
            service = self._services.get(run.model)
            if service is None:
                service = self._services[run.model] = Service(traffic=self._new_traffic())
            stream = service.traffic
            built.append(
                Server(
                    run=run,
                    replica=Replica(cost, self._limits, now_s),
                    chips=np.array(chips, dtype=np.intp),
                    sleds=tuple(sorted({int(self._fleet_map.sled_of_chip[c]) for c in chips})),
                    capacity_per_s=cost.capacity_per_s(
                        stream.mean_prompt_tokens, stream.mean_output_tokens
                    ),
                )
            )
        return built

    def _cost(self, model: str, chips: Sequence[int]) -> StepCost | None:
        """None when the model is unknown, too big for so few chips, or the chips are of two kinds:
        a gang runs in step.
        """
        shape = MODELS.get(model)
        kinds = {int(self._fleet_map.generation_of_chip[chip]) for chip in chips}
        if shape is None or len(kinds) != 1:
            return None
        key = (model, len(chips), kinds.pop())
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
            self._services[server.run.model].servers.append(server)

    def _arrive(self, service: Service, start_s: float, dt_s: float, load_ratio: float) -> None:
        """Each request joins the shortest queue."""
        alive = [server for server in service.servers if server.alive]
        rate = load_ratio * sum(server.capacity_per_s for server in alive)
        if rate <= 0.0:
            return
        arrived = draw(service.traffic, rate_per_s=rate, span_s=dt_s)
        queues = [(server.replica.queue_length, row) for row, server in enumerate(alive)]
        heapify(queues)
        for at, prompt, output in zip(
            (arrived.offset_s + start_s).tolist(),
            arrived.prompt_tokens.tolist(),
            arrived.output_tokens.tolist(),
            strict=True,
        ):
            length, row = queues[0]
            if not alive[row].replica.offer(Request(at, prompt, output)):
                service.refused_total += 1
            heapreplace(queues, (length + 1, row))

    def _account(self) -> None:
        for run in self._runs.values():
            run.start_span()
        for server in self._servers:
            server.run.count(server.replica, server.sleds, alive=server.alive)
        for run in self._runs.values():
            run.end_span()


def _add_work(work: Work, server: Server) -> None:
    """Tensor parallelism shares a replica's work evenly."""
    replica, chips = server.replica, server.chips
    work.prefill_flop[chips] = replica.prefill_flop / len(chips)
    work.decode_flop[chips] = replica.decode_flop / len(chips)
    work.moved_bytes[chips] = replica.moved_bytes / len(chips)
    work.decode_rows[chips] = replica.decode_rows
