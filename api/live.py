"""The newest view of every cooling loop, as the controller published it."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import structlog

from api.counters import Counters
from controller.state.snapshot import Seconds
from controller.views import LoopView, decode_view
from fleet.bus import Bus, Record, Start
from fleet.clock import Clock
from fleet.errors import BusError, MalformedMessageError, UnknownIdError
from fleet.frame import FloatBlock
from fleet.metrics import BY_NAME
from fleet.topics import LIVE
from fleet.topology import FleetMap

POLL_S: Final = 0.2
RETRY_S: Final = 1.0
_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeardLoop:
    """A loop's view with its columns opened: float32 [chips of the loop], [sleds of the loop]."""

    view: LoopView
    chips: Mapping[str, FloatBlock]
    sleds: Mapping[str, FloatBlock]
    sled_age_s: FloatBlock
    heard_at_s: float
    """On the monotonic clock of this process, so that a wrong wall clock can not hide silence."""


class LiveViews:
    """Follows LIVE and keeps the last view of each loop; read from any thread.

    Hand-driven by `poll`, or on a thread of its own between `start` and `stop`.
    """

    def __init__(self, fleet_map: FleetMap, bus: Bus, clock: Clock, counters: Counters) -> None:
        self._map = fleet_map
        self._clock = clock
        self._counters = counters
        self._loops: dict[str, HeardLoop] = {}
        self._reader = bus.reader(LIVE, start=Start.END)
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._follow, name="api-live", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and the reader; the views stay readable."""
        self._stop.set()
        self._reader.close()
        if self._thread is not None:
            self._thread.join(RETRY_S + 2 * POLL_S)
            self._thread = None

    def listen(self, wake: Callable[[], None]) -> None:
        """Have `wake` called, on the following thread, after new views have come."""
        self._listeners = (*self._listeners, wake)

    def poll(self, timeout_s: float = 0.0) -> int:
        """Take what LIVE has; how many views were good."""
        taken = sum(self._take(record) for record in self._reader.poll(timeout_s))
        if taken:
            for wake in self._listeners:
                wake()
        return taken

    def loop(self, loop_id: str) -> HeardLoop | None:
        return self._loops.get(loop_id)

    def view_age_s(self, loop_id: str) -> float:
        """Seconds since the loop's view came; infinite when none did."""
        heard = self._loops.get(loop_id)
        return float("inf") if heard is None else self._clock.monotonic_s() - heard.heard_at_s

    def silent(self, fresh_s: float) -> tuple[str, ...]:
        """Loops without a view of the last `fresh_s` seconds."""
        return tuple(name for name in self._map.loop_ids if self.view_age_s(name) > fresh_s)

    def chip_column(self, metric: str, *, fresh: bool = False) -> FloatBlock:
        """float32 [chips], NaN where never heard; with `fresh`, also where it is stale by now."""
        column = np.full(self._map.chips, np.nan, np.float32)
        for row, loop_id in enumerate(self._map.loop_ids):
            heard = self._loops.get(loop_id)
            if heard is not None and metric in heard.chips:
                column[self._map.chips_in_loop(row)] = heard.chips[metric]
        if fresh:
            stale = self.sled_age_s() > BY_NAME[metric].staleness_s
            column[stale[self._map.sled_of_chip]] = np.nan
        return column

    def sled_column(self, metric: str, *, fresh: bool = False) -> FloatBlock:
        """float32 [sleds], as `chip_column`."""
        column = np.full(self._map.sleds, np.nan, np.float32)
        for row, loop_id in enumerate(self._map.loop_ids):
            heard = self._loops.get(loop_id)
            if heard is not None and metric in heard.sleds:
                column[self._map.sleds_in_loop(row)] = heard.sleds[metric]
        if fresh:
            column[self.sled_age_s() > BY_NAME[metric].staleness_s] = np.nan
        return column

    def cdu_column(self, metric: str, *, fresh: bool = False) -> FloatBlock:
        """float32 [loops], as `chip_column`."""
        column = np.full(len(self._map.loop_ids), np.nan, np.float32)
        for row, loop_id in enumerate(self._map.loop_ids):
            heard = self._loops.get(loop_id)
            value = None if heard is None else heard.view.cdu.get(metric)
            stale = self.cdu_age_s(loop_id) > BY_NAME[metric].staleness_s
            if value is not None and not (fresh and stale):
                column[row] = value
        return column

    def cdu_age_s(self, loop_id: str) -> float:
        """Age of the CDU's last frame now; infinite when never heard."""
        heard = self._loops.get(loop_id)
        if heard is None or heard.view.cdu_age_s is None:
            return float("inf")
        return heard.view.cdu_age_s + self.view_age_s(loop_id)

    def sled_age_s(self) -> Seconds:
        """float64 [sleds]: age of each sled's last frame now; infinite when never heard."""
        ages = np.full(self._map.sleds, np.inf)
        for row, loop_id in enumerate(self._map.loop_ids):
            heard = self._loops.get(loop_id)
            if heard is not None:
                ages[self._map.sleds_in_loop(row)] = heard.sled_age_s + self.view_age_s(loop_id)
        ages[np.isnan(ages)] = np.inf
        return ages

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                self.poll(POLL_S)
            except BusError as error:
                self._counters.live_errors += 1
                _log.warning("live views can not be read", error=str(error))
                self._stop.wait(RETRY_S)

    def _take(self, record: Record) -> bool:
        try:
            view = decode_view(record.value)
            self._loops[view.loop] = self._open(view)
        except (MalformedMessageError, UnknownIdError) as error:
            self._counters.live_malformed += 1
            _log.warning("live view left out", key=record.key, error=str(error))
            return False
        self._counters.live_views += 1
        return True

    def _open(self, view: LoopView) -> HeardLoop:
        row = self._map.loop(view.loop)
        chips, sleds = self._map.chips_in_loop(row), self._map.sleds_in_loop(row)
        sled_count = sleds.stop - sleds.start
        return HeardLoop(
            view=view,
            chips=_columns(view.chips, chips.stop - chips.start),
            sleds=_columns(view.sleds, sled_count),
            sled_age_s=_column("sled_age_s", view.sled_age_s, sled_count),
            heard_at_s=self._clock.monotonic_s(),
        )


def _columns(blocks: Mapping[str, bytes], rows: int) -> dict[str, FloatBlock]:
    return {name: _column(name, block, rows) for name, block in blocks.items() if name in BY_NAME}


def _column(name: str, block: bytes, rows: int) -> FloatBlock:
    if len(block) != 4 * rows:
        raise MalformedMessageError(f"column {name} of {len(block)} bytes for {rows} rows")
    return np.frombuffer(block, "<f4")
