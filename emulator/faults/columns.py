"""What is broken now, as one column for each thing that the world's parts ask about."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from emulator.faults.kinds import Axis
from emulator.faults.site import LINK_TIERS, FaultSite
from fleet.topology import FleetMap
from thermal.arrays import BoolArray, FloatArray


class Combine(StrEnum):
    """How severities of faults that meet in one place become one value."""

    ADD = "add"  # they add up
    WORST = "worst"  # the largest counts
    ANY = "any"  # there or not
    SHRINK = "shrink"  # each leaves 1 - severity of what is left; 1 is healthy
    GROW = "grow"  # each makes it 1 + severity times larger; 1 is healthy


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSpec:
    axis: Axis
    combine: Combine


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultColumns:
    """Read only; rows in FleetMap order. The same object for as long as nothing changes."""

    chip_blockage_ratio: FloatArray
    """[chips] 1 = no flow."""
    chip_resistance_ratio: FloatArray
    """[chips] of plate and interface, over new."""
    slow_ratio: FloatArray
    """[chips] speed left."""
    storm_per_s: FloatArray
    """[chips] corrected errors besides those that the memory itself makes."""
    hbm_decay_ratio: FloatArray
    """[chips] 1 = the memory is worn out."""
    sdc_per_s: FloatArray
    """[chips] silent corruptions."""
    chip_dead: BoolArray
    """[chips]"""
    link_lost: BoolArray
    """[chips, tiers] in the order of `LINK_TIERS`."""
    sled_blockage_ratio: FloatArray
    """[sleds] 1 = no flow."""
    leak_lpm: FloatArray
    """[sleds] at the fill pressure."""
    sled_power_lost: BoolArray
    """[sleds]"""
    sled_silent: BoolArray
    """[sleds] no device of the sled answers."""
    sled_swapped: BoolArray
    """[sleds] another board stands in the place."""
    sled_exchanged: BoolArray
    """[sleds] the board and that of the sled beside it stand in each other's place."""
    identity_claimed: BoolArray
    """[sleds] the card says that it is the one beside it."""
    firmware_drifted: BoolArray
    """[sleds] the card runs what the others have left behind."""
    clock_skew_s: FloatArray
    """[sleds] ahead of the hall's time."""
    switch_lost: BoolArray
    """[sleds, 2] the sled's own, its rack's."""
    pump_tripped: BoolArray
    """[loops, pumps]"""
    pump_wear_ratio: FloatArray
    """[loops, pumps] head lost."""
    valve_stuck: BoolArray
    """[loops]"""
    valve_slow_ratio: FloatArray
    """[loops] share of the stroke speed lost."""
    fouling_ratio: FloatArray
    """[loops] share of the exchanger's UA lost."""
    air_ratio: FloatArray
    """[loops] share of the volume that is gas."""
    facility_offset_k: FloatArray
    """[loops] facility water above what the plant makes."""
    wet_bulb_offset_k: FloatArray
    """[loops]"""
    humidity_offset_ratio: FloatArray
    """[loops] added to the hall's relative humidity."""
    power_feed_lost: BoolArray
    """[loops] pumps, fans and firmware have no power."""
    cdu_silent: BoolArray
    """[loops] the CDU does not answer."""


def _spec(axis: Axis, combine: Combine) -> ColumnSpec:
    return ColumnSpec(axis=axis, combine=combine)


