from dataclasses import replace

import numpy as np
import pytest

from emulator.breakdowns import Breakdowns, BreakdownSettings, published_breakdowns
from emulator.readings import JobPhase
from fleet.topology import FleetMap, trn3_datacenter
from tests.emulator.worlds import small_hall

FLEET = FleetMap(trn3_datacenter(ultraservers=10))
ON = np.ones(FLEET.chips, dtype=np.bool_)
PUBLISHED = published_breakdowns()
NEVER = replace(PUBLISHED, chip_dead_per_h=0.0, network_lost_per_h=0.0, sled_slow_per_h=0.0)


def breakdowns(settings: BreakdownSettings, seed: int = 1) -> Breakdowns:
    return Breakdowns(settings, FLEET, np.random.default_rng(seed))


@pytest.mark.parametrize("name", ["chip_dead_per_h", "network_lost_per_h"])
def test_chips_stop_at_the_published_rate(name: str) -> None:
    broken = breakdowns(replace(NEVER, **{name: getattr(PUBLISHED, name)}))
    stopped = sum(int(broken.step(3.6e6, powered=ON).sum()) for _ in range(60))

    expected = FLEET.chips * 60_000.0 * getattr(PUBLISHED, name)
    if name == "chip_dead_per_h":  # the dead do not die again
        expected = FLEET.chips * (1.0 - np.exp(-60_000.0 * PUBLISHED.chip_dead_per_h))
    assert stopped == pytest.approx(expected, abs=4 * expected**0.5)


def test_a_dead_chip_comes_back_with_the_power() -> None:
    broken = breakdowns(replace(NEVER, chip_dead_per_h=1e-3))
    died = broken.step(3.6e6, powered=ON)
    quiet = 1e-6
    broken.step(quiet, powered=ON)
    still = broken.dead.copy()
    broken.step(quiet, powered=~ON)
    broken.step(quiet, powered=ON)

    assert died.any()
    assert (still == died).all()
    assert not broken.dead.any()


def test_slow_spells_last_and_end() -> None:
    broken = breakdowns(replace(PUBLISHED, sled_slow_per_h=1.0))
    broken.step(3_600.0, powered=ON)
    slow = broken.slow_ratio < 1.0
    lost = 1.0 - broken.slow_ratio[slow]
    for _ in range(9):
        broken._settings = NEVER
        broken.step(60.0, powered=ON)
    during = broken.slow_ratio < 1.0
    broken.step(1e6, powered=ON)

    assert 0.5 < slow.mean() < 0.8
    assert lost.min() >= 0.1
    assert lost.max() <= 0.3
    assert (during == slow).all()  # ten minutes at the least
    assert (broken.slow_ratio == 1.0).all()


def test_off_means_none() -> None:
    broken = breakdowns(PUBLISHED)

    assert not broken.step(1e12, powered=~ON).any()
    assert not breakdowns(NEVER).step(1e12, powered=ON).any()


def test_a_chip_that_dies_takes_its_replica_along() -> None:
    hall = small_hall()
    hall.submit("job-a", [0])
    hall.run(10)
    before = hall.world.sled_readings(0).chip_power_w[1]
    hall.world.breakdowns.dead[1] = True
    hall.run(5)
    after = hall.world.sled_readings(0)

    assert before > 0.0
    assert after.chip_power_w[1] == 0.0
    assert after.jobs[0].state is JobPhase.FAILED


def test_breakdowns_are_off_unless_asked_for() -> None:
    hall = small_hall()
    hall.world.breakdowns.step(1e12, powered=np.ones(hall.world.fleet_map.chips, dtype=np.bool_))

    assert not hall.world.breakdowns.dead.any()
