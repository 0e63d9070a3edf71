"""One replica: continuous batching of requests, advanced from event to event."""

import math
from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final, NamedTuple

from emulator.serving.roofline import StepCost

# A decode run ends for finished requests at the latest after so many steps.
_LONGEST_RUN: Final = 32


class Request(NamedTuple):
    arrived_s: float
    prompt_tokens: int
    output_tokens: int


class Running(NamedTuple):
    """Ordered by the step at which its last token comes."""

    finish_step: int
    serial: int
    request: Request
    first_token_s: float


class Completion(NamedTuple):
    ttft_s: float
    tpot_s: float
    latency_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    max_batch: int
    prefill_tokens: int
    max_waiting: int


class Replica:
    """A tensor-parallel group. Prompts go before decode steps; a request joins at the next step.

    Whole decode runs are advanced at once: with a fixed batch every step adds one token to each
    request, so a request ends at a step that is known when it joins.
    Counters below hold what was done since `start_span`.
    """

    __slots__ = (
        "_batch",
        "_clock_s",
        "_context",
        "_cost",
        "_limits",
        "_reserved",
        "_serial",
        "_step",
        "_waiting",
        "completions",
        "decode_flop",
        "decode_rows",
        "moved_bytes",
        "prefill_flop",
        "refused",
        "steps",
    )

    def __init__(self, cost: StepCost, limits: BatchLimits, start_s: float) -> None:
        self._cost = cost
        self._limits = limits
        self._clock_s = start_s
        self._waiting: deque[Request] = deque()
        self._batch: list[Running] = []
        self._context = 0.0
        self._reserved = 0
        self._step = 0
        self._serial = 0
        self.start_span()

    def start_span(self) -> None:
        self.prefill_flop = 0.0
        self.decode_flop = 0.0
        self.moved_bytes = 0.0
        self.decode_rows = 0
        self.refused = 0
        self.steps: list[tuple[float, int]] = []
        """Duration and number of executions."""
        self.completions: list[Completion] = []

    @property
    def queue_length(self) -> int:
        """Requests that wait or run."""
        return len(self._waiting) + len(self._batch)

    @property
    def cached_bytes(self) -> float:
        """KV cache in use."""
        return self._context * self._cost.shape.context_bytes

    def offer(self, request: Request) -> bool:
        """Queue a request; False when the queue is full or the request can never fit."""
        needed = request.prompt_tokens + request.output_tokens
        if len(self._waiting) >= self._limits.max_waiting or needed > self._cost.kv_tokens:
            self.refused += 1
            return False
        self._waiting.append(request)
        return True

    def drop_all(self) -> int:
        """Lose everything queued or running; how many requests that were."""
        lost = self.queue_length
        self._waiting.clear()
        self._batch.clear()
        self._context, self._reserved = 0.0, 0
        return lost

    def hold_until(self, at_s: float) -> None:
        """Do nothing before this time; a step that runs beyond it anyway loses nothing more."""
        self._clock_s = max(self._clock_s, at_s)

    def advance(self, end_s: float, speed_ratio: float) -> None:
        """Serve until `end_s`; a step that has begun is finished, and starts the next span late."""
        now_s = self._clock_s
        while now_s < end_s:
            admitted = self._admit(now_s)
            if admitted:
                now_s = self._prefill(admitted, now_s, speed_ratio)
            elif self._batch:
                now_s = self._decode(now_s, end_s, speed_ratio)
            elif self._waiting:
                now_s = max(now_s, min(self._waiting[0].arrived_s, end_s))
            else:
                now_s = end_s
        self._clock_s = now_s

    def _admit(self, now_s: float) -> list[Request]:
        """Requests of the next prefill pass; empty when none may join now."""
        waiting, limits = self._waiting, self._limits
        admitted: list[Request] = []
        tokens = 0
        while waiting and waiting[0].arrived_s <= now_s:
            head = waiting[0]
            needed = head.prompt_tokens + head.output_tokens
            if (
                len(self._batch) + len(admitted) >= limits.max_batch
                or self._reserved + needed > self._cost.kv_tokens
                or (admitted and tokens + head.prompt_tokens > limits.prefill_tokens)
            ):
                break
            admitted.append(waiting.popleft())
            tokens += head.prompt_tokens
            self._reserved += needed
        return admitted

    def _prefill(self, admitted: list[Request], now_s: float, speed_ratio: float) -> float:
        tokens = squares = 0
        for request in admitted:
            tokens += request.prompt_tokens
            squares += request.prompt_tokens * request.prompt_tokens
        seconds, flop, moved = self._cost.prefill(tokens, len(admitted), squares)
        seconds /= speed_ratio
        now_s += seconds
        for request in admitted:
            self._serial += 1
            finish = self._step + request.output_tokens - 1
            heappush(self._batch, Running(finish, self._serial, request, now_s))
        self._context += tokens
        self.prefill_flop += flop
        self.moved_bytes += moved
        self.steps.append((seconds, 1))
        return now_s

    def _decode(self, now_s: float, end_s: float, speed_ratio: float) -> float:
        batch = self._batch
        size = len(batch)
        seconds, flop, moved = self._cost.decode(size, self._context)
        seconds /= speed_ratio
        run = self._run_length(now_s, end_s, seconds)
        # Shorter when the last request of the batch ends before.
        if size == 1:
            run = max(min(run, batch[0].finish_step - self._step), 0)
        tokens = run * size
        first_step = self._step
        self._step += run
        while batch and batch[0].finish_step <= self._step:
            done = heappop(batch)
            after = done.finish_step - first_step
            tokens -= run - after
            self._complete(done, now_s + after * seconds)
        share = tokens / size
        self._context += tokens
        if not batch:
            self._context = 0.0
        self.decode_flop += flop * share
        self.moved_bytes += moved * run
        self.decode_rows = max(self.decode_rows, size)
        if run:
            self.steps.append((seconds, run))
        return now_s + run * seconds

    def _run_length(self, now_s: float, end_s: float, step_s: float) -> int:
        """Steps until the next arrival that could join, the end, or a bounded run."""
        limits = self._limits
        if self._waiting:
            arrival_s = self._waiting[0].arrived_s
            if arrival_s > now_s:
                end_s = min(end_s, arrival_s)
            elif len(self._batch) >= limits.max_batch:
                # The queue waits for a place, so look again as soon as one is free.
                to_finish = self._batch[0].finish_step - self._step
                return max(1, min(to_finish, math.ceil((end_s - now_s) / step_s)))
        return max(1, min(_LONGEST_RUN, math.ceil((end_s - now_s) / step_s)))

    def _complete(self, done: Running, at_s: float) -> None:
        request = done.request
        length = request.prompt_tokens + request.output_tokens
        self._reserved -= length
        # The first token came with the prefill.
        self._context -= length - 1
        self.completions.append(
            Completion(
                done.first_token_s - request.arrived_s,
                (at_s - done.first_token_s) / max(request.output_tokens - 1, 1),
                at_s - request.arrived_s,
            )
        )
