import subprocess
import sys
import threading
from dataclasses import dataclass, field

import pytest

from emulator.options import EmulatorOptions
from emulator.runtime import EmulatorRuntime
from fleet.clock import ManualClock
from fleet.topology import FleetMap, trn3_datacenter

FLEET = FleetMap(trn3_datacenter(ultraservers=1))


@dataclass
class CountedClock(ManualClock):
    """Stands for real time: waiting moves it, and the wait of the last step sets `reached`."""

    steps: int = 3
    reached: threading.Event = field(default_factory=threading.Event)
    waits: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def wait(self, stop: threading.Event, timeout_s: float) -> bool:
        self.waits += 1
        if self.waits >= self.steps:
            self.reached.set()
            return stop.wait(10.0)
        return super().wait(stop, timeout_s)


def runtime_of(clock: ManualClock) -> EmulatorRuntime:
    return EmulatorRuntime(EmulatorOptions(settle_s=0.0), FLEET, clock)


def test_a_tick_is_one_step_of_the_world() -> None:
    runtime = runtime_of(ManualClock())
    runtime.tick()
    runtime.tick()

    assert runtime.steps_total == 2
    assert runtime.world.now_s == 2.0


def test_a_step_longer_than_its_time_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    runtime = runtime_of(clock)
    runtime.tick()
    monkeypatch.setattr(runtime.world, "step", lambda dt_s: clock.advance(1.5 * dt_s))
    runtime.tick()

    assert runtime.overruns_total == 1


def test_the_thread_steps_at_the_clocks_pace_and_stops() -> None:
    clock = CountedClock(steps=3)
    runtime = runtime_of(clock)
    runtime.start()
    assert clock.reached.wait(30.0)

    assert runtime.stop()
    assert not runtime.running
    assert runtime.steps_total == 3
    assert clock.monotonic_s() == pytest.approx(2.0)


def test_a_step_that_fails_is_counted_and_the_next_one_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = CountedClock(steps=2)
    runtime = runtime_of(clock)
    true_step, failures = runtime.world.step, iter([True, False])

    def failing(dt_s: float) -> None:
        if next(failures):
            raise ValueError("a bug")
        true_step(dt_s)

    monkeypatch.setattr(runtime.world, "step", failing)
    runtime.start()
    assert clock.reached.wait(30.0)
    runtime.stop()

    assert runtime.failures_total == 1
    assert runtime.steps_total == 1


def test_starting_twice_is_refused_and_stopping_twice_is_not() -> None:
    clock = CountedClock(steps=1)
    runtime = runtime_of(clock)
    runtime.start()

    with pytest.raises(RuntimeError, match="already running"):
        runtime.start()
    assert runtime.stop()
    assert runtime.stop()


def test_a_step_that_does_not_end_holds_no_process_up() -> None:
    stuck = """
import atexit, threading
from emulator.options import EmulatorOptions
from emulator.runtime import EmulatorRuntime
from fleet.clock import SystemClock
from fleet.topology import FleetMap, trn3_datacenter

begun = threading.Event()

def hang(world):
    begun.set()
    threading.Event().wait()

hall = FleetMap(trn3_datacenter(ultraservers=1))
runtime = EmulatorRuntime(EmulatorOptions(), hall, SystemClock(), before_step=hang)
runtime.start()
begun.wait()
atexit.register(print, "the usual way out")
print("stopped", runtime.stop(within_s=0.01))
runtime.exit_if_stuck()
"""
    ended = subprocess.run(
        [sys.executable, "-c", stuck], capture_output=True, text=True, timeout=60, check=True
    )

    assert ended.stdout == "stopped False\n"
