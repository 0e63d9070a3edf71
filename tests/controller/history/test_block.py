from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from controller.history.block import (
    decode_count,
    decode_gauge,
    encode_count,
    encode_gauge,
    shape_of,
)
from fleet.errors import MalformedMessageError
from fleet.frame import MISSING_COUNT
from tests.controller.history.kept import noise

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)
FLOATS = hnp.arrays(
    np.float32, SHAPES, elements=st.floats(width=32, allow_nan=False, allow_infinity=True)
)


def same_bits(left: np.ndarray, right: np.ndarray) -> bool:
    absent = np.isnan(left)
    return bool(
        (absent == np.isnan(right)).all()
        and (left.view(np.uint32)[~absent] == right.view(np.uint32)[~absent]).all()
    )


@given(values=FLOATS, data=st.data())
def test_any_gauge_comes_back_bit_for_bit(values: np.ndarray, data: st.DataObject) -> None:
    absent = data.draw(hnp.arrays(np.bool_, values.shape))
    values[absent] = np.nan

    encoded, _ = encode_gauge(values)

    assert same_bits(decode_gauge(encoded), values)


@given(hnp.arrays(np.uint64, SHAPES, elements=st.integers(0, 2**64 - 1)))
def test_any_counter_comes_back(values: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_count(encode_count(values)), values)


def test_missing_counts_stay_missing_and_cost_little() -> None:
    values = np.full((10, 60), 2**40, dtype=np.uint64)
    values[3, 7] = MISSING_COUNT

    encoded = encode_count(values)

    assert decode_count(encoded)[3, 7] == MISSING_COUNT
    assert len(encoded) < values.size


@pytest.mark.parametrize(("step", "grid"), [(1.0, 0), (0.1, 1), (0.01, 2), (0.001, 3)])
def test_a_sensor_with_decimal_steps_costs_less_than_two_bytes(step: float, grid: int) -> None:
    rng = np.random.default_rng(3)
    steps = np.cumsum(rng.integers(-3, 4, (144, 60)), axis=1) + 700
    values = (steps * step).astype(np.float32)

    encoded, fitted = encode_gauge(values)

    assert fitted == grid
    assert len(encoded) < 1.0 * values.size
    assert same_bits(decode_gauge(encoded), values)


def test_negative_zero_and_infinities_are_kept() -> None:
    values = np.array([[-0.0, 0.0, np.inf, -np.inf, 1e30]], dtype=np.float32)

    assert same_bits(decode_gauge(encode_gauge(values)[0]), values)


@given(cut=st.integers(0, 200), place=st.integers(0, 400), bit=st.integers(0, 7))
def test_damage_is_an_error_or_the_same_shape(cut: int, place: int, bit: int) -> None:
    values = np.random.default_rng(1).normal(60, 1, (5, 20)).astype(np.float32)
    encoded = bytearray(encode_gauge(values)[0])
    encoded[place % len(encoded)] ^= 1 << bit
    for damaged in (bytes(encoded), bytes(encoded)[:cut]):
        with suppress(MalformedMessageError):
            assert decode_gauge(damaged).ndim == 2


def test_the_two_zeros_stay_apart() -> None:
    values = np.array([[-0.0, 0.0]], np.float32)
    assert same_bits(decode_gauge(encode_gauge(values)[0]), values)


def test_some_rows_alone_are_those_of_the_whole() -> None:
    rng = np.random.default_rng(3)
    gauges = (rng.integers(400, 900, (12, 60)) / 10).astype(np.float32)
    gauges[5, 7:9] = np.nan
    counts = rng.integers(0, 2**62, (12, 60)).astype(np.uint64)
    odd = rng.random((12, 60)).astype(np.float32)
    steady = np.repeat(gauges[:, :1], 60, axis=1)
    for rows in (slice(None), slice(4, 6), slice(1, 12, 4), slice(0)):
        for gauge in (gauges, odd, steady, np.full_like(odd, np.nan)):
            body, _ = encode_gauge(gauge)
            assert same_bits(decode_gauge(body, rows), gauge[rows])
            assert shape_of(body) == gauge.shape
        np.testing.assert_array_equal(decode_count(encode_count(counts), rows), counts[rows])


def test_threads_compress_side_by_side() -> None:
    values = np.cumsum(np.ones((400, 600), np.float32), axis=1) / np.float32(3)
    wanted, _ = encode_gauge(values)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: encode_gauge(values)[0], range(40)))
    assert found == [wanted] * 40


@given(
    grid=st.integers(0, 4),
    rows=hnp.arrays(
        np.int64,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.one_of(
            st.integers(-200, 200),
            st.integers(2**22 - 3, 2**22 + 3),
            st.integers(-(2**24) - 3, -(2**24) + 3),
            st.integers(-(2**30), 2**30),
        ),
    ),
)
def test_whole_steps_of_a_grid_come_back_bit_for_bit(grid: int, rows: np.ndarray) -> None:
    values = (rows / 10.0**grid).astype(np.float32)
    body, found = encode_gauge(values, grid)
    np.testing.assert_array_equal(decode_gauge(body).view(np.uint32), values.view(np.uint32))
    if np.abs(rows).max() < 2**21 and not (rows == rows[:, :1]).all():
        assert found == grid


@given(values=FLOATS, ticks=st.integers(1, 12), data=st.data())
def test_the_first_ticks_alone_are_those_of_the_whole(
    values: np.ndarray, ticks: int, data: st.DataObject
) -> None:
    if data.draw(st.booleans()):
        values = np.round(np.nan_to_num(values, posinf=9, neginf=-9) % 1000, 1)
    if data.draw(st.booleans()):
        values[data.draw(hnp.arrays(np.bool_, values.shape))] = np.nan
    body, _ = encode_gauge(values)
    rows, first = slice(len(values) // 2), slice(ticks)
    assert same_bits(decode_gauge(body, rows, first), values[rows, first])
    counts = np.minimum(np.nan_to_num(np.abs(values)), 1e9).astype(np.uint64)
    counts[np.isnan(values)] = MISSING_COUNT
    found = decode_count(encode_count(counts), rows, first)
    np.testing.assert_array_equal(found, counts[rows, first])


def test_threads_open_blocks_side_by_side() -> None:
    blocks = [noise(144, 60, seed=seed) for seed in range(40)]
    bodies = [encode_gauge(block)[0] for block in blocks]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for found, block in zip(pool.map(decode_gauge, bodies), blocks, strict=True):
                assert same_bits(found, block)
