import math
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

from agent.inputs.attempts import Attempts, Gathered
from agent.inputs.base import Samples
from agent.transport import Transport, refusal
from fleet.errors import DeviceError
from fleet.metrics import BY_NAME

PATH: Final = "/metrics"
_GAUGES: Final = {
    "vllm:num_requests_running": "requests_running_count",
    "vllm:num_requests_waiting": "requests_waiting_count",
}
_DONE: Final = "vllm:request_success_total"
_SILENT: Final = {HTTPStatus.NOT_FOUND, HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.SERVICE_UNAVAILABLE}
_ASK_AGAIN_S: Final = 30.0


class ServingEngineInput:
    """Queue and answers of the serving engines on a sled, from vLLM's Prometheus text.

    Several engines, models and reasons are added up. Engines that expose nothing (404, 501), or do
    not run (503), are no fault; they are asked again every 30 s. Names: vLLM, Production Metrics.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._attempts = Attempts()
        self._again_s = -math.inf

    def read(self, now_s: float) -> Samples:
        if now_s < self._again_s:
            return Samples()
        return self._attempts.run(now_s, (lambda gathered: self._read(gathered, now_s),))

    def _read(self, gathered: Gathered, now_s: float) -> None:
        status, body = self._transport.request("GET", PATH)
        if status in _SILENT:
            self._again_s = now_s + _ASK_AGAIN_S
            return
        if status != HTTPStatus.OK:
            raise DeviceError(f"GET {PATH}: {refusal(status, body)}")
        sums: dict[str, float] = {}
        for name, value in series(body.decode(errors="replace")):
            sums[name] = sums.get(name, 0.0) + value
        for name, metric in _GAUGES.items():
            if name in sums:
                gathered.values[metric, 0] = sums[name]
        done = sums.get(_DONE, math.nan)
        if 0.0 <= done < BY_NAME["requests_completed_total"].high:
            gathered.counters["requests_completed_total", 0] = int(done)


def series(exposition: str) -> Iterator[tuple[str, float]]:
    """(name, value) of each series that is read here; one without a number has NaN."""
    for line in exposition.splitlines():
        if not line.startswith("vllm:"):
            continue
        name = line.partition("{")[0].partition(" ")[0]
        if name in _GAUGES or name == _DONE:
            # Labels may hold spaces and braces; behind the value there may be a time.
            words = line[len(name) :].rpartition("}")[2].split()
            yield name, _number(words[0] if words else "")


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan
