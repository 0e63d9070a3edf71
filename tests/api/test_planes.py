import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from api.planes import (
    ABOVE,
    HEADER_BYTES,
    NO_DATA,
    PLANES,
    Plane,
    decode_plane,
    encode_plane,
    topology_epoch,
)
from fleet.errors import MalformedMessageError
from fleet.frame import FloatBlock
from fleet.metrics import BY_NAME, Scope
from fleet.topology import FleetMap, trn3_datacenter

COLUMNS = hnp.arrays(np.float32, st.integers(0, 300), elements=st.floats(width=32))


def encoded(plane: Plane, values: FloatBlock) -> bytes:
    return encode_plane(plane, values, epoch=5, tick=9, age_s=0.5)


@given(plane=st.sampled_from(PLANES), values=COLUMNS)
def test_what_is_drawn_is_within_half_a_step_of_what_was_measured(
    plane: Plane, values: FloatBlock
) -> None:
    drawn = decode_plane(encoded(plane, values)).values
    inside = (values >= plane.low) & (values <= plane.high)
    step = np.float64(plane.scale)
    error = np.abs(drawn[inside].astype(np.float64) - values[inside])
    assert (error <= step * 0.5001 + 1e-4).all()
    assert np.isnan(drawn[np.isnan(values)]).all()
    assert (drawn[values < plane.low] == np.float32(plane.low)).all()
    assert np.isinf(drawn[values > plane.high + step]).all()


@given(data=st.binary(max_size=80))
def test_arbitrary_bytes_are_refused_or_read_but_never_crash(data: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        decode_plane(data)


@given(cut=st.integers(0, HEADER_BYTES + 9))
def test_a_truncated_frame_is_refused(cut: int) -> None:
    frame = encoded(PLANES[0], np.full(10, 50, np.float32))
    with pytest.raises(MalformedMessageError):
        decode_plane(frame[:cut])


def test_header_is_laid_out_as_the_protocol_says() -> None:
    frame = encoded(PLANES[1], np.array([np.nan, 20, 110, 200], np.float32))
    assert HEADER_BYTES == 40
    head = struct.unpack("<4sBBBBIQIIfff", frame[:40])
    assert head[:9] == (b"ISM1", 1, 0, 1, 0, 5, 9, 0, 4)
    assert head[9:] == pytest.approx((90 / 253, 20.0, 0.5))
    assert list(frame[40:]) == [NO_DATA, 0, 253, ABOVE]


def test_planes_draw_metrics_of_chips_under_stable_ids() -> None:
    assert [plane.id for plane in PLANES] == list(range(len(PLANES)))
    assert all(BY_NAME[plane.metric].scope is Scope.CHIP for plane in PLANES)
    assert PLANES[0].metric == "junction_c"


def test_epoch_tells_layouts_apart_and_is_the_same_in_every_process() -> None:
    two, four = FleetMap(trn3_datacenter()), FleetMap(trn3_datacenter(ultraservers=4))
    assert topology_epoch(two) == topology_epoch(FleetMap(trn3_datacenter()))
    assert topology_epoch(two) != topology_epoch(four)
    assert 0 <= topology_epoch(two) < 2**32
