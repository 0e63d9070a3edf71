"""What a hall does about memory errors, and what its jobs and devices see of them."""

from typing import Any

import numpy as np
import pytest

from emulator.hbm.model import HbmEvents, HbmModel
from emulator.hbm.registers import RepairState
from emulator.hbm.status import NrtStatus
from emulator.hbm.upkeep import MemoryUpkeep
from emulator.readings import JobPhase
from tests.emulator.hbm.halls import DAY_S, memories, rates
from tests.emulator.worlds import SmallHall, small_hall


def under(model: HbmModel, *, powered: bool = True, hbm_c: float = 95.0) -> dict[str, Any]:
    """Even conditions."""
    return {
        "powered": np.full(model.chips, powered),
        "hbm_c": np.full(model.chips, hbm_c),
        "hbm_ratio": np.ones(model.chips),
        "storm_per_s": np.zeros(model.chips),
        "decay_ratio": np.zeros(model.chips),
    }


@pytest.mark.parametrize("success", [0.0, 1.0])
def test_the_driver_is_loaded_again_after_a_while(success: float) -> None:
    settings = rates(repair={"success_ratio": success}, sram={"uncorrected_per_h": 0.0})
    model = memories(settings=settings).model
    upkeep = MemoryUpkeep(model, reload_s=20.0, replace_at_power_up=True)
    failed = upkeep.step(50 * DAY_S, **under(model))
    states = []
    for _ in range(3):
        states.append(set(model.registers.read().repair_state[failed].tolist()))
        upkeep.step(10.0, **under(model, hbm_c=20.0))
    states.append(set(model.registers.read().repair_state[failed].tolist()))

    pending, over = {RepairState.PENDING}, {RepairState.NONE if success else RepairState.FAILED}
    assert states == [pending, pending, pending, over]
    assert model.dead[failed].all() == (success == 0.0)


@pytest.mark.parametrize("replaces", [True, False])
def test_a_lost_chip_comes_back_with_the_power_where_somebody_replaces_it(replaces: bool) -> None:
    model = memories(settings=rates(repair={"success_ratio": 0.0})).model
    upkeep = MemoryUpkeep(model, reload_s=0.0, replace_at_power_up=replaces)
    upkeep.step(50 * DAY_S, **under(model))
    upkeep.step(1.0, **under(model))
    lost = model.dead.copy()
    upkeep.step(1.0, **under(model, powered=False))
    off = model.dead.copy()
    upkeep.step(1.0, **under(model, hbm_c=20.0))

    assert lost.any()
    assert (off == lost).all()
    assert model.dead.any() != replaces


def test_counts_begin_anew_at_power_up() -> None:
    model = memories().model
    upkeep = MemoryUpkeep(model, reload_s=1e9, replace_at_power_up=True)
    upkeep.step(20 * DAY_S, **under(model))
    before = model.registers.read()
    upkeep.step(1.0, **under(model, powered=False))
    upkeep.step(1e-3, **under(model, hbm_c=20.0))
    after = model.registers.read()

    assert before.hbm_corrected.sum() > 0
    assert RepairState.PENDING in before.repair_state
    assert after.hbm_corrected.sum() == 0
    assert RepairState.PENDING not in after.repair_state
    assert not any(total.any() for total in model.failed_total.values())


def struck(hall: SmallHall, chip: int, status: NrtStatus) -> None:
    """Let the next step see one error of a chip, as the model would report it."""
    model = hall.world.hbm
    chips = np.array([chip])
    repairable = status is NrtStatus.HBM_REPAIRABLE
    if status is NrtStatus.SRAM_UNCORRECTED:
        model.registers.count_sram(chips[:0], chips)
    else:
        model.registers.count_uncorrected(chips, np.array([0]), np.array([repairable]))
    model.dead[chips] = not repairable
    model.failed_total[status][chip] += 1
    real_step = model.step

    def step(dt_s: float, **conditions: Any) -> HbmEvents:
        model.step = real_step  # type: ignore[method-assign]
        real_step(dt_s, **conditions)
        return HbmEvents(chips=chips, status=np.array([int(status)]))

    model.step = step  # type: ignore[method-assign]


def busy_hall() -> SmallHall:
    hall = small_hall()
    hall.submit("job-a", [0])
    hall.run(20)
    return hall


def test_a_repairable_error_interrupts_its_replica_and_passes() -> None:
    hall = busy_hall()
    struck(hall, 2, NrtStatus.HBM_REPAIRABLE)
    hall.run(2)
    during = hall.world.sled_readings(0)
    hall.run(40)
    after = hall.world.sled_readings(0)

    assert during.jobs[0].errors_total > 0
    assert during.ecc.hbm_repairable_uncorrected == (0, 0, 1, 0)
    assert during.ecc.repair_state == (0, 0, RepairState.PENDING, 0)
    assert during.ecc.failed_total[NrtStatus.HBM_REPAIRABLE] == (0, 0, 1, 0)
    assert during.ecc.hbm_uncorrected == (0, 0, 0, 0)
    assert after.ecc.repair_state == (0, 0, 0, 0)
    assert after.jobs[0].state is JobPhase.RUNNING
    assert after.jobs[0].completed_total > during.jobs[0].completed_total


@pytest.mark.parametrize("status", [NrtStatus.HBM_UNCORRECTED, NrtStatus.SRAM_UNCORRECTED])
def test_an_unrepairable_error_ends_the_replica_until_the_sled_is_power_cycled(
    status: NrtStatus,
) -> None:
    hall = busy_hall()
    struck(hall, 2, status)
    hall.run(30)
    lost = hall.world.sled_readings(0)
    usable = hall.world.chips.usable[:4].tolist()
    hall.world.sled_requests(0).powered = False
    hall.run(2)
    hall.world.sled_requests(0).powered = True
    hall.run(2)

    assert lost.jobs[0].state is JobPhase.FAILED
    assert usable == [True, True, False, True]
    counted = lost.ecc.hbm_uncorrected, lost.ecc.sram_uncorrected
    assert sum(map(sum, counted)) == 1
    assert lost.chip_power_w[2] > 50.0  # it idles
    assert hall.world.chips.usable[:4].all()


def test_the_devices_know_no_addresses() -> None:
    shown = set(type(small_hall().world.sled_readings(0).ecc).__slots__)

    assert shown.isdisjoint({"stack", "channel", "bank", "row", "column", "location"})
