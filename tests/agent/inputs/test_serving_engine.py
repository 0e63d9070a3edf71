"""Serving engines as vLLM exposes them; the sample keeps the documented names and labels."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.inputs.base import Samples
from agent.inputs.serving_engine import ServingEngineInput
from tests.agent.devices import JobRuntime

SAMPLE = rb"""
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="meta-llama/Llama-3.1-70B"} 12.0
vllm:num_requests_running{engine="1",model_name="odd {model} \"name\""} 3.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="meta-llama/Llama-3.1-70B"} 7.0
vllm:num_requests_waiting{engine="1",model_name="odd {model} \"name\""} 0.0 1760000000000
# HELP vllm:request_success_total Count of successfully processed requests.
# TYPE vllm:request_success_total counter
vllm:request_success_total{engine="0",finished_reason="stop",model_name="m"} 1.0e+06
vllm:request_success_total{engine="0",finished_reason="length",model_name="m"} 24.0
vllm:request_success_created{engine="0",finished_reason="stop",model_name="m"} 1.76e+09
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 99.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.41
process_cpu_seconds_total 12.5
"""
RUNNING, WAITING = ("requests_running_count", 0), ("requests_waiting_count", 0)
DONE = ("requests_completed_total", 0)


def read(body: bytes) -> Samples:
    return ServingEngineInput(JobRuntime(metrics=body)).read(0.0)


def test_engines_and_reasons_are_added_up_and_others_left_alone() -> None:
    samples = read(SAMPLE)
    assert samples.errors == ()
    assert samples.values == {RUNNING: 15.0, WAITING: 7.0}
    assert samples.counters == {DONE: 1_000_024}


def test_what_is_cut_off_or_no_number_is_not_made_up() -> None:
    cut = read(SAMPLE[: SAMPLE.index(b"12.0")])
    assert math.isnan(cut.values[RUNNING])
    assert WAITING not in cut.values
    assert cut.counters == {}
    assert read(b"vllm:request_success_total -1\n").counters == {}
    assert read(b"vllm:request_success_total 1e300\n").counters == {}


@given(st.binary(max_size=300))
def test_nonsense_is_survived(body: bytes) -> None:
    for text in (body, b"vllm:num_requests_running" + body, b"vllm:request_success_total " + body):
        samples = read(text)
        assert set(samples.values) <= {RUNNING, WAITING}
        assert all(0 <= count < 2**63 for count in samples.counters.values())


@pytest.mark.parametrize("status", [404, 501, 503])
def test_engines_that_expose_nothing_are_no_fault_and_asked_again_later(status: int) -> None:
    class Quiet(JobRuntime):
        def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
            self.asked.append((method, path))
            return status, body or b""

    runtime = Quiet()
    source = ServingEngineInput(runtime)
    for second in range(31):
        assert source.read(float(second)) == Samples()
    assert runtime.asked == [("GET", "/metrics")] * 2


def test_an_engine_that_fails_or_is_away_is_named() -> None:
    class Broken(JobRuntime):
        def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
            return 500, b'{"detail": "no registry"}'

    (failed,) = ServingEngineInput(Broken()).read(0.0).errors
    assert "GET /metrics: HTTP 500: no registry" in str(failed)
    (away,) = ServingEngineInput(JobRuntime(away=True)).read(0.0).errors
    assert "does not answer" in str(away)
