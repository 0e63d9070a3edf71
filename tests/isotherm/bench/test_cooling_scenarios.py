"""Scenarios that need no law to be good: leaks, two leaders, days of a year."""

import numpy as np

from agent import guard
from controller.cooling.settings import LawName
from isotherm.bench.cooling import energy, leaks, split_brain
from isotherm.bench.cooling.energy import DAYS, Days
from isotherm.bench.cooling.scenario import Trial
from isotherm.bench.cooling.trace import Trace

TRIAL = Trial(law=LawName.PI, seed=4_711, quick=True)


def test_a_cut_off_leader_changes_nothing() -> None:
    found = split_brain.c14(TRIAL).metrics
    assert found["old_commands"] > 100
    assert found["stale_accepted"] == 0
    assert found["refused"] >= found["old_commands"]


def test_the_days_of_a_year_are_in_order_and_follow_the_seed() -> None:
    days, again, other = (Days.drawn(seed) for seed in (5, 5, 6))
    assert days.wet_bulb_c.shape == (25, len(DAYS))
    means = days.wet_bulb_c.mean(axis=0)
    assert (np.diff(means) > 0.0).all()
    np.testing.assert_array_equal(days.load_ratio, again.load_ratio)
    assert not np.array_equal(days.wet_bulb_c, other.wet_bulb_c)


def test_one_misread_detector_is_no_leak_and_two_in_a_row_are() -> None:
    confirm = guard.GuardSettings().confirm_ticks
    assert [leaks._alarmed(ticks) for ticks in range(1, confirm + 1)] == [0] * (confirm - 1) + [1]


def test_every_limit_counts_as_a_violation() -> None:
    trace = Trace()
    for name in trace.rows:
        trace.rows[name] = [np.zeros(1)] * 3
    trace.rows["supply_c"] = [np.array([30.0])] * 3
    assert energy._violations(trace) == 0
    trace.rows["hottest_c"] = [np.array([value]) for value in (84.0, 85.0, 86.0)]
    assert energy._violations(trace) == 2
    trace.rows["setpoint_c"] = [np.array([value]) for value in (30.0, 30.02, 30.06)]
    assert energy._violations(trace) == 3
