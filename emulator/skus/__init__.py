"""Kinds of node class: one settings file a generation, and columns of a mixed fleet."""

from emulator.skus.columns import ChipColumns, SledColumns
from emulator.skus.fleet import FleetSkus, generation_settings, settings_of_sled
from emulator.skus.settings import (
    ChipLimitSettings,
    ChipPowerSettings,
    FabricSettings,
    GenerationSettings,
    SkuSettings,
    SledSettings,
)

__all__ = [
    "ChipColumns",
    "ChipLimitSettings",
    "ChipPowerSettings",
    "FabricSettings",
    "FleetSkus",
    "GenerationSettings",
    "SkuSettings",
    "SledColumns",
    "SledSettings",
    "generation_settings",
    "settings_of_sled",
]
