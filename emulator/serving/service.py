"""One model's front: it takes requests in, deals them out to replicas, and hands caches over."""

from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, heapreplace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.models import ModelShape, Role
from emulator.serving.job_run import JobRun
from emulator.serving.replica import Replica
from emulator.serving.request import COLUMNS, Request, columns_of
from emulator.serving.tally import Tally
from emulator.serving.traffic import Arrivals
from emulator.skus import SkuSettings
from fleet.topology import IntArray

_WARM_QUEUE = 4  # A replica that knows the prefix may have so many more requests than the idlest.


@dataclass(slots=True, kw_only=True)
class Server:
    """A replica and the chips it runs on."""

    run: JobRun
    shape: ModelShape
    replica: Replica
    chips: IntArray
    sleds: tuple[int, ...]
    ultraserver: int
    prompts_per_s: float
    """Requests a second, if it did nothing but prompts."""
    answers_per_s: float
    """Requests a second, if it did nothing but decode."""
    stored_bytes: float
    """Weights on all its chips."""
    link_bytes_per_s: float
    """Of one chip at this moment, to chips of its UltraServer."""
    sku: SkuSettings
    alive: bool = True
    connected: bool = True
    """Whether its chips reach each other."""
    sending_until_s: float = 0.0
    """Until then its links carry caches that are handed over."""
    receiving: int = 0
    """Caches on their way here."""

    @property
    def serves(self) -> bool:
        return self.alive and self.connected

    @property
    def role(self) -> Role:
        return self.replica.role

    @property
    def load(self) -> int:
        """Requests that are here or on their way."""
        return self.replica.queue_length + self.receiving

    @property
    def capacity_per_s(self) -> float:
        """Requests a second of which it does prompt and answer."""
        return 1.0 / (1.0 / self.prompts_per_s + 1.0 / self.answers_per_s)


class _Transfer(NamedTuple):
    """A cache on its way, ordered by arrival."""

    end_s: float
    serial: int
    request: Request
    sender: Server
    receiver: Server


