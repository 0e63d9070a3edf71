from dataclasses import replace

import pytest

from emulator.plant_parts import PlantParts
from emulator.runaway import check_runaway
from emulator.skus import FleetSkus
from fleet.errors import ConfigurationError
from fleet.topology import FleetMap, Generation, LoopKind, LoopPlan, mixed_datacenter
from thermal.facility import HeatRejection

PARTS = PlantParts()
PLANS = (
    LoopPlan(
        kind=LoopKind.LIQUID_TO_LIQUID,
        ultraservers={Generation.TRN3_GEN2: 1, Generation.CS3: 1},
    ),
    LoopPlan(kind=LoopKind.AIR, ultraservers={Generation.TRN1: 1, Generation.TRN2_ULTRASERVER: 1}),
)
SKUS = FleetSkus(FleetMap(mixed_datacenter(PLANS)))
PLANTS = PARTS.liquid_loops(SKUS.fleet_map, SKUS, HeatRejection.TOWER)


def test_every_generation_keeps_its_leakage() -> None:
    check_runaway(SKUS, PLANTS, PARTS.air_row())


def test_a_chip_that_would_run_away_is_refused_with_the_numbers() -> None:
    """150 W at 85 C, e^0.016 a kelvin, 105 C: 3.3 W/K; over 0.0917 K/W that is a gain of 0.3."""
    loop = PLANTS[0]
    for junction_to_case, refused in ((0.068, False), (0.072, True)):
        chip = replace(loop.chip, junction_to_case_k_per_w=junction_to_case)
        plants = [replace(loop, chip=chip), PLANTS[1]]
        if not refused:
            check_runaway(SKUS, plants, PARTS.air_row())
            continue
        words = (
            "h1/us01/r1/s01/c0: its leakage grows by 3.3 W/K at 105 C .* 94 K/kW: a gain of 0.31"
        )
        with pytest.raises(ConfigurationError, match=words):
            check_runaway(SKUS, plants, PARTS.air_row())
