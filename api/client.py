"""A small synchronous client of the API, for the command line and for tests."""

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

from fleet.errors import IsothermError

Document = dict[str, Any]
"""One resource, as the API's JSON has it."""

TIMEOUT_S: Final = 10.0


class ApiError(IsothermError):
    """The API refused, or does not answer; `status` is None in the second case."""

    def __init__(self, detail: str, status: int | None = None) -> None:
        super().__init__(detail)
        self.status = status


class ApiClient:
    """One API at `url`, for example `http://127.0.0.1:8080`. Every call may raise ApiError, with
    the one line that the API's problem document has.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        # Proxies from the environment would send a call for loopback away.
        self._http = httpx.Client(
            base_url=url, timeout=timeout_s, transport=transport, trust_env=False
        )

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def fleet(self) -> Document:
        return self._document("GET", "/api/v1/fleet")

    def loops(self) -> list[Document]:
        return list(self._all("/api/v1/loops"))

    def loop(self, loop_id: str) -> Document:
        return self._document("GET", _path("loops", loop_id))

    def reset_loop(self, loop_id: str, *, reason: str, actor: str = "api") -> Document:
        body = {"reason": reason, "actor": actor}
        return self._document("POST", _path("loops", loop_id, "reset"), body=body)

    def set_point(
        self, loop_id: str, *, supply_c: float, version: str, reason: str, actor: str, for_s: float
    ) -> Document:
        """`version` is that of the loop as it was looked at."""
        body = {"supply_c": supply_c, "reason": reason, "actor": actor, "for_s": for_s}
        return self._document(
            "PATCH", _path("loops", loop_id), body=body, headers={"If-Match": f'"{version}"'}
        )

    def override_loop(self, loop_id: str, body: Document, *, version: str) -> Document:
        path = _path("loops", loop_id, "override")
        return self._document("POST", path, body=body, headers={"If-Match": f'"{version}"'})

    def release_loop(self, loop_id: str, *, reason: str, actor: str = "api") -> Document:
        body = {"reason": reason, "actor": actor}
        return self._document("POST", _path("loops", loop_id, "release"), body=body)

    def what_if(self, loop_id: str, supposed: Document) -> Document:
        return self._document("POST", _path("loops", loop_id, "whatif"), body=supposed)

    def sleds(self, *, ultraserver: str | None = None, loop: str | None = None) -> list[Document]:
        return list(self._all("/api/v1/sleds", {"ultraserver": ultraserver, "loop": loop}))

    def sled(self, sled_id: str) -> Document:
        return self._document("GET", _path("sleds", sled_id))

    def cordon(self, sled_id: str, *, reason: str, actor: str = "api") -> Document:
        body = {"reason": reason, "actor": actor}
        return self._document("PUT", _path("sleds", sled_id, "cordon"), body=body)

    def uncordon(self, sled_id: str, *, actor: str = "api") -> None:
        self._answer("DELETE", _path("sleds", sled_id, "cordon"), query={"actor": actor})

    def reset_guard(self, sled_id: str, *, reason: str, actor: str = "api") -> Document:
        body = {"reason": reason, "actor": actor}
        return self._document("POST", _path("sleds", sled_id, "guard", "reset"), body=body)

    def enrol(self, sled_id: str, *, reason: str, actor: str = "api") -> Document:
        body = {"reason": reason, "actor": actor}
        return self._document("POST", _path("sleds", sled_id, "enrol"), body=body)

    def chips(self, *, sled: str | None = None, ultraserver: str | None = None) -> list[Document]:
        return list(self._all("/api/v1/chips", {"sled": sled, "ultraserver": ultraserver}))

    def chip(self, chip_id: str) -> Document:
        return self._document("GET", _path("chips", chip_id))

    def submit(
        self,
        *,
        name: str,
        model: str,
        chips: int,
        tensor_parallel: int = 1,
        priority: int = 0,
        idempotency_key: str | None = None,
    ) -> Document:
        """With a key the call may be repeated: the same job comes back."""
        body = {
            "name": name,
            "model": model,
            "chips": chips,
            "tensor_parallel": tensor_parallel,
            "priority": priority,
        }
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return self._document("POST", "/api/v1/jobs", body=body, headers=headers)

    def jobs(self, *, state: str | None = None) -> list[Document]:
        """Newest first."""
        return list(self._all("/api/v1/jobs", {"state": state}))

    def job(self, job_id: str) -> Document:
        return self._document("GET", _path("jobs", job_id))

    def cancel(self, job_id: str) -> Document:
        return self._document("DELETE", _path("jobs", job_id))

    def incidents(self, *, resolved_too: bool = False) -> list[Document]:
        """Newest first."""
        return list(self._all("/api/v1/incidents", {"state": "all" if resolved_too else "open"}))

    def incident(self, incident_id: str) -> Document:
        return self._document("GET", _path("incidents", incident_id))

    def acknowledge(self, incident_id: str, *, actor: str, comment: str = "") -> Document:
        body = {"actor": actor, "comment": comment}
        return self._document("POST", _path("incidents", incident_id, "ack"), body=body)

    def add_webhook(self, *, name: str, url: str) -> Document:
        """The only answer that has the `secret`."""
        return self._document("POST", "/api/v1/webhooks", body={"name": name, "url": url})

    def webhooks(self) -> list[Document]:
        return list(self._all("/api/v1/webhooks"))

    def remove_webhook(self, webhook_id: str) -> None:
        self._answer("DELETE", _path("webhooks", webhook_id))

    def deliveries(self, webhook_id: str) -> list[Document]:
        """Newest first."""
        return list(self._all(_path("webhooks", webhook_id, "deliveries")))

    def test_webhook(self, webhook_id: str) -> Document:
        return self._document("POST", _path("webhooks", webhook_id, "test"))

    def history(
        self,
        place: str,
        metrics: Sequence[str],
        *,
        since: str | None = None,
        until: str | None = None,
        step_s: int | None = None,
    ) -> Document:
        """`since` and `until` are times as ISO 8601 has them, with their offset from UTC."""
        given = {"from": since, "until": until, "step_s": step_s}
        query: dict[str, str | Sequence[str]] = {
            name: str(value) for name, value in given.items() if value is not None
        }
        query |= {"place": place, "metric": list(metrics)}
        return self._document("GET", "/api/v1/history", query=query)

    def ready(self) -> bool:
        """False while it is not ready or does not answer; never raises."""
        try:
            return self._http.get("/readyz").status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def metrics(self) -> str:
        return self._answer("GET", "/metrics").text

    def _all(
        self, path: str, filters: Mapping[str, str | None] | None = None
    ) -> Iterator[Document]:
        given = {name: value for name, value in (filters or {}).items() if value is not None}
        cursor: dict[str, str] = {}
        while True:
            page = self._document("GET", path, query={**given, **cursor, "limit": "1000"})
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            cursor = {"cursor": page["next_cursor"]}

    def _document(
        self,
        method: str,
        path: str,
        *,
        body: Document | None = None,
        query: Mapping[str, str | Sequence[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Document:
        answer = self._answer(method, path, body=body, query=query, headers=headers)
        try:
            document = answer.json()
        except ValueError as error:
            raise ApiError(
                f"{answer.url} does not answer in JSON: is it Isotherm's API?"
            ) from error
        if not isinstance(document, dict):
            raise ApiError(f"{answer.url} answered with something else than a document")
        return document

    def _answer(
        self,
        method: str,
        path: str,
        *,
        body: Document | None = None,
        query: Mapping[str, str | Sequence[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        try:
            answer = self._http.request(method, path, json=body, params=query, headers=headers)
        except httpx.InvalidURL as error:
            raise ApiError(f"not an address: {error}") from error
        except httpx.HTTPError as error:
            raise ApiError(f"no API answers at {self._http.base_url}: {error}") from error
        if answer.is_success:
            return answer
        raise ApiError(_line(answer), answer.status_code)


def _path(kind: str, resource_id: str, *more: str) -> str:
    # The slashes of an id are slashes of the path; nothing else in it may be.
    return "/".join(("/api/v1", kind, quote(resource_id, safe="/:@"), *more))


def _line(answer: httpx.Response) -> str:
    """What a problem document says, in one line."""
    try:
        problem = answer.json()
        detail = problem["detail"]
    except (ValueError, KeyError, TypeError):
        return f"{answer.request.url} answered {answer.status_code} {answer.reason_phrase}"
    return " ".join(str(detail).split())
