"""The world on a clock: one step a tick, in a thread of its own."""

import os
import sys
import threading
from collections.abc import Callable
from typing import Final

import numpy as np
import structlog

from emulator.datacenter import World
from emulator.options import EmulatorOptions
from fleet.clock import Clock, run_at_rate
from fleet.topology import FleetMap

STOP_WITHIN_S: Final = 4.0
MADE_UP_FOR_S: Final = 10.0
"""A world that was held up hurries to catch up with the clock by at most this: a busy moment is
made good, a host that was stopped for minutes is not paid back with minutes of haste."""

_log = structlog.get_logger(__name__)


class EmulatorRuntime:
    """Builds the world of `options` and steps it.

    `tick` is one step, for a clock moved by hand; `start` and `stop` run steps in a thread. A step
    that raises is counted and logged, and the world goes on with the next one. Raises
    ConfigurationError for options or a fleet that can not be used.
    """

    def __init__(
        self,
        options: EmulatorOptions,
        fleet_map: FleetMap,
        clock: Clock,
        before_step: Callable[[World], None] | None = None,
    ) -> None:
        self.options = options
        self._before_step = before_step
        self.world = World(options, fleet_map, np.random.default_rng(options.seed), clock)
        self.steps_total = 0
        self.overruns_total = 0
        """Steps that took longer than the time they stand for."""
        self.failures_total = 0
        self._clock = clock
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def tick(self) -> None:
        """One step; errors reach the caller."""
        started_s = self._clock.monotonic_s()
        if self._before_step is not None:
            self._before_step(self.world)
        self.world.step(self.options.step_s)
        self.steps_total += 1
        if self._clock.monotonic_s() - started_s > self.options.step_s:
            self.overruns_total += 1

    def start(self) -> None:
        """Step in a thread until `stop`; at the pace of the clock, or as fast as the host can."""
        if self._thread is not None:
            raise RuntimeError("the emulator is already running; stop it before starting it again")
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="emulator", daemon=True)
        self._thread.start()

    def halt(self) -> None:
        """Ask the thread to end after its step; `stop` waits for it, when all else is done."""
        self._stop.set()

    def stop(self, within_s: float = STOP_WITHIN_S) -> bool:
        """Halt, and wait; False when the thread is still running."""
        self.halt()
        if self._thread is not None:
            self._thread.join(within_s)
            if not self._thread.is_alive():
                self._thread = None
        return self._thread is None

    def exit_if_stuck(self) -> None:
        """Last of all, end the process here and now if a step is running in spite of `stop`: on the
        usual way out BLAS waits for the threads of a product that no longer goes on.
        """
        if self.running:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        period_s = self.options.step_s if self.options.real_time else 0.0
        run_at_rate(
            self._clock, self._stop, period_s, self._guarded_tick, made_up_for_s=MADE_UP_FOR_S
        )

    def _guarded_tick(self) -> None:
        try:
            self.tick()
        except Exception:  # noqa: BLE001 - the process loop: one bad step must not end the world
            self.failures_total += 1
            _log.exception("world_step_failed", steps_total=self.steps_total)
