"""What faulty locations show, when they break, and what a reload makes of it."""

import numpy as np
import pytest

from emulator.hbm.registers import RepairState
from emulator.hbm.status import NrtStatus
from emulator.hbm.truth import CLASSES, FaultClass, MemoryTruth, in_words
from fleet.topology import Generation
from tests.emulator.hbm.halls import DAY_S, RATES, Memories, memories, rates


@pytest.fixture(scope="module")
def warm() -> Memories:
    """Half a year of 5,760 chips at 90 °C."""
    hall = memories(11, ultraservers=40)
    hall.live(180, hbm_c=90.0, hbm_ratio=0.7)
    return hall


def test_nine_in_ten_chips_emit_nothing_in_a_day() -> None:
    hall = memories(ultraservers=40)
    hall.step(hbm_c=70.0)

    emitting = hall.model.registers.read().hbm_corrected > 0
    assert 0.005 < emitting.mean() < 0.1


def test_bursts_have_a_heavy_tail(warm: Memories) -> None:
    shown = warm.rows(MemoryTruth.CORRECTED)
    days = np.unique(np.stack([shown["location"], shown["at_s"]]), axis=1, return_inverse=True)[1]
    errors = np.bincount(days.ravel(), weights=shown["count"])

    assert np.median(errors) < 40
    assert np.quantile(errors, 0.999) > 1_000
    assert errors.max() > 10_000


def test_a_hot_busy_memory_emits_more_bursts() -> None:
    found = {}
    for hbm_c, hbm_ratio in ((75.0, 1.0), (95.0, 1.0), (75.0, 0.0)):
        hall = memories(ultraservers=40, settings=rates(arrivals={"infant_factor": 1.0}))
        hall.step(6 * 3600.0, hbm_c=hbm_c, hbm_ratio=hbm_ratio)
        found[hbm_c, hbm_ratio] = len(np.unique(hall.rows(MemoryTruth.CORRECTED)["location"]))

    assert found[95.0, 1.0] > 2.0 * found[75.0, 1.0]
    assert found[75.0, 0.0] < 0.5 * found[75.0, 1.0]


def test_three_in_ten_uncorrected_errors_come_without_warning(warm: Memories) -> None:
    broken = warm.rows(MemoryTruth.UNCORRECTED)

    assert len(broken) > 1_000
    assert (broken["count"] == 0).mean() == pytest.approx(0.30, abs=0.05)


def test_an_error_that_warned_was_seen_before_at_its_place(warm: Memories) -> None:
    shown = warm.rows(MemoryTruth.CORRECTED)
    broken = warm.rows(MemoryTruth.UNCORRECTED)
    first = broken[(broken["at_s"] > 30 * DAY_S)]
    warned = first[first["count"] > 0]["location"]

    assert np.isin(first[first["count"] == 0]["location"], shown["location"]).sum() == 0
    assert np.isin(warned, shown["location"]).mean() > 0.97  # the rest warned before the start


def test_half_of_the_faults_break_within_three_days(warm: Memories) -> None:
    born = warm.rows(MemoryTruth.LATENT)
    broken = warm.rows(MemoryTruth.UNCORRECTED)
    _, at_birth, at_end = np.intersect1d(born["location"], broken["location"], return_indices=True)
    delay_s = broken["at_s"][at_end] - born["at_s"][at_birth]

    assert np.median(delay_s) == pytest.approx(3 * DAY_S, rel=0.1)


def test_cells_and_columns_never_break(warm: Memories) -> None:
    broken = {
        CLASSES[code] for code in np.unique(warm.rows(MemoryTruth.UNCORRECTED)["fault_class"])
    }

    assert broken == {FaultClass.ROW, FaultClass.BANK, FaultClass.CHANNEL}


def test_addresses_spread_as_far_as_their_fault(warm: Memories) -> None:
    shown = warm.rows(MemoryTruth.CORRECTED)
    spread = {
        FaultClass.CELL: {"row": 1, "column": 1},
        FaultClass.ROW: {"row": 1, "bank": 1},
        FaultClass.COLUMN: {"column": 1, "bank": 1},
        FaultClass.BANK: {"bank": 1, "channel": 1},
        FaultClass.CHANNEL: {"channel": 1, "stack": 1},
    }
    for kind, single in spread.items():
        here = shown[shown["fault_class"] == CLASSES.index(kind)]
        for location in np.unique(here["location"])[:20]:
            seen = here[here["location"] == location]
            assert {name: len(np.unique(seen[name])) for name in single} == single
    rows = shown[shown["fault_class"] == CLASSES.index(FaultClass.ROW)]
    assert (
        max(len(np.unique(rows[rows["location"] == n]["column"])) for n in rows["location"][:50])
        > 1
    )


def test_a_reload_cures_as_published(warm: Memories) -> None:
    cured, lost = warm.rows(MemoryTruth.REPAIRED), warm.rows(MemoryTruth.REPAIR_FAILED)

    assert len(cured) / (len(cured) + len(lost)) == pytest.approx(0.92, abs=0.025)


