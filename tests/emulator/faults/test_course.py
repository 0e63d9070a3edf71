import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.faults.course import Course
from emulator.faults.kinds import CourseKind
from fleet.errors import ConfigurationError

AGES = st.floats(min_value=0.0, max_value=1e6)


@given(AGES)
def test_a_step_is_there_at_once(age_s: float) -> None:
    assert Course().share(age_s) == 1.0


@given(AGES, AGES)
def test_ramp_and_wear_only_grow_and_reach_all(first_s: float, second_s: float) -> None:
    for kind in (CourseKind.RAMP, CourseKind.WEAR):
        course = Course(kind=kind, over_s=5e5)
        early, late = course.share(min(first_s, second_s)), course.share(max(first_s, second_s))
        assert 0.0 <= early <= late <= 1.0
        assert course.share(0.0) == 0.0
        assert course.share(5e5) == 1.0


def test_wear_is_long_hardly_seen() -> None:
    wear = Course(kind=CourseKind.WEAR, over_s=100.0)
    assert wear.share(50.0) < 0.15 < Course(kind=CourseKind.RAMP, over_s=100.0).share(50.0)


@pytest.mark.parametrize("duty_ratio", [0.2, 0.5, 0.9])
def test_what_comes_and_goes_keeps_its_duty_in_every_period(duty_ratio: float) -> None:
    course = Course(kind=CourseKind.INTERMITTENT, period_s=50.0, duty_ratio=duty_ratio, seed=3)
    for period in range(20):
        there = [course.share(period * 50.0 + tenth / 10.0) for tenth in range(500)]
        assert sum(there) == pytest.approx(500 * duty_ratio, abs=1.0)


def test_the_seed_says_when_it_comes() -> None:
    def first(seed: int) -> list[float]:
        course = Course(kind=CourseKind.INTERMITTENT, duty_ratio=0.3, seed=seed)
        return [course.share(float(age_s)) for age_s in range(300)]

    assert first(1) == first(1)
    assert first(1) != first(2)


@pytest.mark.parametrize(
    ("course", "word"),
    [
        (Course(kind=CourseKind.RAMP, over_s=0.0), "over_s"),
        (Course(kind=CourseKind.RAMP, over_s=float("nan")), "over_s"),
        (Course(kind=CourseKind.INTERMITTENT, period_s=-1.0), "period_s"),
        (Course(kind=CourseKind.INTERMITTENT, duty_ratio=1.0), "duty_ratio"),
        (Course(seed=-1), "seed"),
    ],
)
def test_a_course_that_can_not_be_is_refused(course: Course, word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        course.validate()
