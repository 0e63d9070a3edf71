"""Faults as data: what breaks, where, how badly."""

from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    PLATE_BLOCKAGE = "plate_blockage"  # a chip's cold plate loses flow; severity 1 = all of it
    SLED_FLOW_BLOCKAGE = "sled_flow_blockage"  # a sled's coupling loses flow
    LEAK = "leak"  # a sled loses coolant; severity in L/min
    PUMP_TRIP = "pump_trip"  # a CDU's pump stops
    VALVE_STUCK = "valve_stuck"  # a CDU's facility valve does not move
    EXCHANGER_FOULING = "exchanger_fouling"  # a CDU loses this share of its UA
    FACILITY_EXCURSION = "facility_excursion"  # facility water warmer by this many kelvin
    HBM_STORM = "hbm_storm"  # a chip emits corrected errors, this many a second
    CHIP_FAIL_SLOW = "chip_fail_slow"  # a chip does this share less work
    SENSOR_BIAS = "sensor_bias"  # a sensor shows this much more
    SENSOR_FREEZE = "sensor_freeze"  # a sensor shows its last value
    SENSOR_DROPOUT = "sensor_dropout"  # a sensor shows nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`place` is a chip, sled or CDU id; pumps and sensors append `#pump2` or `#junction_c`."""

    kind: FaultKind
    place: str
    severity: float = 1.0
    start_s: float = 0.0
    """From injection, in emulated seconds."""
    duration_s: float | None = None
    """None: until cleared."""
