"""What other controllers show of their loops: for taking over, and for placement."""

from collections.abc import Container

import structlog

from controller.views import LoopView, decode_view
from fleet.bus import Bus, Start
from fleet.errors import MalformedMessageError
from fleet.topics import LIVE
from fleet.topology import FleetMap

_log = structlog.get_logger(__name__)

_LOOK_BACK = 3
"""Messages a loop that are read of what was shown before this controller came."""


class OtherLoops:
    """Follows LIVE and keeps the last view of each loop, undecoded until it is asked for. Every
    controller reads the views of the whole fleet: about 100 bytes a chip and second. One thread
    uses it.
    """

    def __init__(self, bus: Bus, fleet_map: FleetMap) -> None:
        self._known = frozenset(fleet_map.loop_ids)
        self._last: dict[str, bytes] = {}
        partitions = range(LIVE.partitions)
        self._reader = bus.reader(LIVE, start=Start.BEGINNING, partitions=partitions)
        back = _LOOK_BACK * len(self._known)
        first, ends = self._reader.positions(), self._reader.ends(partitions)
        self._reader.assign({p: max(first[p], ends[p] - back) for p in partitions})

    def poll(self) -> None:
        """Raises BusError when the bus is away."""
        while batch := self._reader.poll(0.0):
            for record in batch:
                if record.key in self._known:
                    self._last[record.key] = record.value

    def view(self, loop_id: str) -> LoopView | None:
        data = self._last.get(loop_id)
        if data is None:
            return None
        try:
            return decode_view(data)
        except MalformedMessageError as error:
            _log.warning("view_not_readable", loop=loop_id, error=str(error))
            return None

    def besides(self, mine: Container[str]) -> list[LoopView]:
        """Views of the loops that are not `mine`."""
        views = [self.view(loop) for loop in sorted(self._last) if loop not in mine]
        return [view for view in views if view is not None]

    def close(self) -> None:
        self._reader.close()
