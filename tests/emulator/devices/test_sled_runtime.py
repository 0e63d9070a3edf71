import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.devices.sled_runtime import SledRuntime
from emulator.readings import JobPhase
from tests.emulator.devices.builders import HandHall, running_job

SLED = "h1/us01/r1/s01"
SHARE: dict[str, Any] = {
    "attempt": 1,
    "model": "llama-3-70b",
    "chips": [0, 1],
    "tensor_parallel": 2,
    "gang": [SLED],
}


class Bench:
    def __init__(self) -> None:
        self.hall = HandHall()
        self.hall.change_sled(jobs=())
        self.runtime = SledRuntime(self.hall, 0)

    def put(self, job_id: str = "job-1", **changes: object) -> tuple[int, Any]:
        body = json.dumps({**SHARE, **changes}).encode()
        status, answer = self.runtime.request("PUT", f"/v1/jobs/{job_id}", body)
        return status, json.loads(answer)

    def delete(self, job_id: str, query: str = "") -> int:
        return self.runtime.request("DELETE", f"/v1/jobs/{job_id}{query}")[0]

    def jobs(self) -> Any:
        status, body = self.runtime.request("GET", "/v1/jobs")
        assert status == 200
        return json.loads(body)["jobs"]


def test_start_is_idempotent_and_the_world_is_told() -> None:
    bench = Bench()
    assert bench.put()[0] == 201
    assert bench.put()[0] == 200
    [spec] = bench.hall.sled_requests(0).jobs.values()
    assert (spec.job_id, spec.attempt, spec.chips, spec.gang) == ("job-1", 1, (0, 1), (SLED,))
    assert bench.jobs() == [{"job_id": "job-1", **SHARE, "state": "starting"}]


def test_what_runs_is_shown_with_its_counts() -> None:
    bench = Bench()
    bench.put()
    bench.hall.change_sled(jobs=(running_job(job_id="job-1", attempt=1),))
    [job] = bench.jobs()
    assert (job["state"], job["completed_total"]) == (JobPhase.RUNNING.value, 1_000)
    status, body = bench.runtime.request("GET", "/v1/jobs/job-1")
    assert (status, json.loads(body)) == (200, job)


def test_busy_chips_are_refused_until_they_are_free() -> None:
    bench = Bench()
    bench.put("job-1", chips=[0, 1])
    status, problem = bench.put("job-2", chips=[1, 2])
    assert status == 409
    assert "chips 1 are held by job job-1" in problem["detail"]
    assert bench.delete("job-1") == 204
    assert bench.put("job-2", chips=[1, 2])[0] == 201


def test_a_later_attempt_takes_the_place_of_an_earlier_one() -> None:
    bench = Bench()
    bench.put(attempt=2, chips=[0, 1])
    assert bench.put(attempt=3, chips=[1, 2])[0] == 200
    assert bench.put(attempt=2, chips=[0, 1])[0] == 409
    assert bench.put(attempt=3, chips=[0, 3])[0] == 409
    [spec] = bench.hall.sled_requests(0).jobs.values()
    assert (spec.attempt, spec.chips) == (3, (1, 2))


def test_stop_is_idempotent_and_can_name_an_attempt() -> None:
    bench = Bench()
    assert bench.delete("never-was") == 204
    bench.put(attempt=2)
    assert bench.delete("job-1", "?attempt=1") == 204
    assert len(bench.jobs()) == 1
    assert bench.delete("job-1", "?attempt=x") == 400
    assert bench.delete("job-1", "?attempt=2") == 204
    assert bench.jobs() == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "gpt-2"}, "unknown model gpt-2; known: "),
        ({"chips": []}, "chips is empty"),
        ({"chips": [4]}, "0 to 3"),
        ({"chips": [1, 1]}, "twice"),
        ({"gang": ["h1/us01/r1/s02"]}, SLED),
        ({"gang": [SLED, SLED]}, "twice"),
        ({"tensor_parallel": 0}, "tensor_parallel"),
        ({"attempt": "1"}, "attempt"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_share_that_can_not_run_here_is_refused(changes: dict[str, Any], words: str) -> None:
    bench = Bench()
    status, problem = bench.put(**changes)
    assert status == 422
    assert words in problem["detail"]
    assert bench.jobs() == []


def test_a_sled_that_is_off_runs_nothing() -> None:
    bench = Bench()
    bench.hall.change_sled(powered=False)
    assert bench.put()[0] == 503
    assert bench.runtime.request("GET", "/v1/jobs")[0] == 503


def test_a_job_id_may_hold_a_slash() -> None:
    bench = Bench()
    assert bench.put("team%2Fjob")[0] == 201
    assert list(bench.hall.sled_requests(0).jobs) == ["team/job"]
    assert bench.delete("team%2Fjob") == 204


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/jobs/none", 404),
        ("GET", "/v2", 404),
        ("GET", "//[", 404),
        ("PUT", "/v1/jobs/", 405),
        ("POST", "/v1/jobs", 405),
        ("PATCH", "/v1/jobs/x", 405),
        ("PUT", "/v1/jobs/x", 400),
    ],
)
def test_other_requests_are_refused(method: str, path: str, status: int) -> None:
    assert Bench().runtime.request(method, path)[0] == status


@settings(max_examples=150)
@given(body=st.binary(max_size=60), path=st.text(max_size=20))
def test_hostile_requests_are_answered(body: bytes, path: str) -> None:
    runtime = Bench().runtime
    assert runtime.request("PUT", f"/v1/jobs/{path}", body)[0] in {400, 404, 405, 422}
    assert runtime.request("GET", path)[0] in {200, 404}