@dataclass(slots=True, kw_only=True)
class Service:
    """All replicas of one model behind one front, with arrivals of its own.

    A request stays with the service until it is answered: what an interrupted replica loses is
    queued again.
    """

    arrivals: Arrivals
    servers: list[Server] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    answered_rows: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, len(COLUMNS))))
    """[completions, fields of Completion] of the last span."""
    _pending: deque[Request] = field(default_factory=deque)
    _parked: list[tuple[Server, Request]] = field(default_factory=list)
    """Caches that no replica can take now."""
    _transfers: list[_Transfer] = field(default_factory=list)

    @property
    def capacity_per_s(self) -> float:
        """Requests a second that the replicas can serve, alone or by handing over."""
        alone = prompts = answers = 0.0
        for server in self.servers:
            if not server.serves:
                continue
            if server.role is Role.SERVE:
                alone += server.capacity_per_s
            elif server.role is Role.PREFILL:
                prompts += server.prompts_per_s
            else:
                answers += server.answers_per_s
        return alone + min(prompts, answers)

    @property
    def unfinished(self) -> int:
        """Requests that wait, run or are handed over."""
        here = sum(server.replica.queue_length for server in self.servers)
        return here + len(self._pending) + len(self._parked) + len(self._transfers)

    def retire(self, server: Server) -> int:
        """Queue again all that a server loses; how many requests that were."""
        lost = server.replica.drop_all()
        lost += [request for sender, request in self._parked if sender is server]
        self._parked = [item for item in self._parked if item[0] is not server]
        kept: list[_Transfer] = []
        for transfer in self._transfers:
            if transfer.sender is server or transfer.receiver is server:
                lost.append(transfer.request)
                transfer.receiver.receiving -= 1
            else:
                kept.append(transfer)
        heapify(kept)
        self._transfers = kept
        for request in lost:
            request.begin_again()
        self._pending.extend(sorted(lost, key=lambda request: request.arrived_s))
        self.tally.retries += len(lost)
        return len(lost)

    def serve(self, start_s: float, end_s: float, load_ratio: float) -> None:
        """Take in what arrives in the span and advance every replica to its end."""
        entrances = self._entrances()
        self._take_in(entrances, start_s, end_s, load_ratio)
        for server in self.servers:
            if server.serves and server.role is not Role.DECODE:
                server.replica.advance(end_s)
        self._hand_over(end_s)
        for server in self.servers:
            if server.serves and server.role is Role.DECODE:
                server.replica.advance(end_s)
        self._count()

    # --- in ----------------------------------------------------------------------------------

    def _entrances(self) -> list[Server]:
        """Replicas that take prompts; those that only prefill, if any decodes for them."""
        decodes = any(server.serves and server.role is Role.DECODE for server in self.servers)
        return [
            server
            for server in self.servers
            if server.serves
            and (server.role is Role.SERVE or (decodes and server.role is Role.PREFILL))
        ]

    def _take_in(
        self, entrances: list[Server], start_s: float, end_s: float, load_ratio: float
    ) -> None:
        rate = load_ratio * self.capacity_per_s
        if rate > 0.0 or self.arrivals.patient:
            self._pending.extend(self._arrived(start_s, end_s, rate))
        if not (self._pending and entrances):
            return
        self._deal(_free(entrances, end_s))

    def _arrived(self, start_s: float, end_s: float, rate_per_s: float) -> list[Request]:
        brought = self.arrivals.bring(end_s - start_s, rate_per_s)
        first = self.tally.arrived
        self.tally.arrived += len(brought.offset_s)
        columns = (
            (brought.offset_s + start_s).tolist(),
            brought.prompt_tokens.tolist(),
            brought.output_tokens.tolist(),
            range(first, self.tally.arrived),
        )
        if brought.blocks is None:
            return list(map(Request, *columns))
        return list(map(Request, *columns, brought.blocks))

    def _deal(self, entrances: list[Server]) -> None:
        """Each request joins the shortest queue, or one not much longer that knows its prefix."""
        queues = [(server.load, row) for row, server in enumerate(entrances)]
        heapify(queues)
        pending, self._pending = self._pending, deque()
        while pending:
            request = pending.popleft()
            shortest, row = queues[0]
            load = entrances[row].load
            while load > shortest:
                heapreplace(queues, (load, row))
                shortest, row = queues[0]
                load = entrances[row].load
            server = entrances[row]
            if request.blocks:
                server = _warmest(request, entrances, shortest) or server
            if server.replica.offer(request):
                if server is entrances[row]:
                    heapreplace(queues, (load + 1, row))
            elif not self._turn_away(request, entrances):
                # Every queue is full: whoever is patient waits here.
                self._wait_outside(request, pending)
                return

    def _turn_away(self, request: Request, entrances: list[Server]) -> bool:
        """Find another place, or refuse what fits nowhere; False when it only has to wait."""
        fitting = [server for server in entrances if server.replica.fits(request)]
        if not fitting:
            self.tally.refused += 1
            return True
        return any(server.replica.offer(request) for server in fitting)

    def _wait_outside(self, request: Request, pending: deque[Request]) -> None:
        pending.appendleft(request)
        if self.arrivals.patient:
            self._pending = pending
            return
        self._pending = deque(item for item in pending if item.retries)
        self.tally.refused += len(pending) - len(self._pending)

    # --- from prefill to decode --------------------------------------------------------------

    def _hand_over(self, end_s: float) -> None:
        computed = self._parked + [
            (server, request) for server in self.servers for request in server.replica.hand_overs
        ]
        self._parked = []
        if computed:
            takers = _free([s for s in self.servers if s.serves and s.role is Role.DECODE], end_s)
            for sender, request in sorted(computed, key=lambda item: _computed_s(item[1])):
                self._send(sender, request, takers)
        while self._transfers and self._transfers[0].end_s < end_s:
            arrived_s, _, request, _, receiver = heappop(self._transfers)
            receiver.receiving -= 1
            receiver.replica.receive(request, arrived_s)

    def _send(self, sender: Server, request: Request, takers: list[Server]) -> None:
        fitting = [server for server in takers if server.replica.fits(request)]
        if not fitting:
            if takers:
                self.tally.refused += 1
                sender.replica.release(request, _computed_s(request))
            else:
                self._parked.append((sender, request))
            return
        receiver = min(fitting, key=lambda server: server.load)
        moved = request.prompt_tokens * sender.shape.context_bytes
        begin_s = max(_computed_s(request), sender.sending_until_s)
        end_s = begin_s + moved / _bytes_per_s(sender, receiver)
        sender.sending_until_s = end_s
        sender.replica.release(request, end_s)
        receiver.receiving += 1
        self.tally.moved_cache_bytes += moved
        heappush(self._transfers, _Transfer(end_s, request.serial, request, sender, receiver))

    # --- out ---------------------------------------------------------------------------------

    def _count(self) -> None:
        rows = array("d")
        for server in self.servers:
            replica = server.replica
            rows += replica.completions
            self.tally.looked_up_tokens += replica.prompt_tokens
            self.tally.hit_tokens += replica.hit_tokens
        self.answered_rows = columns_of(rows)
        self.tally.add(self.answered_rows)


def _free(servers: list[Server], end_s: float) -> list[Server]:
    """A replica that loads its model is left alone while another can take its part."""
    return [server for server in servers if server.replica.free_from_s < end_s] or servers


def _warmest(request: Request, entrances: Sequence[Server], shortest: int) -> Server | None:
    """The replica that holds most of the prefix, among those with a short enough queue."""
    found, most = None, 0
    for server in entrances:
        cached = server.replica.cached_tokens(request)
        if cached > most and server.load <= shortest + _WARM_QUEUE:
            found, most = server, cached
    return found


def _computed_s(request: Request) -> float:
    return request.arrived_s if request.first_token_s is None else request.first_token_s


def _bytes_per_s(sender: Server, receiver: Server) -> float:
    """Chips send side by side; inside an UltraServer over its fabric, else over the network."""
    lanes = min(len(sender.chips), len(receiver.chips))
    if sender.ultraserver == receiver.ultraserver and sender.connected and receiver.connected:
        return lanes * min(sender.link_bytes_per_s, receiver.link_bytes_per_s)
    return lanes * min(sender.sku.efa_bytes_per_s, receiver.sku.efa_bytes_per_s)
