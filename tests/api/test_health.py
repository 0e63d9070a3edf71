import httpx

from tests.api.builders import Running, make_view


def test_ready_only_while_every_loop_is_heard(api: Running) -> None:
    assert not api.client.ready()
    api.hear(make_view(api.fleet_map))
    assert api.client.ready()
    api.clock.advance(10.5)
    assert not api.client.ready()


def test_unready_says_which_loop_is_silent(api: Running, http: httpx.Client) -> None:
    answer = http.get("/readyz")
    assert answer.status_code == 503
    assert "h1/loop01" in answer.json()["detail"]
    assert http.get("/livez").json() == {"status": "ok"}
