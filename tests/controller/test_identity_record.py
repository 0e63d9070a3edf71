from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.cooling.settings import CoolingSettings
from controller.identity_record import decode_identity, encode_identity, hardware_in
from fleet.errors import MalformedMessageError
from tests.controller.learnt import make_identity
from thermal.model import identity

CHIPS = 16
SETTINGS = CoolingSettings.sized(CHIPS)
WHOLE = encode_identity(make_identity(CHIPS, ua_drift_ratio=-0.12, worn={3: 0.15}))


def test_what_was_learnt_comes_back() -> None:
    before = make_identity(CHIPS, ua_drift_ratio=-0.12, worn={3: 0.15})
    after = decode_identity(WHOLE, SETTINGS, CHIPS)
    was = identity.summary(SETTINGS.identity, SETTINGS.model, before)
    told = identity.summary(SETTINGS.identity, SETTINGS.model, after)
    assert told.ua_drift_ratio == pytest.approx(was.ua_drift_ratio)
    assert told.fouled(SETTINGS.identity)
    assert (told.worst_chip, told.worn_chips) == (3, 1)
    assert told.transit_s == pytest.approx(was.transit_s, nan_ok=True)
    np.testing.assert_allclose(
        after.plates.resistance_k_per_w, before.plates.resistance_k_per_w, rtol=1e-6
    )
    assert after.leakage.weights == before.leakage.weights


def test_marks_of_the_hardware_come_back() -> None:
    assert len(hardware_in(WHOLE)) == 0
    marks = np.arange(CHIPS, dtype=np.uint32) + 2**31
    data = encode_identity(make_identity(CHIPS), marks)
    decode_identity(data, SETTINGS, CHIPS)
    np.testing.assert_array_equal(hardware_in(data), marks)


def test_a_loop_of_1440_chips_takes_forty_kilobytes() -> None:
    assert len(encode_identity(make_identity(1440))) < 41_000


def test_bytes_of_another_loop_or_version_are_refused() -> None:
    with pytest.raises(MalformedMessageError, match="of 16 chips, and the loop has 17"):
        decode_identity(WHOLE, CoolingSettings.sized(17), 17)
    newer = msgspec.msgpack.decode(WHOLE)
    newer[0] += 1
    with pytest.raises(MalformedMessageError, match="only 1 is read"):
        decode_identity(msgspec.msgpack.encode(newer), SETTINGS, CHIPS)


def spoilt(column: int, value: float) -> Callable[[list[Any]], None]:
    def spoil(fields: list[Any]) -> None:
        columns = np.frombuffer(fields[2], "<f4").reshape(7, -1).copy()
        columns[column, 5] = value
        fields[2] = columns.tobytes()

    return spoil


def in_figure(field: int, at: int, value: object) -> Callable[[list[Any]], None]:
    def spoil(fields: list[Any]) -> None:
        fields[field][at] = value

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        spoilt(0, float("nan")),
        spoilt(0, -0.03),
        spoilt(0, 99.0),
        spoilt(2, -1e-6),
        spoilt(3, 1.0),  # no covariance: rr bb < rb rb
        spoilt(5, -1.5),
        spoilt(6, -1.0),
        in_figure(3, 0, 9.0),
        in_figure(4, 3, float("inf")),
        in_figure(5, 2, float("nan")),
        lambda fields: fields[5].pop(),
        lambda fields: fields[9].pop(),
        lambda fields: fields.__setitem__(9, [0.0] * 8 + [-1.0]),
        lambda fields: fields.__setitem__(10, b"123"),
    ],
)
def test_figures_that_no_loop_has_are_refused(spoil: Callable[[list[Any]], None]) -> None:
    fields = msgspec.msgpack.decode(WHOLE)
    spoil(fields)
    with pytest.raises(MalformedMessageError):
        decode_identity(msgspec.msgpack.encode(fields), SETTINGS, CHIPS)


@given(st.one_of(st.binary(max_size=300), st.integers(0, len(WHOLE)).map(lambda n: WHOLE[:n])))
def test_nonsense_is_refused_in_words_or_read_whole(data: bytes) -> None:
    if data == WHOLE:
        return
    with pytest.raises(MalformedMessageError):
        decode_identity(data, SETTINGS, CHIPS)


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_a_flipped_byte_never_gives_figures_that_break_learning(at: int, byte: int) -> None:
    data = WHOLE[:at] + bytes((byte,)) + WHOLE[at + 1 :]
    try:
        found = decode_identity(data, SETTINGS, CHIPS)
    except MalformedMessageError:
        return
    told = identity.summary(SETTINGS.identity, SETTINGS.model, found)
    assert np.isfinite(told.plate_ratio)
