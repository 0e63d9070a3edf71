import numpy as np
import pytest

from fleet.errors import ConfigurationError, UnknownIdError
from fleet.topology import (
    FANOUTS,
    FleetMap,
    Generation,
    LoopKind,
    LoopPlan,
    mixed_datacenter,
    trn3_datacenter,
)


@pytest.fixture
def fleet_map() -> FleetMap:
    return FleetMap(trn3_datacenter(loops=2, ultraservers=2))


def test_trn3_gen2_has_the_published_fanout() -> None:
    fanout = FANOUTS[Generation.TRN3_GEN2]
    assert (fanout.chips, fanout.sleds, fanout.racks, fanout.chips_per_sled) == (144, 36, 2, 4)


def test_trn3_gen1_and_trn2_ultraservers_have_64_chips_in_4_hosts() -> None:
    for generation in (Generation.TRN3_GEN1, Generation.TRN2_ULTRASERVER):
        assert (FANOUTS[generation].chips, FANOUTS[generation].sleds) == (64, 4)


def test_every_chip_id_leads_back_to_its_row(fleet_map: FleetMap) -> None:
    assert fleet_map.chips == 4 * 144
    rows = [fleet_map.chip(chip_id) for chip_id in fleet_map.chip_ids]
    assert rows == list(range(fleet_map.chips))


def test_slices_cover_each_chip_once(fleet_map: FleetMap) -> None:
    seen = np.zeros(fleet_map.chips, dtype=int)
    for sled in range(fleet_map.sleds):
        seen[fleet_map.chips_in_sled(sled)] += 1
    for loop in range(len(fleet_map.loop_ids)):
        seen[fleet_map.chips_in_loop(loop)] += 1
    assert set(seen) == {2}


def test_a_sled_belongs_to_the_ultraserver_in_its_id(fleet_map: FleetMap) -> None:
    for row, sled_id in enumerate(fleet_map.sled_ids):
        owner = fleet_map.ultraserver_ids[fleet_map.ultraserver_of_sled[row]]
        assert sled_id.startswith(owner + "/")
    for row, ultraserver_id in enumerate(fleet_map.ultraserver_ids):
        sleds = fleet_map.sled_ids[fleet_map.sleds_in_ultraserver(row)]
        assert len(sleds) == 36
        assert all(sled.startswith(ultraserver_id + "/") for sled in sleds)


def test_unknown_ids_are_named(fleet_map: FleetMap) -> None:
    with pytest.raises(UnknownIdError, match=r"unknown chip 'h1/us01/r1/s01/c9'"):
        fleet_map.chip("h1/us01/r1/s01/c9")
    with pytest.raises(UnknownIdError, match="unknown loop"):
        fleet_map.loop("h9/loop01")


MIXED = (
    LoopPlan(kind=LoopKind.LIQUID_TO_LIQUID, ultraservers={Generation.TRN3_GEN2: 1}),
    LoopPlan(kind=LoopKind.AIR, ultraservers={Generation.TRN2: 2, Generation.TRN3_GEN1: 1}),
    LoopPlan(kind=LoopKind.LIQUID_TO_AIR, ultraservers={Generation.CS3: 2}),
)


def test_a_mixed_hall_names_liquid_loops_and_air_rows_apart() -> None:
    fleet_map = FleetMap(mixed_datacenter(MIXED))
    assert fleet_map.loop_ids == ("h1/loop01", "h1/row01", "h1/loop02")
    assert fleet_map.cdu_ids == ("h1/cdu01", "h1/crah01", "h1/cdu02")
    assert fleet_map.kind_of_loop == tuple(plan.kind for plan in MIXED)
    assert fleet_map.ultraserver_ids == tuple(f"h1/us0{n}" for n in range(1, 7))
    assert fleet_map.chips == 144 + 2 * 16 + 64 + 2


def test_sleds_and_chips_know_their_generation() -> None:
    fleet_map = FleetMap(mixed_datacenter(MIXED))
    for row in range(fleet_map.sleds):
        server = fleet_map.ultraservers[fleet_map.ultraserver_of_sled[row]]
        assert fleet_map.generations[fleet_map.generation_of_sled[row]] is server.generation
        chips = fleet_map.generation_of_chip[fleet_map.chips_in_sled(row)]
        assert set(chips) == {fleet_map.generation_of_sled[row]}
        assert len(chips) == server.fanout.chips_per_sled


@pytest.mark.parametrize(
    ("kind", "generation", "words"),
    [
        (
            LoopKind.AIR,
            Generation.TRN3_GEN2,
            "row01 .air. can not cool h1/us01: trn3-gen2 .*liquid",
        ),
        (LoopKind.LIQUID_TO_AIR, Generation.TRN2, "loop01 .* trn2 is cooled by air; .* kind air"),
    ],
)
def test_a_loop_refuses_what_it_can_not_cool(
    kind: LoopKind, generation: Generation, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        mixed_datacenter([LoopPlan(kind=kind, ultraservers={generation: 1})])


@pytest.mark.parametrize("wanted", [{}, {Generation.TRN2: 0}, {Generation.TRN2: -1}])
def test_an_empty_row_is_refused_by_name(wanted: dict[Generation, int]) -> None:
    with pytest.raises(ConfigurationError, match=r"h1/row01 .* at least one UltraServer"):
        mixed_datacenter([LoopPlan(kind=LoopKind.AIR, ultraservers=wanted)])
