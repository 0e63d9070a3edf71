"""Pushes aggregates to a server, in a thread of its own: whatever the server does, nobody waits."""

import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import httpx
import structlog
from numpy.random import Generator

from controller.remote_write.aggregates import Aggregates, Labels, Sample
from controller.remote_write.settings import RemoteWriteSettings
from controller.views import LoopView
from fleet.clock import NS_PER_S, Clock
from fleet.errors import UnknownIdError
from fleet.remote_write import HEADERS, encode_labels, encode_request, encode_series
from fleet.topology import FleetMap

_log = structlog.get_logger(__name__)

_OFFERS: Final = 4
_JITTER_RATIO: Final = 0.1
"""Each wait is longer by up to this share, so that many controllers do not come back at once."""
_NS_PER_MS: Final = NS_PER_S // 1000
_ANSWER_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What one cycle shows: the views of its own loops, and of all where the fleet is led."""

    own: tuple[LoopView, ...]
    fleet: tuple[LoopView, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    body: bytes
    samples: int


class RemoteWriter:
    """`due` and `offer` are for the controller's thread and never wait; `work` is one round of the
    other side by hand, `start` gives it a thread.
    """

    def __init__(
        self, settings: RemoteWriteSettings, fleet_map: FleetMap, clock: Clock, rng: Generator
    ) -> None:
        settings.validate()
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._aggregates = Aggregates(settings, fleet_map)
        token = {"Authorization": f"Bearer {settings.token}"} if settings.token else {}
        self._client = httpx.Client(
            timeout=settings.timeout_s, trust_env=False, headers={**HEADERS, **token}
        )
        self._offers: deque[Offer] = deque(maxlen=_OFFERS)
        self._queue: deque[_Request] = deque()
        self._last_unix_ns: dict[str, int] = {}
        """Loop, or "" for the fleet -> time of its newest sample; a server refuses it twice."""
        self._offered_at_s = -1e18
        self._send_at_s = -1e18
        self._failures = 0
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.counts: Counter[str] = Counter()
        """samples_sent, samples_dropped (the queue was full), samples_refused (by the server),
        retries, errors.
        """

    @property
    def queued(self) -> int:
        """Requests that wait for the server."""
        return len(self._queue)

    def due(self) -> bool:
        """Whether it is time for an offer."""
        return self._clock.monotonic_s() - self._offered_at_s >= self._settings.every_s

    def offer(self, own: Iterable[LoopView], fleet: Iterable[LoopView] | None) -> None:
        """`fleet` None: somebody else speaks for the whole fleet."""
        self._offered_at_s = self._clock.monotonic_s()
        self._offers.append(Offer(own=tuple(own), fleet=None if fleet is None else tuple(fleet)))
        self._wake.set()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="remote-write", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 1.0) -> None:
        """What waits by then is not sent any more, and counted as dropped."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                return  # it waits for the server, and ends with the process
        self.counts["samples_dropped"] += sum(request.samples for request in self._queue)
        self._queue.clear()
        self._client.close()

    def work(self) -> None:
        """Take what was offered, and send until nothing waits or the server wants a pause."""
        while self._offers:
            self._take(self._offers.popleft())
        while self._queue and not self._stop.is_set():
            if self._clock.monotonic_s() < self._send_at_s or not self._send(self._queue[0]):
                return
            self._queue.popleft()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.work()
            except Exception:  # noqa: BLE001 - the thread's own loop: counted, logged, goes on
                self.counts["errors"] += 1
                _log.exception("remote_write_failed")
            waits_s = self._send_at_s - self._clock.monotonic_s() if self._queue else None
            self._wake.wait(None if waits_s is None else max(waits_s, 0.0))
            self._wake.clear()

    def _take(self, offer: Offer) -> None:
        series: list[bytes] = []
        for sample in self._samples(offer):
            labels = _labels(sample.name, sample.labels)
            series.append(encode_series(labels, sample.value, sample.at_unix_ns // _NS_PER_MS))
        step = self._settings.series_a_request
        for first in range(0, len(series), step):
            some = series[first : first + step]
            self._queue.append(_Request(body=encode_request(some), samples=len(some)))
        while len(self._queue) > self._settings.queue_requests:
            self.counts["samples_dropped"] += self._queue.popleft().samples

    def _samples(self, offer: Offer) -> Iterator[Sample]:
        for view in offer.own:
            if self._is_new(view.loop, view.at_unix_ns):
                try:
                    yield from self._aggregates.of_loop(view)
                except UnknownIdError as error:
                    self.counts["errors"] += 1
                    _log.warning("remote_write_left_out", error=str(error))
        newest = max((view.at_unix_ns for view in offer.fleet or ()), default=0)
        if offer.fleet and self._is_new("", newest):
            yield from self._aggregates.of_fleet(offer.fleet)

    def _is_new(self, name: str, at_unix_ns: int) -> bool:
        news = at_unix_ns // _NS_PER_MS > self._last_unix_ns.get(name, -1) // _NS_PER_MS
        if news:
            self._last_unix_ns[name] = at_unix_ns
        return news

    def _send(self, request: _Request) -> bool:
        """False when it must be sent again later."""
        try:
            answer = self._client.post(self._settings.url, content=request.body)
        except httpx.HTTPError as error:
            self._pause(f"{type(error).__name__}: {error}", 0.0)
            return False
        if answer.is_success:
            self._failures = 0
            self.counts["samples_sent"] += request.samples
            return True
        said = f"{answer.status_code}: {answer.text[:_ANSWER_CHARACTERS].strip()}"
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error:
            self._pause(said, _retry_after_s(answer))
            return False
        # The specification: what the server calls wrong stays wrong, and is not sent again.
        self._failures = 0
        self.counts["samples_refused"] += request.samples
        _log.warning("remote_write_refused", server=self._settings.place, answer=said)
        return True

    def _pause(self, why: str, retry_after_s: float) -> None:
        settings = self._settings
        doubled_s = settings.first_wait_s * 2.0 ** min(self._failures, 20)
        wait_s = min(max(doubled_s, retry_after_s), settings.longest_wait_s)
        wait_s *= 1 + _JITTER_RATIO * float(self._rng.random())
        self._send_at_s = self._clock.monotonic_s() + wait_s
        self._failures += 1
        self.counts["retries"] += 1
        _log.warning("remote_write_waits", server=settings.place, wait_s=round(wait_s, 1), why=why)


@lru_cache(maxsize=200_000)
def _labels(name: str, labels: Labels) -> bytes:
    return encode_labels(name, dict(labels))


def _retry_after_s(answer: httpx.Response) -> float:
    """In seconds; the form with a date is rare enough to be passed over."""
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdigit() else 0.0
