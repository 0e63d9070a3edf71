"""The one place that makes live messages: once a tick, for all viewers."""

import asyncio
import traceback
from typing import Final

import msgspec
import numpy as np
import structlog

from api.counters import Counters
from api.desired import Desired, read_desired
from api.live import LiveViews
from api.options import ApiOptions
from api.overview import fleet_totals
from api.planes import PLANES, encode_plane, topology_epoch
from api.schemas.incidents import incident_out
from api.schemas.jobs import job_out
from api.schemas.loops import loop_out
from api.stream import Viewer
from controller.store import Store
from fleet.errors import StoreError
from fleet.topology import FleetMap

_ASKED: Final = {"override", "version"}
"""Of a loop, what people have asked: the store's word, which the live stream does not read."""
GATHER_S: Final = 0.05
"""Views of several loops come together; this is how long the first waits for the others."""
_log: Final = structlog.get_logger(__name__)


class LiveHub:
    """Viewers, and what they are shown. Lives on one event loop; hand-driven by `tick`."""

    def __init__(
        self,
        options: ApiOptions,
        fleet_map: FleetMap,
        store: Store,
        live: LiveViews,
        counters: Counters,
    ) -> None:
        self._options = options
        self._map = fleet_map
        self._store = store
        self._live = live
        self._counters = counters
        self._viewers: set[Viewer] = set()
        self._tick = 0
        self._told: dict[str, str] = {}
        self._heard = asyncio.Event()
        self._ticking = asyncio.Lock()
        self.epoch = topology_epoch(fleet_map)

    @property
    def viewers(self) -> int:
        return len(self._viewers)

    @property
    def full(self) -> bool:
        return len(self._viewers) >= self._options.max_viewers

    @property
    def held_bytes(self) -> int:
        """What waits for all viewers together."""
        return sum(viewer.held_bytes for viewer in self._viewers)

    def wake(self) -> None:
        """New views have come; call it on the hub's event loop."""
        self._heard.set()

    async def run(self) -> None:
        """Tick after each burst of views, and without one every `tick_s`, so that ages go on."""
        while True:
            try:
                await asyncio.wait_for(self._heard.wait(), self._options.tick_s)
                await asyncio.sleep(GATHER_S)
            except TimeoutError:
                pass
            self._heard.clear()
            try:
                await self.tick()
            except Exception as error:  # noqa: BLE001 - one bad tick must not end the feed
                self._counters.live_errors += 1
                trace = "".join(traceback.format_exception(error))
                _log.error("a live tick failed", exception=trace)
            # However fast views come, viewers get them at the pace of eyes.
            await asyncio.sleep(self._options.tick_s / 2)

    async def join(self, viewer: Viewer) -> None:
        """Greet a viewer and show it everything as it is now."""
        self._viewers.add(viewer)
        viewer.offer_texts({"hello": self._hello()})
        async with self._ticking:
            self._told |= await self._desired_texts()
            viewer.offer_texts(self._loop_texts() | self._told)
            self._tick += 1
            viewer.offer_planes(self._tick, self._planes())

    def leave(self, viewer: Viewer) -> None:
        self._viewers.discard(viewer)

    async def tick(self) -> None:
        """Make this tick's messages and put them in every viewer's slots."""
        if not self._viewers:
            return
        async with self._ticking:
            self._tick += 1
            texts = self._loop_texts()
            for key, text in (await self._desired_texts()).items():
                if self._told.get(key) != text:
                    self._told[key] = texts[key] = text
            planes = self._planes()
            for viewer in self._viewers:
                viewer.offer_texts(texts)
                self._counters.planes_replaced += viewer.offer_planes(self._tick, planes)

    def _hello(self) -> str:
        metrics = [
            {
                "id": plane.id,
                "name": plane.metric,
                "unit": plane.unit,
                "low": plane.low,
                "high": plane.high,
            }
            for plane in PLANES
        ]
        return _json(
            {"type": "hello", "epoch": self.epoch, "metrics": metrics, "chips": self._map.chips}
        )

    def _loop_texts(self) -> dict[str, str]:
        texts = {}
        for row, loop_id in enumerate(self._map.loop_ids):
            heard = self._live.loop(loop_id)
            if heard is not None:
                age_s = self._live.view_age_s(loop_id)
                shown = loop_out(self._map, row, heard, age_s)
                texts[f"loop {loop_id}"] = _json(
                    {"type": "loop"} | shown.model_dump(mode="json", exclude=_ASKED)
                )
        return texts

    async def _desired_texts(self) -> dict[str, str]:
        try:
            return await asyncio.to_thread(self._read_desired_texts)
        except StoreError as error:
            self._counters.live_errors += 1
            _log.warning("viewers get no news of jobs and incidents", error=str(error))
            return {}

    def _read_desired_texts(self) -> dict[str, str]:
        desired: Desired = read_desired(self._store)
        jobs = [job_out(job).model_dump(mode="json") for job in desired.jobs]
        incidents = [
            incident_out(incident).model_dump(mode="json") for incident in desired.incidents
        ]
        totals = fleet_totals(self._map, self._live, desired).model_dump(mode="json")
        return {
            "jobs": _json({"type": "jobs", "items": jobs}),
            "incidents": _json({"type": "incidents", "items": incidents}),
            "fleet": _json({"type": "fleet", "totals": totals}),
        }

    def _planes(self) -> dict[int, bytes]:
        ages_s = [self._live.view_age_s(loop_id) for loop_id in self._map.loop_ids]
        age_s = float(np.float32(max(ages_s, default=float("inf"))))
        return {
            plane.id: encode_plane(
                plane,
                self._live.chip_column(plane.metric, fresh=True),
                epoch=self.epoch,
                tick=self._tick,
                age_s=age_s,
            )
            for plane in PLANES
        }


def _json(message: object) -> str:
    return msgspec.json.encode(message).decode()
