"""Holds a run back to a multiple of real time."""

import threading

from fleet.clock import Clock


class Pace:
    """`speed_ratio` of real time; None: as fast as it goes."""

    def __init__(self, speed_ratio: float | None, clock: Clock) -> None:
        self._speed_ratio = speed_ratio
        self._clock = clock
        self._stop = threading.Event()
        self._begun_s: float | None = None

    def keep(self, emulated_s: float) -> None:
        """Wait until so much emulated time is due; a run that is late is not hurried."""
        if self._speed_ratio is None:
            return
        if self._begun_s is None:
            self._begun_s = self._clock.monotonic_s() - emulated_s / self._speed_ratio
        due_s = self._begun_s + emulated_s / self._speed_ratio
        left_s = due_s - self._clock.monotonic_s()
        if left_s > 0.0:
            self._clock.wait(self._stop, left_s)
