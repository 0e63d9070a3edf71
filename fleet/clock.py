import threading
import time
from collections.abc import Callable
from typing import Protocol

NS_PER_S = 1_000_000_000


class Clock(Protocol):
    """Time as the processes see it; the only place where the wall clock may be read."""

    def unix_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC; may step when the host's clock is set."""

    def monotonic_s(self) -> float:
        """Seconds since an arbitrary start; never steps back."""

    def wait(self, stop: threading.Event, timeout_s: float) -> bool:
        """Wait until `stop` is set (True) or the time has passed (False)."""


class SystemClock:
    """The host's clock."""

    def unix_ns(self) -> int:
        return time.time_ns()  # noqa: TID251 - the one place that reads the wall clock

    def monotonic_s(self) -> float:
        return time.monotonic()

    def wait(self, stop: threading.Event, timeout_s: float) -> bool:
        return stop.wait(max(timeout_s, 0.0))


class ManualClock:
    """A clock that stands still until it is advanced by hand."""

    def __init__(self, start_unix_ns: int = 1_760_000_000 * NS_PER_S) -> None:
        self._start_unix_ns = start_unix_ns
        self._elapsed_ns = 0

    def unix_ns(self) -> int:
        return self._start_unix_ns + self._elapsed_ns

    def monotonic_s(self) -> float:
        return self._elapsed_ns / NS_PER_S

    def wait(self, stop: threading.Event, timeout_s: float) -> bool:
        self.advance(max(timeout_s, 0.0))
        return stop.is_set()

    def advance(self, duration_s: float) -> None:
        if duration_s < 0:
            raise ValueError(f"time does not go back: {duration_s} s")
        self._elapsed_ns += round(duration_s * NS_PER_S)


def run_at_rate(
    clock: Clock,
    stop: threading.Event,
    period_s: float,
    tick: Callable[[], None],
    *,
    made_up_for_s: float = 0.0,
) -> None:
    """Call `tick` every `period_s` until `stop` is set.

    Deadlines advance from the last deadline, so the time that a tick takes does not stretch the
    period. Ticks missed by an overrun of up to `made_up_for_s` follow without a wait, so that their
    number is that of the periods; what is missed beyond that is left out.
    """
    deadline_s = clock.monotonic_s()
    while not stop.is_set():
        tick()
        deadline_s = max(deadline_s + period_s, clock.monotonic_s() - made_up_for_s)
        if clock.wait(stop, deadline_s - clock.monotonic_s()):
            return
