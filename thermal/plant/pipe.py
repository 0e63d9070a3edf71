"""Plug flow through a header pipe: what enters comes out unmixed, a volume later."""

from collections import deque


class PlugFlow:
    """Parcels of coolant, newest first in; holds exactly its volume at every time.

    Parcels smaller than 1/400 of the pipe join the one before them, so a trickle costs no more
    memory than a full flow. Conserves volume-weighted temperature.
    """

    def __init__(self, volume_l: float, start_c: float) -> None:
        self._parcels: deque[tuple[float, float]] = deque([(volume_l, start_c)])
        self._smallest_l = volume_l / 400.0
        self.outlet_c = start_c

    def push(self, volume_l: float, inlet_c: float) -> float:
        """Push `volume_l` in; return the mean temperature of what came out at the far end.

        Without flow the outlet keeps its last temperature.
        """
        if volume_l <= 0.0:
            return self.outlet_c
        self._append(volume_l, inlet_c)
        left_l, heat = volume_l, 0.0
        while left_l > 0.0:
            oldest_l, oldest_c = self._parcels.popleft()
            taken_l = min(oldest_l, left_l) if self._parcels else left_l
            heat += taken_l * oldest_c
            left_l -= taken_l
            if oldest_l - taken_l > 0.0:
                self._parcels.appendleft((oldest_l - taken_l, oldest_c))
        self.outlet_c = heat / volume_l
        return self.outlet_c

    def mean_c(self) -> float:
        """Volume-weighted mean temperature of the content."""
        total_l = sum(volume_l for volume_l, _ in self._parcels)
        return sum(volume_l * parcel_c for volume_l, parcel_c in self._parcels) / total_l

    def _append(self, volume_l: float, inlet_c: float) -> None:
        newest_l, newest_c = self._parcels[-1]
        if newest_l < self._smallest_l:
            joined_l = newest_l + volume_l
            self._parcels[-1] = (
                joined_l,
                (newest_l * newest_c + volume_l * inlet_c) / joined_l,
            )
        else:
            self._parcels.append((volume_l, inlet_c))
