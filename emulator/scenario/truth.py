"""The truth beside the telemetry: what was broken when, and what sensors were held to."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from emulator.datacenter import World
from thermal.arrays import FloatArray

FORMAT: Final = 1
_DECIMALS: Final = 4
_CHIP_TRUTH: Final = ("junction_c", "hbm_c")
_SLED_TRUTH: Final = ("sled_inlet_c", "sled_outlet_c", "sled_flow_lpm")
_LOOP_TRUTH: Final = (
    "supply_c",
    "return_c",
    "secondary_flow_lpm",
    "primary_supply_c",
    "primary_flow_lpm",
    "valve_ratio",
    "fan_power_w",
    "heat_removed_w",
    "reservoir_level_ratio",
    "dew_point_c",
)

# As in the readings, which the truth stands beside: the fans' speed where there is no valve.
_BEHIND: Final = {"valve_ratio": "rejection_ratio"}


def header(world: World, *, scenario: str, seed: int) -> Mapping[str, Any]:
    """The first line: whose columns the others have."""
    fleet_map = world.fleet_map
    return {
        "format": FORMAT,
        "scenario": scenario,
        "seed": seed,
        "chips": fleet_map.chip_ids,
        "sleds": fleet_map.sled_ids,
        "loops": fleet_map.loop_ids,
    }


def faults_line(world: World) -> Mapping[str, Any]:
    """What is broken now, and how much of it."""
    return {
        "t_s": round(world.now_s, 6),
        "faults": [
            {"kind": fault.kind.value, "place": fault.place, "severity": severity}
            for fault, severity in world.severities()
        ],
    }


def state_line(world: World) -> Mapping[str, Any]:
    """What is true now, in columns of the header's ids."""
    loops = world.loops
    chips = {name: _rounded(loops.column(name)) for name in _CHIP_TRUTH}
    chips["power_w"] = _rounded(world.chips.power_w)
    return {
        "t_s": round(world.now_s, 6),
        "load_ratio": world.load_ratio,
        "chips": chips,
        "sleds": {name: _rounded(loops.column(name)) for name in _SLED_TRUTH},
        "loops": {name: _rounded(loops.scalars(_BEHIND.get(name, name))) for name in _LOOP_TRUTH},
    }


def _rounded(values: FloatArray) -> list[float]:
    shown: list[float] = np.round(np.asarray(values, dtype=np.float64), _DECIMALS).tolist()
    return shown
