"""Rates of memory errors: published per GB, and how they depend on conditions."""

from dataclasses import replace

import numpy as np
import pytest

from emulator.hbm.arrhenius import arrival_factor, burst_factor, infant_factor
from emulator.hbm.memory import chip_memory
from emulator.hbm.model import HbmModel
from emulator.hbm.truth import CLASSES, MemoryTruth
from fleet.errors import ConfigurationError
from fleet.topology import FleetMap, Generation, LoopKind, LoopPlan, mixed_datacenter
from tests.emulator.hbm.halls import RATES, Memories, fleet_of, memories, rates


@pytest.mark.parametrize(
    ("generation", "per_h"),
    [
        (Generation.TRN1, 3.0e-6),
        (Generation.TRN2, 1.21e-5),
        (Generation.TRN3_GEN1, 1.82e-5),
        (Generation.TRN3_GEN2, 1.82e-5),
    ],
)
def test_rates_a_chip_follow_from_those_a_gb(generation: Generation, per_h: float) -> None:
    memory = chip_memory(fleet_of(generation), RATES)

    assert memory.uncorrected_per_s * 3600.0 == pytest.approx(per_h, rel=0.01)


def test_a_chip_without_hbm_has_no_memory_errors() -> None:
    bare = memories(generation=Generation.TRN1, ultraservers=1)
    memory = replace(bare.memory, uncorrected_per_s=np.zeros(16), stacks=np.zeros(16, np.int32))
    bare = Memories(model=HbmModel(RATES, memory, np.random.default_rng(1)), memory=memory)
    bare.live(10, storm_per_s=5.0, decay_ratio=1.0)

    assert not bare.model.registers.read().hbm_corrected.any()
    assert len(bare.rows(MemoryTruth.LATENT)) == 0


def test_the_wafer_of_a_cs3_has_none() -> None:
    plan = LoopPlan(kind=LoopKind.LIQUID_TO_LIQUID, ultraservers={Generation.CS3: 1})
    memory = chip_memory(FleetMap(mixed_datacenter([plan])), RATES)

    assert (memory.stacks.tolist(), memory.uncorrected_per_s.tolist()) == ([0], [0.0])


def test_a_generation_without_rates_is_refused() -> None:
    known = {name: memory for name, memory in RATES.generations.items() if name != "trn1"}

    with pytest.raises(ConfigurationError, match="no memory error rates of trn1; known are trn2,"):
        chip_memory(fleet_of(Generation.TRN1), replace(RATES, generations=known))


@pytest.mark.parametrize(
    ("at_c", "factor"), [(55, 0.53), (65, 1.0), (75, 1.81), (85, 3.16), (95, 5.35), (105, 8.83)]
)
def test_arrivals_follow_the_arrhenius_table(at_c: float, factor: float) -> None:
    assert arrival_factor(RATES.arrivals, np.array([at_c]))[0] == pytest.approx(factor, rel=0.01)


def test_bursts_double_every_ten_kelvin_above_the_warm_limit() -> None:
    factors = burst_factor(RATES.corrected, np.array([40.0, 75.0, 85.0, 95.0]))

    assert factors.tolist() == pytest.approx([1.0, 1.0, 2.0, 4.0])


def test_infancy_ends_after_thirty_days() -> None:
    month_s = 30 * 86_400.0

    assert infant_factor(RATES.arrivals, np.array([0.0, month_s - 1, month_s])).tolist() == [
        3,
        3,
        1,
    ]


@pytest.mark.parametrize("hbm_c", [55.0, 85.0])
def test_uncorrected_errors_come_at_the_published_rate(hbm_c: float) -> None:
    hall = memories(settings=rates(arrivals={"frailty_sigma": 0.3}), ultraservers=40)
    hall.live(360, hbm_c=hbm_c)

    expected = hall.memory.uncorrected_per_s.sum() * 360 * 86_400.0
    expected *= arrival_factor(RATES.arrivals, np.array([hbm_c]))[0]
    assert len(hall.rows(MemoryTruth.UNCORRECTED)) == pytest.approx(expected, rel=4 / expected**0.5)


def test_frailty_does_not_change_the_rate_of_a_fleet() -> None:
    hall = memories(settings=rates(arrivals={"frailty_sigma": 1.0}), ultraservers=100)

    assert hall.model._frailty_factor.mean() == pytest.approx(1.0, abs=0.05)
    assert np.quantile(hall.model._frailty_factor, 0.99) > 5.0  # lemons


def test_the_length_of_a_step_does_not_change_what_happens() -> None:
    counts = []
    for steps_a_day in (1, 24):
        hall = memories(7, ultraservers=40, settings=rates(arrivals={"frailty_sigma": 0.3}))
        hall.live(60, steps_a_day=steps_a_day, hbm_c=90.0)
        shown = hall.rows(MemoryTruth.CORRECTED)
        counts.append(
            [
                len(hall.rows(MemoryTruth.LATENT)),
                len(hall.rows(MemoryTruth.UNCORRECTED)),
                len(np.unique(shown["location"])),
            ]
        )

    for coarse, fine in zip(*counts, strict=True):
        assert coarse == pytest.approx(fine, abs=4 * (coarse + fine) ** 0.5)


def test_young_chips_fail_three_times_as_often() -> None:
    found = []
    for age_s in (0.0, 100 * 86_400.0):
        hall = memories(
            settings=rates(arrivals={"age_s": age_s, "frailty_sigma": 0.3}), ultraservers=40
        )
        hall.live(29, hbm_c=85.0)
        found.append(len(hall.rows(MemoryTruth.LATENT)))

    assert found[0] / found[1] == pytest.approx(3.0, rel=0.2)


def test_faults_come_in_the_shares_of_their_classes() -> None:
    hall = memories(ultraservers=40)
    hall.live(200, hbm_c=90.0)

    born = hall.rows(MemoryTruth.LATENT)
    shares = np.bincount(born["fault_class"], minlength=len(CLASSES)) / len(born)
    assert shares == pytest.approx(np.array(RATES.classes.shares), abs=0.04)
    assert set(np.unique(born["stack"])) == {0, 1, 2, 3}
    assert born["channel"].max() < 16


def test_shares_of_classes_must_add_up() -> None:
    with pytest.raises(ValueError, match=r"must add up to 1, not 1\.4"):
        rates(classes={"cell_ratio": 0.95})