COLUMNS: Final[Mapping[str, ColumnSpec]] = MappingProxyType(
    {
        "chip_blockage_ratio": _spec(Axis.CHIPS, Combine.WORST),
        "chip_resistance_ratio": _spec(Axis.CHIPS, Combine.GROW),
        "slow_ratio": _spec(Axis.CHIPS, Combine.SHRINK),
        "storm_per_s": _spec(Axis.CHIPS, Combine.ADD),
        "hbm_decay_ratio": _spec(Axis.CHIPS, Combine.WORST),
        "sdc_per_s": _spec(Axis.CHIPS, Combine.ADD),
        "chip_dead": _spec(Axis.CHIPS, Combine.ANY),
        "link_lost": _spec(Axis.LINKS, Combine.ANY),
        "sled_blockage_ratio": _spec(Axis.SLEDS, Combine.WORST),
        "leak_lpm": _spec(Axis.SLEDS, Combine.ADD),
        "sled_power_lost": _spec(Axis.SLEDS, Combine.ANY),
        "sled_silent": _spec(Axis.SLEDS, Combine.ANY),
        "sled_swapped": _spec(Axis.SLEDS, Combine.ANY),
        "sled_exchanged": _spec(Axis.SLEDS, Combine.ANY),
        "identity_claimed": _spec(Axis.SLEDS, Combine.ANY),
        "firmware_drifted": _spec(Axis.SLEDS, Combine.ANY),
        "clock_skew_s": _spec(Axis.SLEDS, Combine.ADD),
        "switch_lost": _spec(Axis.SWITCHES, Combine.ANY),
        "pump_tripped": _spec(Axis.PUMPS, Combine.ANY),
        "pump_wear_ratio": _spec(Axis.PUMPS, Combine.WORST),
        "valve_stuck": _spec(Axis.LOOPS, Combine.ANY),
        "valve_slow_ratio": _spec(Axis.LOOPS, Combine.WORST),
        "fouling_ratio": _spec(Axis.LOOPS, Combine.WORST),
        "air_ratio": _spec(Axis.LOOPS, Combine.WORST),
        "facility_offset_k": _spec(Axis.LOOPS, Combine.ADD),
        "wet_bulb_offset_k": _spec(Axis.LOOPS, Combine.ADD),
        "humidity_offset_ratio": _spec(Axis.LOOPS, Combine.ADD),
        "power_feed_lost": _spec(Axis.LOOPS, Combine.ANY),
        "cdu_silent": _spec(Axis.LOOPS, Combine.ANY),
    }
)

Strike = tuple[str, FaultSite, float]
"""A column, where, and how strongly."""


class ColumnTable:
    """Makes columns of strikes; columns that nothing strikes are shared with the healthy ones."""

    def __init__(self, fleet_map: FleetMap, *, pumps: int) -> None:
        loops = len(fleet_map.loop_ids)
        self._shapes: dict[Axis, tuple[int, ...]] = {
            Axis.CHIPS: (fleet_map.chips,),
            Axis.SLEDS: (fleet_map.sleds,),
            Axis.LOOPS: (loops,),
            Axis.PUMPS: (loops, pumps),
            Axis.LINKS: (fleet_map.chips, len(LINK_TIERS)),
            Axis.SWITCHES: (fleet_map.sleds, 2),
        }
        healthy = {name: self._column(spec) for name, spec in COLUMNS.items()}
        for column in healthy.values():
            column.setflags(write=False)
        self.healthy = FaultColumns(**healthy)

    def struck(self, strikes: Iterable[Strike]) -> FaultColumns:
        """What each column is under these strikes."""
        changed: dict[str, Any] = {}
        for name, site, strength in strikes:
            spec = COLUMNS[name]
            if name not in changed:
                changed[name] = self._column(spec)
            _combine(changed[name], site.index(spec.axis), spec.combine, strength)
        if not changed:
            return self.healthy
        fields = {name: getattr(self.healthy, name) for name in COLUMNS}
        return FaultColumns(**{**fields, **changed})

    def _column(self, spec: ColumnSpec) -> Any:
        shape = self._shapes[spec.axis]
        if spec.combine is Combine.ANY:
            return np.zeros(shape, dtype=np.bool_)
        whole = spec.combine in (Combine.SHRINK, Combine.GROW)
        return np.full(shape, 1.0 if whole else 0.0)


def _combine(column: Any, index: Any, combine: Combine, severity: float) -> None:
    """`column` at `index` under one fault more; no row stands in `index` twice."""
    match combine:
        case Combine.ADD:
            column[index] += severity
        case Combine.WORST:
            column[index] = np.maximum(column[index], severity)
        case Combine.ANY:
            column[index] |= severity > 0.0
        case Combine.SHRINK:
            column[index] *= 1.0 - severity
        case Combine.GROW:
            column[index] *= 1.0 + severity
