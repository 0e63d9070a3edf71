from collections import Counter

import numpy as np

from isotherm.bench.pipeline.accounts import judge
from isotherm.bench.pipeline.chaos import Prey, order

LIFE = ("h1/us01/r1/s01", 1)


def test_all_there_is_a_clean_account() -> None:
    verdict = judge({LIFE: 3}, {LIFE: Counter([1, 2, 3, 4])})
    assert (verdict.lost, verdict.duplicates, verdict.undeclared_gaps) == (0, 0, 0)
    assert (verdict.spooled, verdict.stored) == (3, 4)


def test_a_hole_is_lost_and_a_gap_and_a_missing_end_is_lost() -> None:
    verdict = judge({LIFE: 6}, {LIFE: Counter([1, 4])})
    assert (verdict.lost, verdict.undeclared_gaps) == (4, 1)


def test_a_life_that_nobody_heard_of_is_lost() -> None:
    assert judge({LIFE: 2}, {}).lost == 2


def test_what_stands_twice_is_a_duplicate_even_of_a_life_that_is_not_asked_for() -> None:
    assert judge({}, {LIFE: Counter([1, 1, 1])}).duplicates == 2


def test_an_order_has_every_kind_and_repeats_with_its_seed() -> None:
    kills = order(30, np.random.default_rng(1))
    assert kills == order(30, np.random.default_rng(1))
    assert Counter(prey for prey, _ in kills) == {
        Prey.AGENT: 25,
        Prey.CONTROLLER: 3,
        Prey.BROKER: 2,
    }
