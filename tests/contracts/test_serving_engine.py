"""The agent reads what the emulated serving engines expose, and so does Prometheus' own parser."""

from prometheus_client.parser import text_string_to_metric_families

from agent.inputs.serving_engine import ServingEngineInput
from emulator.devices.sled_runtime import SledRuntime
from tests.emulator.devices.builders import HandHall, running_job


def test_queue_and_answers_of_all_jobs_of_a_sled_arrive() -> None:
    hall = HandHall()
    runtime = SledRuntime(hall, 0)
    hall.change_sled(
        jobs=(
            running_job(requests_running=5, requests_waiting=3, requests_completed_total=12),
            running_job(
                model='a "model"\\ of\nours',
                requests_running=2,
                requests_waiting=0,
                requests_completed_total=2**40,
            ),
        )
    )
    seen = ServingEngineInput(runtime).read(0.0)
    assert seen.errors == ()
    assert seen.values == {("requests_running_count", 0): 7, ("requests_waiting_count", 0): 3}
    assert seen.counters == {("requests_completed_total", 0): 2**40 + 12}
    status, body = runtime.request("GET", "/metrics")
    families = {one.name: one for one in text_string_to_metric_families(body.decode())}
    assert (status, families["vllm:request_success"].type) == (200, "counter")
    models = [one.labels["model_name"] for one in families["vllm:num_requests_waiting"].samples]
    assert models == ["llama-3-70b", 'a "model"\\ of\nours']


def test_a_sled_without_jobs_tells_of_no_requests_and_one_that_is_off_of_nothing() -> None:
    hall = HandHall()
    runtime = SledRuntime(hall, 0)
    hall.change_sled(jobs=())
    seen = ServingEngineInput(runtime).read(0.0)
    assert (seen.values, seen.errors) == ({}, ())
    hall.change_sled(powered=False)
    assert ServingEngineInput(runtime).read(0.0) == ServingEngineInput(runtime).read(0.0)
    assert runtime.request("PUT", "/metrics")[0] == 503
    hall.change_sled(powered=True)
    assert runtime.request("PUT", "/metrics")[0] == 405
