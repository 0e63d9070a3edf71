"""How far ingest is behind what was published: the ends of the partitions, looked up now and then
in a thread of its own, for the broker may take its time to answer.
"""

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Final

import structlog

from fleet.bus import Bus, Start
from fleet.clock import Clock
from fleet.errors import BusError
from fleet.topics import TELEMETRY

_log = structlog.get_logger(__name__)

EVERY_S: Final = 5.0
_OLD_S: Final = 3 * EVERY_S


class Ends:
    """`look` is one look by hand; `start` takes one every so often."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._clock = clock
        self._partitions = range(bus.laid_out(TELEMETRY).partitions)
        self._reader = bus.reader(TELEMETRY, start=Start.END, partitions=[])
        self._ends: Mapping[int, int] = {}
        self._seen_at_s = -1e18
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.counts: Counter[str] = Counter()
        """lag_errors."""

    def look(self) -> None:
        """Raises BusError when the bus is away."""
        ends = self._reader.ends(self._partitions)
        self._ends, self._seen_at_s = ends, self._clock.monotonic_s()

    def behind(self, partition: int, position: int) -> int | None:
        """Messages that were published and not read; None when it is not known."""
        if self._clock.monotonic_s() - self._seen_at_s > _OLD_S or partition not in self._ends:
            return None
        return max(self._ends[partition] - position, 0)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="ingest-lag", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 0.5) -> None:
        """A look under way that outlasts this ends with the process."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                return
        self._reader.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.look()
            except BusError as error:
                self.counts["lag_errors"] += 1
                _log.warning("lag_not_known", error=str(error))
            except Exception:  # noqa: BLE001 - the thread's own loop: counted, logged, goes on
                self.counts["lag_errors"] += 1
                _log.exception("lag_failed")
            self._stop.wait(EVERY_S)
