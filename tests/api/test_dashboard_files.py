from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from api.options import ApiOptions


@pytest.fixture
def options(tmp_path: Path) -> ApiOptions:
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>built</title>")
    (folder / "assets" / "index-a1b2c3.js").write_text("export {}")
    (folder / "help.html").write_text("<!doctype html><title>help</title>")
    (tmp_path / "secret.txt").write_text("not for you")
    return replace(ApiOptions(port=0), static_directory=folder)


def test_the_page_is_asked_for_again_and_loads_nothing_from_elsewhere(http: httpx.Client) -> None:
    page = http.get("/")
    assert "built" in page.text
    assert page.headers["Cache-Control"] == "no-cache"
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self';")
    again = http.get("/", headers={"If-None-Match": page.headers["ETag"]})
    assert again.status_code == 304


def test_hashed_files_are_kept_for_good(http: httpx.Client) -> None:
    script = http.get("/assets/index-a1b2c3.js")
    assert "immutable" in script.headers["Cache-Control"]
    assert script.headers["Content-Type"].startswith("text/javascript")
    assert script.headers["X-Content-Type-Options"] == "nosniff"


def test_a_missing_file_is_a_problem_and_is_not_kept(http: httpx.Client) -> None:
    missing = http.get("/assets/index-000000.js", headers={"Accept": "text/html"})
    assert missing.status_code == 404
    assert missing.headers["Content-Type"] == "application/problem+json"
    assert "immutable" not in missing.headers["Cache-Control"]


@pytest.mark.parametrize(
    "path", ["/../secret.txt", "/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt"]
)
def test_files_outside_are_out_of_reach(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 404


def test_the_api_is_not_hidden_by_the_page(http: httpx.Client) -> None:
    assert http.get("/api/v1/fleet").status_code == 200
    assert http.get("/api/v1/nope", headers={"Accept": "text/html"}).status_code == 404
    assert http.post("/api/v1/fleet").status_code == 405


def test_without_a_built_page_the_root_says_so(quiet_http: httpx.Client) -> None:
    page = quiet_http.get("/")
    assert page.status_code == 200
    assert "make dashboard" in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self';")
