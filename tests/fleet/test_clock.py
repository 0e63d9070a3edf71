import threading

import pytest

from fleet.clock import ManualClock, run_at_rate


def test_a_manual_clock_moves_only_by_hand() -> None:
    clock = ManualClock(start_unix_ns=5)
    assert (clock.unix_ns(), clock.monotonic_s()) == (5, 0.0)
    clock.advance(1.5)
    assert (clock.unix_ns(), clock.monotonic_s()) == (1_500_000_005, 1.5)
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)


def test_the_period_is_not_stretched_by_the_work() -> None:
    clock = ManualClock()
    stop = threading.Event()
    starts: list[float] = []

    def tick() -> None:
        starts.append(clock.monotonic_s())
        clock.advance(0.4)
        if len(starts) == 4:
            stop.set()

    run_at_rate(clock, stop, 1.0, tick)
    assert starts == [0.0, 1.0, 2.0, 3.0]


def test_missed_ticks_are_made_up_for_as_far_as_is_wanted() -> None:
    clock = ManualClock()
    stop = threading.Event()
    starts: list[float] = []

    def tick() -> None:
        starts.append(clock.monotonic_s())
        clock.advance({1: 3.5, 8: 9.0}.get(len(starts), 0.1))
        if len(starts) == 14:
            stop.set()

    run_at_rate(clock, stop, 1.0, tick, made_up_for_s=3.0)
    assert starts[:8] == pytest.approx([0.0, 3.5, 3.6, 3.7, 4.0, 5.0, 6.0, 7.0])
    # 9 s late: three are made up for, five are not.
    assert starts[8:] == pytest.approx([16.0, 16.1, 16.2, 16.3, 17.0, 18.0])


def test_missed_ticks_are_left_out() -> None:
    clock = ManualClock()
    stop = threading.Event()
    starts: list[float] = []

    def tick() -> None:
        starts.append(clock.monotonic_s())
        clock.advance(3.5 if len(starts) == 1 else 0.1)
        if len(starts) == 3:
            stop.set()

    run_at_rate(clock, stop, 1.0, tick)
    assert starts == [0.0, 3.5, 4.5]
