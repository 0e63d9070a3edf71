"""Each generation's file against what is published, and what must hold between its figures."""

import numpy as np
import pytest

from emulator.chip import dynamic_w, static_w
from emulator.skus import ChipColumns, GenerationSettings, SledColumns, generation_settings
from emulator.sled import sled_power
from fleet.topology import FANOUTS, Generation

GENERATIONS = list(Generation)
TRAINIUMS = [generation for generation in Generation if generation is not Generation.CS3]


@pytest.fixture(params=GENERATIONS)
def generation(request: pytest.FixtureRequest) -> Generation:
    found: Generation = request.param
    return found


def full_load_w(kind: GenerationSettings) -> float:
    """Dense products and streaming at once, as far as real work reaches, at 75 C."""
    chip, columns = kind.chip, ChipColumns.alike(kind.chip, chips=1)
    drawn = static_w(columns, np.array([75.0])) + dynamic_w(
        columns, np.array([chip.tensor_efficiency_ratio]), np.array([0.5])
    )
    return float(drawn[0])


@pytest.mark.parametrize(
    ("generation", "fp8_pflops", "bf16_pflops", "hbm_gib"),
    [
        # AWS Neuron documentation, UltraServer and instance totals.
        (Generation.TRN1, 3.04, 3.04, 512),
        (Generation.TRN2, 20.8, 10.7, 1_536),
        (Generation.TRN2_ULTRASERVER, 83.2, 42.8, 6_144),
        (Generation.TRN3_GEN1, 161.1, 42.9, 9_216),
        (Generation.TRN3_GEN2, 362.4, 96.6, 20_736),
    ],
)
def test_chips_add_up_to_the_published_system(
    generation: Generation, fp8_pflops: float, bf16_pflops: float, hbm_gib: int
) -> None:
    chip, chips = generation_settings(generation).chip, FANOUTS[generation].chips
    assert chips * chip.peak_flop_per_s == pytest.approx(fp8_pflops * 1e15, rel=0.005)
    assert chips * chip.peak_bf16_flop_per_s == pytest.approx(bf16_pflops * 1e15, rel=0.005)
    assert chips * chip.hbm_bytes == hbm_gib * 1024**3
    assert chip.hbm_bytes == FANOUTS[generation].hbm_gib * 1024**3


def test_trainium3_has_the_published_ridges() -> None:
    chip = generation_settings(Generation.TRN3_GEN2).chip
    assert chip.peak_flop_per_s / chip.hbm_bytes_per_s == pytest.approx(514, abs=1)
    assert chip.peak_bf16_flop_per_s / chip.hbm_bytes_per_s == pytest.approx(137, abs=1)


def test_full_load_comes_near_the_peak_power(generation: Generation) -> None:
    kind = generation_settings(generation)
    if generation is Generation.TRN3_GEN1:  # the same silicon under a lower cap
        assert full_load_w(kind) > kind.chip.power.tdp_w
    else:
        assert full_load_w(kind) == pytest.approx(kind.chip.power.tdp_w, rel=0.08)


def test_leakage_is_a_usual_share_of_the_peak(generation: Generation) -> None:
    power = generation_settings(generation).chip.power
    assert 0.12 <= power.leakage_w / power.tdp_w <= 0.20
    assert power.idle_w < power.sustained_w < power.tdp_w


def peak_sled_w(generation: Generation) -> float:
    kind, chips = generation_settings(generation), FANOUTS[generation].chips_per_sled
    drawn = sled_power(
        SledColumns.of([kind.sled], np.zeros(1, dtype=np.int32)),
        chip_w=np.array([chips * kind.chip.power.tdp_w]),
        vcpu_ratio=np.ones(1),
        powered=np.ones(1, dtype=np.bool_),
    )
    return float(drawn.total_w[0])


def test_a_gen2_sled_draws_4_7_kw_and_its_ultraserver_180_kw() -> None:
    sled_w = peak_sled_w(Generation.TRN3_GEN2)
    assert sled_w == pytest.approx(4_700, rel=0.02)
    assert 36 * sled_w == pytest.approx(180e3, rel=0.07)


def test_a_cs3_draws_23_kw() -> None:
    assert peak_sled_w(Generation.CS3) == pytest.approx(23e3, rel=0.02)


def test_only_the_wafer_has_no_hbm() -> None:
    stacks = {kind: generation_settings(kind).chip.hbm_stacks for kind in Generation}
    assert [kind for kind, count in stacks.items() if count == 0] == [Generation.CS3]


def test_the_links_of_a_torus_add_up_to_the_nameplate() -> None:
    for generation, ring in ((Generation.TRN1, 0), (Generation.TRN2_ULTRASERVER, 2)):
        kind = generation_settings(generation)
        links = 4 * kind.fabric.torus_link_bytes_per_s
        links += ring * kind.fabric.host_ring_link_bytes_per_s
        assert links == pytest.approx(kind.chip.link_bytes_per_s)


def test_the_fleets_vocabulary_sizes_loops_for_the_same_plates(generation: Generation) -> None:
    assert FANOUTS[generation].cold_plates == generation_settings(generation).chip.cold_plates
