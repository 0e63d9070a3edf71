import httpx
import pytest

from controller.store import Store
from fleet.errors import StoreError
from tests.api.builders import SLED, Running


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "[evil]", "", "a:b:c"])
def test_a_foreign_host_name_is_refused(quiet_http: httpx.Client, host: str) -> None:
    answer = quiet_http.get("/api/v1/fleet", headers={"Host": host})
    assert answer.status_code in {400, 421}  # h11 refuses what is no host at all


@pytest.mark.parametrize("host", ["localhost:1234", "127.0.0.1", "[::1]:80", "LOCALHOST"])
def test_names_of_this_machine_are_taken(quiet_http: httpx.Client, host: str) -> None:
    assert quiet_http.get("/livez", headers={"Host": host}).status_code == 200


def test_a_foreign_page_may_not_write(api: Running, http: httpx.Client) -> None:
    path = f"/api/v1/sleds/{SLED}/cordon"
    foreign = {"Origin": "http://evil.example"}
    assert http.put(path, json={"reason": "x"}, headers=foreign).status_code == 403
    assert http.delete(path, headers={"Origin": "null"}).status_code == 403
    own = {"Origin": api.server.url}
    assert http.put(path, json={"reason": "x"}, headers=own).status_code == 200


def test_request_ids_are_kept_or_made(quiet_http: httpx.Client) -> None:
    kept = quiet_http.get("/nope", headers={"X-Request-ID": "abc-1"})
    assert kept.headers["X-Request-ID"] == kept.json()["request_id"] == "abc-1"
    made = quiet_http.get("/nope", headers={"X-Request-ID": "a b\tc"})
    assert len(made.json()["request_id"]) == 16


@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_body_is_refused_whether_or_not_it_says_its_size(
    quiet_http: httpx.Client, *, chunked: bool
) -> None:
    body = iter([b" " * 40_000] * 4) if chunked else b" " * 160_000
    answer = quiet_http.post(
        "/api/v1/jobs", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_fault_is_a_problem_without_a_traceback(
    api: Running, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(store: Store) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(Store, "read", broken)
    answer = http.get("/api/v1/jobs")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["request_id"] in answer.json()["detail"]
    assert http.get("/livez").status_code == 200


def test_a_database_that_is_away_is_told_as_such(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(store: Store) -> None:
        raise StoreError("database 'x' at db:5432: connection refused")

    monkeypatch.setattr(Store, "read", away)
    monkeypatch.setattr(Store, "ping", away)
    answer = http.get("/api/v1/jobs")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert "connection refused" in answer.json()["detail"]
    assert http.get("/metrics").status_code == 200
    assert "connection refused" in http.get("/readyz").json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/api/v1/chips/h1/us01/r1/s07/c99", 404),
        ("GET", "/api/v1/chips/%00", 422),
        ("GET", "/api/v1/sleds?ultraserver=h1/us77", 404),
        ("GET", "/api/v1/sleds?limit=1001", 422),
        ("GET", "/api/v1/jobs?state=asleep", 422),
        ("POST", "/api/v1/fleet", 405),
        ("DELETE", "/", 405),
        ("BREW", "/api/v1/fleet", 405),
        ("GET", "/../../etc/passwd", 404),
    ],
)
def test_every_refusal_is_a_problem_document(
    quiet_http: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = quiet_http.request(method, path)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"]


def test_unknown_methods_share_a_counter(api: Running, http: httpx.Client) -> None:
    for number in range(5):
        http.request(f"BREW{number}", "/api/v1/fleet")
    assert {method for method, _ in api.desk.counters.requests} <= {"GET", "other"}
