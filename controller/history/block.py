"""One metric of one group over one window, compressed without loss.

Sensors show decimal steps, so most columns are whole multiples of a power of ten: those are kept
as the differences of small integers, byte plane by byte plane, under zstd. What is on no grid is
kept as its float32 bits. Rows are parts of the group, columns are ticks.

    u8 form | u8 exponent | u8 width | u8 masked | u32 rows | u32 ticks | u32 mask bytes
    | mask, zstd | payload, zstd
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray
from zstandard import ZstdCompressor

from fleet.errors import MalformedMessageError
from fleet.frame import MISSING_COUNT, CountBlock, FloatBlock, IntBlock

_HEAD: Final = struct.Struct("<BBBBIII")
_GRIDS: Final = (0, 1, 2, 3, 4)
"""Powers of ten tried: whole numbers, tenths, ... ten-thousandths."""
_LARGEST_STEP: Final = 2**30
_LARGEST_SINGLE_STEP: Final = 2**22
"""Up to here the nearest whole number is found in float32 too: two roundings are off by a half."""
_SAMPLE: Final = 64
_SCALES: Final = 10.0 ** np.array(_GRIDS)[:, None]
_MAX_CELLS: Final = 2**26
_ALL: Final = slice(None)

Mask = NDArray[np.bool_]
SmallSteps = NDArray[np.int32]
Steps = SmallSteps | IntBlock


class Form(IntEnum):
    GRID = 1  # integers of a decimal grid, differences along the ticks
    BITS = 2  # float32 bits
    STEADY = 3  # one value a row, the same at every tick
    COUNT = 4  # unsigned integers, differences along the ticks
    ABSENT = 5  # nothing was measured


def encode_gauge(
    values: FloatBlock, first_grid: int | None = None, zstd: ZstdCompressor | None = None
) -> tuple[bytes, int | None]:
    """(rows, ticks) float32, NaN where nothing was read; the bytes, and the grid that fitted.

    Give the grid back with the next window of the same metric: it is tried first. Who writes many
    blocks on one thread makes one `compressor` for them.
    """
    zstd = zstd or compressor()
    mask = None
    if np.isnan(values.max(initial=0.0)):
        absent = np.isnan(values)
        if absent.all():
            return _pack(Form.ABSENT, values.shape, 0, 0, None, b"", zstd), first_grid
        mask, values = absent, _filled(values, absent)
    bits = values.view(np.uint32)  # the two zeros are equal, and not the same
    if _steady(bits):
        payload = values[:, 0].tobytes()
        return _pack(Form.STEADY, values.shape, 0, 4, mask, payload, zstd), first_grid
    for grid in _grids(values, first_grid):
        steps = _steps(values, grid)
        if steps is not None:
            width, payload = _planes(_zigzag(_differences(steps)))
            return _pack(Form.GRID, values.shape, grid, width, mask, payload, zstd), grid
    bits = np.concatenate((bits[:, :1], bits[:, 1:] ^ bits[:, :-1]), axis=1)
    return _pack(Form.BITS, values.shape, 0, 4, mask, _shuffled(bits, 4), zstd), None


def compressor() -> ZstdCompressor:
    """What one thread compresses blocks with; to make it takes as long as a small block."""
    return ZstdCompressor(level=1)


def shape_of(data: bytes) -> tuple[int, int]:
    """(rows, ticks) of a block, by its head alone."""
    try:
        *_, rows, ticks, _ = _HEAD.unpack_from(data)
    except struct.error as error:
        raise MalformedMessageError(f"history block: {error}") from error
    return rows, ticks


def decode_gauge(data: bytes, rows: slice = _ALL, ticks: slice = _ALL) -> FloatBlock:
    """(rows, ticks) float32, bit for bit what was encoded; MalformedMessageError when damaged.

    Of `rows` alone, and of the first `ticks` alone, it is much faster.
    """
    form, grid, width, shape, mask, payload = _unpack(data)
    match form:
        case Form.ABSENT:
            return np.full(shape, np.nan, np.float32)[rows, ticks]
        case Form.STEADY if width == 4:
            steady = np.frombuffer(payload, np.float32, shape[0])[rows]
            values = np.repeat(steady[:, None], shape[1], axis=1)[:, ticks]
        case Form.BITS:
            bits = _unshuffled(payload, shape, 4, (rows, ticks))
            values = np.bitwise_xor.accumulate(bits, axis=1).view(np.float32)
        case Form.GRID:
            values = _on_grid(_summed(_unshuffled(payload, shape, width, (rows, ticks))), grid)
        case _:
            raise MalformedMessageError(f"history block: form {form} holds no gauge")
    if mask is not None:
        values = np.where(mask[rows, ticks], np.float32(np.nan), values)
    return values


def encode_count(values: CountBlock, zstd: ZstdCompressor | None = None) -> bytes:
    """(rows, ticks) uint64, MISSING_COUNT where nothing was read; `zstd` as for gauges."""
    zstd = zstd or compressor()
    absent = values == MISSING_COUNT
    mask = None
    if absent.any():
        if absent.all():
            return _pack(Form.ABSENT, values.shape, 0, 0, None, b"", zstd)
        mask, values = absent, _filled(values, absent)
    if _steady(values):
        return _pack(Form.STEADY, values.shape, 0, 8, mask, values[:, 0].tobytes(), zstd)
    width, payload = _planes(_zigzag(_differences(values.view(np.int64))))
    return _pack(Form.COUNT, values.shape, 0, width, mask, payload, zstd)


def decode_count(data: bytes, rows: slice = _ALL, ticks: slice = _ALL) -> CountBlock:
    form, _, width, shape, mask, payload = _unpack(data)
    values: CountBlock
    if form is Form.ABSENT:
        return np.full(shape, MISSING_COUNT, np.uint64)[rows, ticks]
    if form is Form.STEADY and width == 8:
        steady = np.frombuffer(payload, np.uint64)[rows, None]
        values = np.repeat(steady, shape[1], axis=1)[:, ticks]
    elif form is Form.COUNT:
        values = _summed(_unshuffled(payload, shape, width, (rows, ticks))).view(np.uint64)
    else:
        raise MalformedMessageError(f"history block: form {form} holds no counter")
    if mask is not None:
        values = np.where(mask[rows, ticks], np.uint64(MISSING_COUNT), values)
    return values


# --- steps on a grid -----------------------------------------------------------------------------


def _steady(values: NDArray[Any]) -> bool:
    # The last column alone tells nearly all that are not.
    first = values[:, :1]
    return bool((values[:, -1:] == first).all()) and bool((values == first).all())


def _grids(values: FloatBlock, first_grid: int | None) -> Iterator[int]:
    """Grids to try. A few of the values rule out most that do not fit."""
    if first_grid is not None:
        yield first_grid
    few = values.reshape(-1)[:: max(values.size // _SAMPLE, 1)]
    fits = (np.rint(few * _SCALES) / _SCALES).astype(np.float32) == few
    yield from (grid for grid in np.flatnonzero(fits.all(axis=1)).tolist() if grid != first_grid)


def _steps(values: FloatBlock, grid: int) -> SmallSteps | None:
    """Whole multiples of 10^-grid; None when one value is not exactly such a multiple."""
    largest = max(float(values.max()), -float(values.min())) * 10.0**grid
    if not largest < _LARGEST_STEP:
        return None
    # Of small whole numbers a quotient rounded once to float32 is the same as one rounded to
    # float64 first (53 >= 2 * 24 + 2 bits), at half the price.
    kind = np.float32 if largest < _LARGEST_SINGLE_STEP else np.float64
    scale = kind(10.0**grid)
    scaled = np.multiply(values, scale, dtype=kind)
    np.rint(scaled, out=scaled)
    scaled += kind(0.0)  # whole numbers have no zero below zero
    back = np.divide(scaled, scale).astype(np.float32, copy=False)
    same = back.view(np.uint32) == values.view(np.uint32)
    return scaled.astype(np.int32) if same.all() else None


def _on_grid(steps: Steps | NDArray[np.float64], grid: int) -> FloatBlock:
    # One division in float64 and one rounding: the same on every machine.
    return (steps / 10.0**grid).astype(np.float32)


def _differences(steps: Steps) -> Steps:
    # Sums and differences wrap alike, so the largest counters come back too. Two steps of a grid
    # are less than 2^31 apart.
    moved = np.empty_like(steps)
    # Along all rows at once, which is much faster; then each row's first is put right.
    np.subtract(steps.reshape(-1)[1:], steps.reshape(-1)[:-1], out=moved.reshape(-1)[1:])
    moved[:, 0] = steps[:, 0]
    return moved


def _zigzag(steps: Steps) -> NDArray[Any]:
    size = steps.dtype.itemsize
    folded = steps << 1
    folded ^= steps >> 8 * size - 1
    return folded.view(f"u{size}")


def _summed(folded: NDArray[Any]) -> IntBlock:
    """Steps of rows from their folded differences, which are as narrow as they were kept."""
    half = (folded >> 1).view(f"i{folded.dtype.itemsize}")
    odd = (folded & 1).view(half.dtype)
    steps: IntBlock = np.cumsum(half ^ -odd, axis=1, dtype=np.int64)
    return steps


# --- bytes ---------------------------------------------------------------------------------------


def _planes(folded: NDArray[Any]) -> tuple[int, bytes]:
    """Bytes a value, and the values plane by plane."""
    largest = int(folded.max()) if folded.size else 0
    width = next(width for width in (1, 2, 4, 8) if largest < 1 << 8 * width)
    return width, _shuffled(folded, width)


def _shuffled(values: NDArray[Any], width: int) -> bytes:
    planes = np.empty((width, values.size), np.uint8)
    flat = values.reshape(-1)
    for plane in range(width):
        planes[plane] = flat >> 8 * plane if plane else flat
    return planes.tobytes()


def _unshuffled(
    payload: bytes, shape: tuple[int, int], width: int, part: tuple[slice, slice]
) -> NDArray[Any]:
    planes = np.frombuffer(payload, np.uint8).reshape(width, *shape)[:, *part]
    values: NDArray[Any] = planes[0]
    if width > 1:
        values = np.ascontiguousarray(planes.transpose(1, 2, 0)).view(f"<u{width}")[:, :, 0]
    return values


def _filled(values: NDArray[Any], absent: Mask) -> NDArray[Any]:
    """Absent cells take the value before them in their row, else the first present after."""
    if bool((absent == absent[:, :1]).all()):  # parts that say nothing of this metric, as is usual
        values = values.copy()
        values[absent[:, 0]] = 0
        return values
    ticks = np.arange(values.shape[1])
    before = np.maximum.accumulate(np.where(absent, -1, ticks), axis=1)
    first = np.argmin(absent, axis=1)[:, None]
    taken = np.take_along_axis(values, np.where(before < 0, first, before), axis=1)
    # A row in which all is absent has nothing to take from.
    taken[absent.all(axis=1)] = 0
    return taken


def _pack(
    form: Form,
    shape: tuple[int, ...],
    grid: int,
    width: int,
    mask: Mask | None,
    payload: bytes,
    zstd: ZstdCompressor,
) -> bytes:
    masked = b"" if mask is None else zstd.compress(np.packbits(mask).tobytes())
    head = _HEAD.pack(form, grid, width, mask is not None, shape[0], shape[1], len(masked))
    return b"".join((head, masked, zstd.compress(payload)))


def _unpack(data: bytes) -> tuple[Form, int, int, tuple[int, int], Mask | None, bytes]:
    try:
        number, grid, width, masked, rows, ticks, mask_bytes = _HEAD.unpack_from(data)
        form = Form(number)
        cells = rows * ticks
        if cells > _MAX_CELLS or width not in {0, 1, 2, 4, 8}:
            raise ValueError(f"{cells} cells of {width} bytes")
        mask = None
        if masked:
            packed = _opened(data[_HEAD.size : _HEAD.size + mask_bytes], (cells + 7) // 8)
            bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=cells)
            mask = bits.view(np.bool_).reshape(rows, ticks)
        wanted = width * (rows if form is Form.STEADY else cells)
        payload = _opened(data[_HEAD.size + mask_bytes :], wanted)
    except (struct.error, ValueError, zstandard.ZstdError) as error:
        raise MalformedMessageError(f"history block: {error}") from error
    return form, grid, width, (rows, ticks), mask, payload


def _opened(data: bytes, wanted_bytes: int) -> bytes:
    if zstandard.frame_content_size(data) != wanted_bytes:
        raise ValueError(f"does not hold {wanted_bytes} bytes")
    return zstandard.ZstdDecompressor().decompress(data)
