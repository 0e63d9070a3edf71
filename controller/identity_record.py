"""What was learnt of a loop as bytes, for the store: about 28 bytes a chip.

Averages that fill again within a minute are left out.
"""

import math
from dataclasses import replace
from typing import Annotated, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from controller.cooling.settings import CoolingSettings
from fleet.errors import MalformedMessageError
from thermal.arrays import FloatArray
from thermal.model.identity import LoopIdentity
from thermal.model.loop_fit import Learnt, LoopFit, TransitFit

VERSION: Final = 1
"""Of these bytes and of what the figures mean; another one is not read."""
_COLUMNS: Final = 7
_MARK_BYTES: Final = 4
_MOST_OFF_RATIO: Final = 1_000.0
"""A resistance further than this from its data sheet, either way, was never learnt: a wafer of many
plates has a twentieth of one plate's."""
_MOST_LOG_RATIO: Final = 2.0
"""The same of an exchanger or of pipes: a seventh, or seven times."""
_MOST_FIGURE: Final = 1e6
"""No other figure, squares and counts included, comes near it."""
_ROUNDED: Final = 1.0 + 1e-5
"""Bytes of 4 round a matrix that is almost singular."""

_Counted = Annotated[float, msgspec.Meta(ge=0.0)]


class _Figure(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    built_log_ratio: float
    bias_k: float
    covariance: tuple[float, float, float] | None
    drift_log_ratio: float
    scatter_squares: _Counted
    lessons_count: _Counted


class _Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    chips: int
    plates: bytes
    ua: _Figure
    resistance: _Figure
    unexplained: tuple[_Counted, ...]
    swing_squares: _Counted
    transit_weight: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
    leakage: tuple[float, float, float]
    leakage_covariance: tuple[float, ...]
    hardware: bytes = b""
    """Which chips it was learnt of; empty where nobody has told."""


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_Record)


def encode_identity(identity: LoopIdentity, hardware: NDArray[np.uint32] | None = None) -> bytes:
    """With a mark of the `hardware` [chips] of which it was learnt (`controller.hardware`)."""
    fit, loop = identity.plates, identity.loop
    columns = np.stack(
        [
            fit.built_k_per_w,
            fit.offset_k,
            *fit.covariance,
            fit.drift_ratio,
            fit.lessons_count,
        ]
    )
    leaks = identity.leakage
    return _encoder.encode(
        _Record(
            version=VERSION,
            chips=columns.shape[1],
            plates=columns.astype("<f4").tobytes(),
            ua=_figure(loop.ua),
            resistance=_figure(loop.resistance),
            unexplained=loop.transit.unexplained,
            swing_squares=loop.transit.swing_squares,
            transit_weight=loop.transit.weight,
            leakage=leaks.weights,
            leakage_covariance=tuple(leaks.covariance_squares.ravel().tolist()),
            hardware=b"" if hardware is None else hardware.astype("<u4").tobytes(),
        )
    )


def decode_identity(data: bytes, settings: CoolingSettings, chips: int) -> LoopIdentity:
    """What was learnt of a loop that has `chips`. MalformedMessageError in one line for bytes that
    are of another version, of another loop, or of figures that no loop has.
    """
    try:
        record = _decoder.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise MalformedMessageError(f"not what was learnt of a loop: {error}") from error
    if record.version != VERSION:
        raise MalformedMessageError(f"version {record.version}, and only {VERSION} is read")
    if record.chips != chips or len(record.plates) != 4 * _COLUMNS * chips:
        raise MalformedMessageError(f"of {record.chips} chips, and the loop has {chips}")
    if len(record.hardware) not in (0, _MARK_BYTES * chips):
        raise MalformedMessageError("marks of another number of chips than it has")
    unknown = LoopIdentity.unknown(settings.identity, settings.model, chips)
    columns = np.frombuffer(record.plates, "<f4").astype(np.float64).reshape(_COLUMNS, chips)
    _check(record, columns, unknown, settings.identity.loop.transits_count)
    built, offset, rr, rb, bb, drift, lessons = columns
    return LoopIdentity(
        plates=replace(
            unknown.plates,
            built_k_per_w=built,
            offset_k=offset,
            covariance=(rr, rb, bb),
            drift_ratio=drift,
            lessons_count=lessons,
        ),
        loop=LoopFit(
            ua=_learnt(record.ua),
            resistance=_learnt(record.resistance),
            transit=TransitFit(
                unexplained=record.unexplained,
                swing_squares=record.swing_squares,
                weight=record.transit_weight,
            ),
        ),
        leakage=replace(
            unknown.leakage,
            weights=record.leakage,
            covariance_squares=np.array(record.leakage_covariance).reshape(3, 3),
        ),
    )


def hardware_in(data: bytes) -> NDArray[np.uint32]:
    """[chips] marks of the hardware that it was learnt of; empty where nobody had told."""
    return np.frombuffer(_decoder.decode(data).hardware, "<u4").astype(np.uint32)


def _check(record: _Record, values: FloatArray, unknown: LoopIdentity, candidates: int) -> None:
    sound = (
        all(abs(figure) <= _MOST_FIGURE for figure in _scalars(record))
        and _sound_plates(values, unknown.plates.built_k_per_w)
        and len(record.leakage_covariance) == unknown.leakage.covariance_squares.size
        and record.leakage_covariance[-1] >= 0.0
        and _sound_figure(record.ua)
        and _sound_figure(record.resistance)
        and len(record.unexplained) in (0, candidates)
    )
    if not sound:
        raise MalformedMessageError("figures that no loop has")


def _scalars(record: _Record) -> list[float]:
    figures = [*record.leakage, *record.leakage_covariance, *record.unexplained]
    figures += [record.swing_squares, record.transit_weight]
    for one in (record.ua, record.resistance):
        figures += [one.built_log_ratio, one.bias_k, one.drift_log_ratio]
        figures += [one.scatter_squares, one.lessons_count, *(one.covariance or ())]
    return figures


def _sound_figure(figure: _Figure) -> bool:
    aa, ab, bb = figure.covariance or (0.0, 0.0, 0.0)
    spread = min(aa, bb, aa * bb * _ROUNDED - ab**2)
    most = max(abs(figure.built_log_ratio), abs(figure.drift_log_ratio))
    return spread >= 0.0 and most <= _MOST_LOG_RATIO


def _sound_plates(values: FloatArray, sheet_k_per_w: FloatArray) -> bool:
    if not (np.abs(values) <= _MOST_FIGURE).all():  # NaN compares as false
        return False
    built, _, rr, rb, bb, drift, lessons = values
    off = np.abs(np.log(np.maximum(built, 1e-12) / sheet_k_per_w)).max()
    least = min(rr.min(), bb.min(), (rr * bb * _ROUNDED - rb**2).min(), lessons.min())
    drifted = float(np.abs(drift).max())
    return bool(off <= math.log(_MOST_OFF_RATIO) and least >= 0.0 and drifted < 1.0)


def _figure(learnt: Learnt) -> _Figure:
    return _Figure(
        learnt.built_log_ratio,
        learnt.bias_k,
        learnt.covariance,
        learnt.drift_log_ratio,
        learnt.scatter_squares,
        learnt.lessons_count,
    )


def _learnt(figure: _Figure) -> Learnt:
    return Learnt(
        built_log_ratio=figure.built_log_ratio,
        bias_k=figure.bias_k,
        covariance=figure.covariance,
        drift_log_ratio=figure.drift_log_ratio,
        scatter_squares=figure.scatter_squares,
        lessons_count=figure.lessons_count,
    )
