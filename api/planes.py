"""One metric of the whole fleet as one byte a chip, for drawing.

A frame is a header of 40 bytes, little-endian and packed, and one code a chip:

    u32 magic "ISM1" | u8 version | u8 kind | u8 metric | u8 encoding | u32 epoch | u64 tick
    u32 first chip | u32 count | f32 scale | f32 base | f32 age_s

value = code * scale + base; codes 254 and 255 say "above the range" and "no data".
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fleet.errors import MalformedMessageError
from fleet.frame import FloatBlock
from fleet.topology import FleetMap

MAGIC: Final = 0x314D5349
VERSION: Final = 1
KIND_KEY: Final = 0
ENCODING_RAW_U8: Final = 0
ABOVE: Final = 254
NO_DATA: Final = 255
TOP_CODE: Final = 253
_HEADER: Final = struct.Struct("<IBBBBIQIIfff")
HEADER_BYTES: Final = _HEADER.size

Codes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """What is drawn of a metric; values below `low` are drawn as `low`."""

    id: int
    metric: str
    unit: str
    low: float
    high: float

    @property
    def scale(self) -> float:
        # As the header carries it, so that both sides reckon with the same step.
        return float(np.float32((self.high - self.low) / TOP_CODE))


PLANES: Final = (
    Plane(id=0, metric="junction_c", unit="°C", low=20, high=110),
    Plane(id=1, metric="hbm_c", unit="°C", low=20, high=110),
    Plane(id=2, metric="power_w", unit="W", low=0, high=1500),
    Plane(id=3, metric="neuroncore_utilization_ratio", unit="ratio", low=0, high=1),
    Plane(id=4, metric="hbm_utilization_ratio", unit="ratio", low=0, high=1),
)
"""Ids are part of the protocol: append, never renumber."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlaneFrame:
    """A decoded frame; `values` is float32 [count], NaN without data, infinite above the range."""

    metric_id: int
    epoch: int
    tick: int
    first_chip: int
    codes: Codes
    scale: float
    base: float
    age_s: float

    @property
    def values(self) -> FloatBlock:
        values = (self.codes * np.float32(self.scale) + np.float32(self.base)).astype(np.float32)
        values[self.codes == ABOVE] = np.inf
        values[self.codes == NO_DATA] = np.nan
        return values


def topology_epoch(fleet_map: FleetMap) -> int:
    """A number that changes with the order of the chips; the same in every copy of the API."""
    layout = "\n".join(
        f"{sled} {chips}"
        for sled, chips in zip(fleet_map.sled_ids, fleet_map.chips_of_sled, strict=True)
    )
    return zlib.crc32(layout.encode())


def encode_codes(plane: Plane, values: FloatBlock) -> Codes:
    """Codes of float32 values [count]; NaN becomes NO_DATA."""
    scaled = (values.astype(np.float64) - plane.low) / plane.scale
    with np.errstate(invalid="ignore"):  # NaN and infinities get their code below
        codes = np.rint(np.clip(scaled, 0, TOP_CODE)).astype(np.uint8)
    # A value that rounds to the top code is still inside, so `high` itself can be drawn.
    codes[scaled >= TOP_CODE + 0.5] = ABOVE
    codes[np.isnan(values)] = NO_DATA
    return codes


def encode_plane(plane: Plane, values: FloatBlock, *, epoch: int, tick: int, age_s: float) -> bytes:
    codes = encode_codes(plane, values)
    head = _HEADER.pack(
        MAGIC,
        VERSION,
        KIND_KEY,
        plane.id,
        ENCODING_RAW_U8,
        epoch,
        tick,
        0,
        len(codes),
        plane.scale,
        plane.low,
        age_s,
    )
    return head + codes.tobytes()


def decode_plane(data: bytes) -> PlaneFrame:
    """For programs that read the live stream; MalformedMessageError when it is not a frame."""
    if len(data) < HEADER_BYTES:
        raise MalformedMessageError(f"plane of {len(data)} bytes: shorter than its header")
    magic, version, kind, metric_id, encoding, *rest = _HEADER.unpack_from(data)
    if (magic, version, kind, encoding) != (MAGIC, VERSION, KIND_KEY, ENCODING_RAW_U8):
        raise MalformedMessageError(
            f"plane with magic {magic:#x}, version {version}, kind {kind}, encoding {encoding}"
        )
    epoch, tick, first_chip, count, scale, base, age_s = rest
    if count != len(data) - HEADER_BYTES:
        raise MalformedMessageError(f"plane of {count} chips with {len(data) - HEADER_BYTES} codes")
    return PlaneFrame(
        metric_id=metric_id,
        epoch=epoch,
        tick=tick,
        first_chip=first_chip,
        codes=np.frombuffer(data, np.uint8, count, HEADER_BYTES),
        scale=scale,
        base=base,
        age_s=age_s,
    )