def test_a_repairable_error_waits_for_the_reload() -> None:
    hall = memories(settings=rates(repair={"success_ratio": 1.0}, sram={"uncorrected_per_h": 0.0}))
    events = hall.step(50 * DAY_S, hbm_c=90.0)
    chip = int(events.chips[0])
    pending = hall.model.registers.read()
    hall.model.reload(events.chips)
    after = hall.model.registers.read()

    assert set(events.status.tolist()) == {NrtStatus.HBM_REPAIRABLE}
    assert pending.repair_state[chip] == RepairState.PENDING
    assert pending.hbm_repairable_uncorrected[chip] >= 1
    assert pending.hbm_uncorrected[chip] == 0
    assert after.repair_state[chip] == RepairState.NONE
    assert after.hbm_repairable_uncorrected[chip] == 0
    assert not hall.model.dead.any()
    assert hall.model.failed_total[NrtStatus.HBM_REPAIRABLE][chip] >= 1


def test_a_failed_repair_loses_the_chip_until_it_is_replaced() -> None:
    hall = memories(settings=rates(repair={"success_ratio": 0.0}, sram={"uncorrected_per_h": 0.0}))
    chips = np.unique(hall.step(50 * DAY_S, hbm_c=90.0).chips)
    hall.model.reload(chips)
    failed = hall.model.registers.read()
    hall.model.reload(chips)
    hall.model.power_up(chips)
    still = hall.model.dead.copy()
    hall.model.replace(chips)

    assert (failed.repair_state[chips] == RepairState.FAILED).all()
    assert (failed.hbm_uncorrected[chips] == 1).all()
    assert np.flatnonzero(still).tolist() == chips.tolist()
    assert not hall.model.dead.any()
    assert not hall.model.registers.read().repair_state.any()


def test_a_lost_chip_counts_nothing_more() -> None:
    hall = memories(settings=rates(repair={"success_ratio": 0.0}))
    chips = hall.step(50 * DAY_S, hbm_c=90.0).chips
    hall.model.reload(chips)
    before = hall.model.registers.read().hbm_corrected[chips]
    hall.step(DAY_S, hbm_c=95.0, storm_per_s=1.0)

    assert (hall.model.registers.read().hbm_corrected[chips] == before).all()


def test_trn1_knows_no_repair() -> None:
    hall = memories(generation=Generation.TRN1, ultraservers=100)
    events = hall.step(50 * DAY_S, hbm_c=105.0)
    hbm = events.chips[events.status != NrtStatus.SRAM_UNCORRECTED]
    read = hall.model.registers.read()

    assert len(hbm) > 0
    assert NrtStatus.HBM_REPAIRABLE not in events.status
    assert (read.hbm_uncorrected[hbm] >= 1).all()
    assert not read.hbm_repairable_uncorrected.any()
    assert hall.model.dead[hbm].all()


def test_sram_errors_come_at_their_rate_and_lose_the_chip() -> None:
    hall = memories(ultraservers=40)
    events = hall.step(400 * DAY_S, hbm_c=40.0)
    flipped = events.chips[events.status == NrtStatus.SRAM_UNCORRECTED]

    expected = hall.chips * 400 * 24 * RATES.sram.uncorrected_per_h
    assert len(flipped) == pytest.approx(expected, abs=4 * expected**0.5)
    assert hall.model.dead[flipped].all()
    assert (hall.model.registers.read().sram_uncorrected[flipped] >= 1).all()


def test_chips_without_power_have_no_errors() -> None:
    hall = memories()
    events = hall.step(1_000 * DAY_S, powered=False, hbm_c=90.0, storm_per_s=50.0, decay_ratio=1.0)
    read = hall.model.registers.read()

    assert len(events.chips) == 0
    assert not read.hbm_corrected.any()
    assert not read.sram_corrected.any()


def test_an_injected_storm_adds_errors_at_its_rate() -> None:
    hall = memories(settings=rates(corrected={"bursts_per_h": 1e-9}))
    hall.step(10.0, storm_per_s=50.0)

    assert np.median(hall.model.registers.read().hbm_corrected) == pytest.approx(500.0, rel=0.05)


def test_a_decaying_memory_breaks_within_hours() -> None:
    hall, decay = memories(), np.zeros(1_440)
    decay[:50] = 1.0
    for _ in range(24):
        hall.step(600.0, decay_ratio=decay)

    broken = hall.rows(MemoryTruth.UNCORRECTED)
    assert (broken["chip"] < 50).mean() > 0.9
    assert len(np.unique(broken["chip"])) > 25


def test_equal_seeds_give_equal_errors() -> None:
    told = []
    for seed in (3, 3, 4):
        hall = memories(seed)
        hall.live(60, hbm_c=80.0)
        told.append(np.concatenate(hall.told).tolist())

    assert told[0] == told[1]
    assert told[0] != told[2]


def test_the_truth_can_be_told_in_words(warm: Memories) -> None:
    (born,) = in_words(warm.rows(MemoryTruth.LATENT)[:1])
    (replaced,) = in_words(warm.rows(MemoryTruth.REPLACED)[:1])

    assert born["kind"] == "latent"
    assert born["fault_class"] in set(FaultClass)
    assert {"at_s", "chip", "location", "stack", "channel", "bank", "row", "column"} <= set(born)
    assert set(replaced) == {"at_s", "kind", "chip", "count"}
