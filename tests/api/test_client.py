import httpx
import pytest

from api.client import ApiClient, ApiError


def answering(response: httpx.Response) -> ApiClient:
    return ApiClient("http://desk", transport=httpx.MockTransport(lambda _: response))


def test_no_server_is_one_clear_line() -> None:
    with ApiClient("http://127.0.0.1:9") as client:
        assert not client.ready()
        with pytest.raises(ApiError, match=r"no API answers at http://127\.0\.0\.1:9") as told:
            client.fleet()
    assert told.value.status is None
    assert "\n" not in str(told.value)


def test_a_problem_becomes_its_detail_in_one_line() -> None:
    problem = httpx.Response(404, json={"detail": "unknown chip\n 'x'", "status": 404})
    with answering(problem) as client, pytest.raises(ApiError) as told:
        client.chip("x")
    assert str(told.value) == "unknown chip 'x'"
    assert told.value.status == 404


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"status": 502}', b"\xff"])
def test_an_error_that_is_no_problem_document_is_told_all_the_same(content: bytes) -> None:
    bad = httpx.Response(502, content=content)
    with answering(bad) as client, pytest.raises(ApiError, match="502 Bad Gateway"):
        client.fleet()


@pytest.mark.parametrize("content", [b"<html>hello", b"[1, 2]"])
def test_something_else_on_the_port_is_told_apart(content: bytes) -> None:
    other = httpx.Response(200, content=content)
    with answering(other) as client, pytest.raises(ApiError):
        client.fleet()


def test_ids_can_not_leave_their_place_in_the_path() -> None:
    seen: list[str] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path.decode())
        return httpx.Response(200, json={})

    with ApiClient("http://desk", transport=httpx.MockTransport(note)) as client:
        client.chip("h1/us01/r1/s07/c2")
        client.job("a?b#c d")
    assert seen == ["/api/v1/chips/h1/us01/r1/s07/c2", "/api/v1/jobs/a%3Fb%23c%20d"]
