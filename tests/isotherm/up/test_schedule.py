from typing import Any

import httpx
import msgspec

from api.client import ApiClient
from isotherm.up.demo import DemoJob
from isotherm.up.schedule import JobSchedule


class Api:
    """Takes jobs; refuses those of a model it does not know, and answers nothing when it is off."""

    def __init__(self, known: list[dict[str, Any]] | None = None) -> None:
        self.known = known or []
        self.submitted: list[str] = []
        self.cancelled: list[str] = []
        self.off = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.off:
            raise httpx.ConnectError("off")
        if request.method == "DELETE":
            self.cancelled.append(request.url.path.rpartition("/")[2])
            return httpx.Response(200, json={})
        if request.method == "GET":
            return httpx.Response(200, json={"items": self.known, "next_cursor": None})
        body = msgspec.json.decode(request.content)
        if body["model"] == "unknown":
            return httpx.Response(422, json={"title": "Not possible", "status": 422})
        self.submitted.append(body["name"])
        return httpx.Response(201, json={"id": f"id-{body['name']}"})


def schedule_of(api: Api, *jobs: DemoJob) -> JobSchedule:
    return JobSchedule(ApiClient("http://api", transport=httpx.MockTransport(api)), jobs)


def job(
    name: str, start_s: float = 0.0, *, end_s: float | None = None, model: str = "m"
) -> DemoJob:
    return DemoJob(name=name, model=model, chips=4, tensor_parallel=4, start_s=start_s, end_s=end_s)


def test_jobs_come_and_go_at_their_times() -> None:
    api = Api()
    schedule = schedule_of(api, job("late", 10.0), job("first", end_s=20.0))
    for now_s, submitted, cancelled in (
        (0.0, ["first"], []),
        (9.0, ["first"], []),
        (10.0, ["first", "late"], []),
        (20.0, ["first", "late"], ["id-first"]),
        (21.0, ["first", "late"], ["id-first"]),
    ):
        schedule.follow(now_s)
        assert (api.submitted, api.cancelled) == (submitted, cancelled)


def test_what_people_submitted_is_left_alone() -> None:
    api = Api([{"id": "job-1"}])
    schedule_of(api, job("first")).follow(0.0)
    assert api.submitted == []


def test_no_answer_is_asked_again_and_a_refusal_is_left() -> None:
    api = Api()
    schedule = schedule_of(api, job("bad", model="unknown"), job("good"))
    api.off = True
    schedule.follow(0.0)
    api.off = False
    schedule.follow(1.0)
    schedule.follow(2.0)
    assert api.submitted == ["good"]
