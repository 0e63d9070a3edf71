"""What arrivals and queue say of heat to come: learnt before it is told, bounded, told once."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.cooling import estimate, serving_queue
from controller.cooling.estimate import HeatChange, QueueReadings
from controller.cooling.serving_queue import QueueState
from controller.cooling.settings import EstimateSettings, QueueSettings
from tests.controller.spoken import SpokenFleet, Wanted

SETTINGS = QueueSettings()
MOST_PER_S = 400.0
RESIDENCE_S = 8.0
"""Of a request in a batch."""


@dataclass
class Replicas:
    """Engines that answer up to `MOST_PER_S`; heat follows what is in their batches."""

    state: QueueState = field(default_factory=QueueState)
    told: tuple[HeatChange, ...] = ()
    waiting: float = 0.0
    running: float = 0.0
    done: float = 0.0
    heat_w: float = 100e3
    sleds: int = 4
    linked: bool = True
    """Whether the load shows in the heat."""

    def live(self, arrivals_per_s: Iterable[float], *, placing: bool = False) -> "Replicas":
        for arriving in arrivals_per_s:
            self.waiting += arriving
            taken = min(self.waiting, MOST_PER_S * RESIDENCE_S - self.running)
            self.waiting -= taken
            answered = (self.running + taken) / RESIDENCE_S
            self.running += taken - answered
            self.done += answered
            if self.linked:
                self.heat_w = 100e3 + 100e3 * self.running / (MOST_PER_S * RESIDENCE_S)
            self.look(placing=placing)
        return self

    def look(self, *, placing: bool = False) -> None:
        self.state, self.told = serving_queue.step(
            SETTINGS,
            self.state,
            QueueReadings(
                sleds_count=self.sleds,
                waiting_count=self.waiting,
                running_count=self.running,
                completed_total=int(self.done),
            ),
            heat_w=self.heat_w,
            dt_s=1.0,
            placing=placing,
        )

    @property
    def told_w(self) -> float:
        return sum(change.heat_w for change in self.told)


def taught(*, linked: bool = True) -> Replicas:
    """That have seen little and much load; the last minutes were full."""
    return Replicas(linked=linked).live([*[80.0] * 150, *[380.0] * 300])


def test_nothing_is_foretold_before_it_was_seen() -> None:
    fresh = Replicas().live([80.0] * 150)
    for _ in range(20):
        fresh.live([380.0])
        assert fresh.told == ()


def test_a_queue_that_has_no_more_arrivals_foretells_the_fall_and_when() -> None:
    """A full hall with 1,600 requests waiting, 4 s of work: then arrivals fall to a fifth."""
    hall = taught()
    hall.live([500.0] * 16)
    before_w = hall.heat_w
    hall.live([80.0] * 3)
    assert hall.heat_w == pytest.approx(before_w, rel=0.02)  # the heat knows nothing of it yet
    assert -80e3 < hall.told_w < -20e3
    first, *_, last = (change.in_s for change in hall.told)
    waits_s = hall.waiting / hall.state.answered_requests_per_s
    assert waits_s <= first < last <= waits_s + RESIDENCE_S + 1.0
    hall.live([80.0] * 60)
    assert hall.heat_w < before_w - 50e3
    assert hall.told == ()  # it has come: nothing is told any more


def test_a_hall_that_was_overloaded_from_the_first_has_learnt_what_full_means() -> None:
    """More comes than is answered: queues grow, batches are as full as they can be."""
    hall = Replicas().live([*[80.0] * 150, *[520.0] * 100])
    before_w = hall.heat_w
    for _ in range(int(hall.waiting / MOST_PER_S) - 2):
        hall.live([80.0])
        assert hall.heat_w == pytest.approx(before_w, rel=0.02)
    assert -80e3 < hall.told_w < -40e3


def test_arrivals_that_come_back_foretell_the_rise() -> None:
    hall = taught().live([80.0] * 200)
    low_w = hall.heat_w
    hall.live([380.0] * 3)
    assert hall.told_w > 10e3
    assert hall.heat_w + hall.told_w < low_w + 80e3


def test_no_more_is_foretold_than_was_ever_seen() -> None:
    hall = taught()
    most_w = hall.heat_w
    hall.live([80.0] * 200)
    for _ in range(10):
        hall.live([50 * MOST_PER_S])
        assert hall.heat_w + hall.told_w < most_w + 5e3


def test_heat_that_does_not_follow_the_requests_is_not_foretold() -> None:
    hall = taught(linked=False)
    hall.live([500.0] * 16).live([80.0] * 3)
    assert hall.told == ()


def test_what_placement_announces_is_not_told_again_and_begins_a_new_lesson() -> None:
    hall = taught().live([500.0] * 16)
    hall.live([80.0] * 3, placing=True)
    assert hall.told == ()
    hall.live([80.0])
    assert hall.told == ()
    assert hall.state.lesson.seconds_s == 0.0


def test_arrivals_that_swing_in_40_s_are_not_passed_on() -> None:
    """A full hall that has been swinging says much less than one whose load falls once."""
    once = taught().live([80.0] * 4)
    swinging = taught().live([*[80.0] * 20, *[380.0] * 20] * 6)
    swinging.live([80.0] * 4)
    assert abs(swinging.told_w) < 0.25 * abs(once.told_w)


def test_a_sled_that_is_lost_or_starts_to_count_anew_is_no_change_of_load() -> None:
    hall = taught()
    arriving = hall.state.arriving_requests_per_s
    hall.sleds, kept = 3, (hall.done, hall.waiting)
    hall.done, hall.waiting = 0.7 * hall.done, 0.7 * hall.waiting
    hall.look()
    hall.sleds, (hall.done, hall.waiting) = 4, kept
    hall.look()
    hall.done = 0.0  # all engines have started again
    hall.look()
    assert hall.state.arriving_requests_per_s == arriving
    assert hall.told == ()


def test_silent_engines_say_nothing() -> None:
    hall = taught().live([500.0] * 16)
    state, told = serving_queue.step(
        SETTINGS, hall.state, QueueReadings(), heat_w=hall.heat_w, dt_s=1.0, placing=False
    )
    assert told == ()
    assert state.lesson == hall.state.lesson


counts = st.one_of(st.just(math.nan), st.floats(0.0, 1e6))


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(counts, counts, st.integers(0, 10**9), st.floats(0.0, 4e5), st.integers(0, 3)),
        max_size=80,
    )
)
def test_whatever_is_read_what_is_told_is_finite_and_within_what_was_seen(
    cycles: list[tuple[float, float, int, float, int]],
) -> None:
    state = QueueState()
    for waiting, running, done, heat_w, sleds in cycles:
        queue = QueueReadings(
            sleds_count=sleds, waiting_count=waiting, running_count=running, completed_total=done
        )
        state, told = serving_queue.step(
            SETTINGS, state, queue, heat_w=heat_w, dt_s=1.0, placing=False
        )
        for change in told:
            assert math.isfinite(change.heat_w)
            assert 0.0 <= change.in_s <= 2 * SETTINGS.longest_s
        assert abs(sum(change.heat_w for change in told)) <= 4e5


def test_the_queue_of_a_loop_is_that_of_the_sleds_that_tell_and_are_heard() -> None:
    fleet = SpokenFleet()
    first, second, third, *_ = fleet.fleet_map.sled_ids
    says: Wanted = {"requests_waiting_count": {0: 5.0}, "requests_running_count": {0: 40.0}}
    fleet.sled = dict.fromkeys((first, second, third), says)
    fleet.counts = {
        sled_id: {"requests_completed_total": {0: count}}
        for sled_id, count in ((first, 1_000), (second, 2_000))
    }
    read = estimate.read_loop(fleet.tick(), 0, EstimateSettings()).queue
    assert read == QueueReadings(
        sleds_count=2, waiting_count=10.0, running_count=80.0, completed_total=3_000
    )
    fleet.silent = {second}
    for _ in range(10):
        snapshot = fleet.tick()
    assert estimate.read_loop(snapshot, 0, EstimateSettings()).queue.completed_total == 1_000
