"""One replica: continuous batching of requests, advanced from event to event."""

import math
from array import array
from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final

from emulator.models import Role
from emulator.serving.kv_blocks import PREFIX_TOKENS, KvBlocks
from emulator.serving.request import Request
from emulator.serving.roofline import StepCost

# A decode run ends for a new look at the context at the latest after so many steps.
_LONGEST_RUN: Final = 32
_FEW_REQUESTS: Final = 4


# Ordered by the step at which the last token comes, then by when they joined.
_Running = tuple[int, int, Request]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    max_batch: int
    prefill_tokens: int
    max_waiting: int
    block_tokens: int = 128
    """Tokens of a KV block; a divisor of 512. 128: AWS' published Trn3 serving recipe."""
    schedule_s: float = 0.01
    """The shortest decode run between two looks at the queue. Estimate, a few decode steps: engines
    that schedule several steps at once do so to spare the host."""


class Replica:
    """A group of chips. Prompts go before decode steps; a request joins at the next run of steps.

    Whole decode runs are advanced at once: with a fixed batch every step adds one token to each
    request, so a request ends at a step that is known when it joins.
    In a group that only prefills, prompts become hand-overs, and `released` gives their cache back.
    Counters below hold what was done since `start_span`.
    """

    __slots__ = (
        "_batch",
        "_blocked",
        "_clock_s",
        "_context",
        "_cost",
        "_joined",
        "_kv",
        "_limits",
        "_link_bytes_per_s",
        "_passed",
        "_sending",
        "_slowness",
        "_step",
        "_waiting",
        "completions",
        "decode_flop",
        "decode_rows",
        "hand_overs",
        "hit_tokens",
        "moved_bytes",
        "prefill_flop",
        "prompt_tokens",
        "role",
        "steps",
    )

    def __init__(
        self, cost: StepCost, limits: BatchLimits, start_s: float, role: Role = Role.SERVE
    ) -> None:
        self.role = role
        self._cost = cost
        self._limits = limits
        self._clock_s = start_s
        self._waiting: deque[Request] = deque()
        self._batch: list[_Running] = []
        self._sending: list[tuple[float, int, int, tuple[int, ...]]] = []
        """Caches that are sent, by when they have arrived: serial, blocks, prefix."""
        self._kv = KvBlocks(cost.kv_tokens, block_tokens=limits.block_tokens)
        self._context = 0.0
        self._step = 0
        self._joined = 0
        self._passed = False
        self._blocked = False
        self.pace(1.0, cost.sku.link_bytes_per_s)
        self.start_span()

    def start_span(self) -> None:
        self.prefill_flop = 0.0
        self.decode_flop = 0.0
        self.moved_bytes = 0.0
        self.decode_rows = 0
        self.prompt_tokens = 0
        self.hit_tokens = 0
        """Of `prompt_tokens`, those whose cache was here."""
        self.steps: list[tuple[float, int]] = []
        """Duration and number of executions."""
        self.completions: array[float] = array("d")
        """Rows of `Completion`."""
        self.hand_overs: list[Request] = []
        """Computed prompts whose cache is to move to a replica that decodes them."""

    @property
    def waiting(self) -> int:
        """Requests that are not in the batch yet."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        return len(self._batch)

    @property
    def queue_length(self) -> int:
        """Requests that wait or run."""
        return self.waiting + self.running

    @property
    def cached_bytes(self) -> float:
        """KV cache in use, kept prefixes included."""
        kept = self._kv.kept * self._limits.block_tokens
        return (self._context + kept) * self._cost.shape.context_bytes

    @property
    def free_from_s(self) -> float:
        """When the step or the hold that has begun ends."""
        return self._clock_s

    def cached_tokens(self, request: Request) -> int:
        """Leading tokens of the prompt whose cache is here."""
        return self._kv.hits(request.blocks) * PREFIX_TOKENS

    def fits(self, request: Request) -> bool:
        """Whether the memory could ever hold it."""
        return self._blocks_of(request) <= self._kv.blocks

    def offer(self, request: Request) -> bool:
        """Queue a request; False when the queue is full or the request can never fit."""
        needed = self._blocks_of(request)
        if len(self._waiting) >= self._limits.max_waiting or needed > self._kv.blocks:
            return False
        request.needed_blocks = needed
        request.ready_s = request.arrived_s
        self._waiting.append(request)
        return True

    def receive(self, request: Request, at_s: float) -> None:
        """Queue a request that fits, whose cache another replica has sent."""
        request.needed_blocks = self._blocks_of(request)
        request.ready_s = at_s
        self._waiting.append(request)

    def drop_all(self) -> list[Request]:
        """Lose everything queued, running or kept; the requests that were here."""
        lost = [*self._waiting, *(request for _, _, request in self._batch)]
        self._waiting.clear()
        self._batch.clear()
        self._sending.clear()
        self._kv.clear()
        self._context = 0.0
        return lost

    def hold_until(self, at_s: float) -> None:
        """Do nothing before this time; a step that runs beyond it anyway loses nothing more."""
        self._clock_s = max(self._clock_s, at_s)

    def release(self, request: Request, at_s: float) -> None:
        """The cache of a handed-over request is no longer needed here from this time on."""
        heappush(self._sending, (at_s, request.serial, request.needed_blocks, request.blocks))

    def pace(self, speed_ratio: float, link_bytes_per_s: float) -> None:
        """Clock of the slowest chip, and what each chip can move in a collective; above 0."""
        self._slowness = 1.0 / speed_ratio
        self._link_bytes_per_s = link_bytes_per_s

    def advance(self, end_s: float) -> None:
        """Serve until `end_s`; a step that has begun is finished, and starts the next span late."""
        now_s = self._clock_s
        while now_s < end_s:
            # After a pass the batch gets a run of its own, or prompts would starve it.
            admitted = [] if self._passed and self._batch else self._admit(now_s)
            if admitted:
                now_s = self._prefill(admitted, now_s)
            elif self._batch:
                now_s = self._decode(now_s, end_s)
            else:
                now_s = max(now_s, min(self._next_s(), end_s))
        self._clock_s = now_s

    def _next_s(self) -> float:
        """When an idle replica has something to look at."""
        if self._blocked:
            return self._sending[0][0] if self._sending else math.inf
        return self._waiting[0].ready_s if self._waiting else math.inf

    def _admit(self, now_s: float) -> list[tuple[Request, int]]:
        """Prompts of the next pass, each with the tokens whose cache is here; requests that come
        with their cache join the batch at once.
        """
        waiting, limits, kv = self._waiting, self._limits, self._kv
        admitted: list[tuple[Request, int]] = []
        tokens = 0
        room = limits.max_batch - len(self._batch)
        self._blocked = False
        if self._sending:
            self._forget_sent(now_s)
        while waiting and waiting[0].ready_s <= now_s:
            request = waiting[0]
            if len(admitted) >= room:
                self._blocked = True
                break
            cached = self._cached(request) if request.blocks else 0
            fresh = request.prompt_tokens - cached
            if admitted and tokens + fresh > limits.prefill_tokens:
                break
            if not kv.reserve(request.needed_blocks, request.blocks):
                self._blocked = True
                break
            waiting.popleft()
            if request.first_token_s is not None:
                request.queue_s += max(now_s - request.ready_s, 0.0)
                self._join(request)
                room -= 1
                continue
            admitted.append((request, cached))
            tokens += fresh
        return admitted

    def _cached(self, request: Request) -> int:
        """At least the last token of a prompt is computed."""
        return min(self.cached_tokens(request), request.prompt_tokens - 1)

    def _prefill(self, admitted: list[tuple[Request, int]], now_s: float) -> float:
        tokens = squares = cached = 0
        for request, held in admitted:
            prompt = request.prompt_tokens
            tokens += prompt
            cached += held
            squares += prompt * prompt - held * held
        fresh = tokens - cached
        work = self._cost.prefill(fresh, len(admitted), squares, cached)
        seconds = work.busy_s * self._slowness
        seconds += self._cost.collective_s(fresh, self._link_bytes_per_s)
        ready_s = now_s + seconds
        for request, _ in admitted:
            request.queue_s = max(now_s - request.arrived_s, 0.0)
            request.first_token_s = ready_s
            if request.output_tokens == 1:
                self._complete(request, ready_s)
            elif self.role is Role.PREFILL:
                self.hand_overs.append(request)
            else:
                self._join(request)
        self.prompt_tokens += tokens
        self.hit_tokens += cached
        self.prefill_flop += work.flop
        self.moved_bytes += work.moved_bytes
        self.steps.append((seconds, 1))
        self._passed = True
        return ready_s

    def _join(self, request: Request) -> None:
        self._context += request.prompt_tokens
        finish = self._step + request.output_tokens - 1
        self._joined += 1
        heappush(self._batch, (finish, self._joined, request))

    def _decode(self, now_s: float, end_s: float) -> float:
        batch = self._batch
        size = len(batch)
        work = self._cost.decode(size, self._context)
        seconds = work.busy_s * self._slowness
        seconds += self._cost.collective_s(size, self._link_bytes_per_s)
        run = self._run_length(now_s, end_s, seconds)
        tokens = run * size
        first_step = self._step
        self._step = last_step = first_step + run
        while batch and batch[0][0] <= last_step:
            finish_step, _, request = heappop(batch)
            tokens -= last_step - finish_step
            # The first token came with the prefill.
            self._context -= request.prompt_tokens + request.output_tokens - 1
            self._complete(request, now_s + (finish_step - first_step) * seconds)
        self._context = self._context + tokens if batch else 0.0
        self.decode_flop += work.flop * tokens / size
        self.moved_bytes += work.moved_bytes * run
        self.decode_rows = max(self.decode_rows, size)
        self.steps.append((seconds, run))
        self._passed = False
        return now_s + run * seconds

    def _run_length(self, now_s: float, end_s: float, step_s: float) -> int:
        """Steps until the next request could join, the end, or a bounded run."""
        batch, waiting = self._batch, self._waiting
        longest = min(_LONGEST_RUN, math.ceil((end_s - now_s) / step_s))
        if waiting:
            shortest = math.ceil(self._limits.schedule_s / step_s)
            if waiting[0].ready_s > now_s:
                look = math.ceil((waiting[0].ready_s - now_s) / step_s)
            elif self._blocked:
                look = batch[0][0] - self._step
            else:
                look = shortest
            longest = min(longest, max(look, shortest))
        if len(batch) <= _FEW_REQUESTS:
            longest = min(longest, max(finish_step for finish_step, _, _ in batch) - self._step)
        return max(longest, 1)

    def _complete(self, request: Request, at_s: float) -> None:
        """A request has its last token."""
        self._kv.release(request.needed_blocks, request.blocks)
        arrived_s, output = request.arrived_s, request.output_tokens
        first_s = at_s if request.first_token_s is None else request.first_token_s
        self.completions.extend(
            (
                request.serial,
                first_s - arrived_s,
                (at_s - first_s) / (output - 1) if output > 1 else 0.0,
                at_s - arrived_s,
                request.queue_s,
                request.prompt_tokens,
                output,
                request.retries,
            )
        )

    def _forget_sent(self, now_s: float) -> None:
        while self._sending and self._sending[0][0] <= now_s:
            _, _, blocks, prefix = heappop(self._sending)
            self._kv.release(blocks, prefix)

    def _blocks_of(self, request: Request) -> int:
        """That a request needs here: where it is only prefilled, none for its answer."""
        if self.role is Role.PREFILL:
            return self._kv.blocks_of(request.prompt_tokens)
        return self._kv.blocks_of(request.prompt_tokens + request.output_tokens)
