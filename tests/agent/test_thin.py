import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from agent.thin import Thinner
from fleet.codec import decode_message, encode_message
from fleet.errors import MalformedMessageError
from fleet.frame import STATS, Column, FloatBlock, Frame, Reporter, Schema, sled_schema, stat_schema

SCHEMA = Schema(
    reporter=Reporter.SLED,
    columns=(Column("junction_c", 0), Column("coolant_flow_lpm", 0)),
    counters=(Column("ecc_corrected_total", 0),),
)
THINNER = Thinner([SCHEMA])
S = 10**9


def ticks(values: FloatBlock) -> list[Frame]:
    return [
        Frame(
            agent="s",
            epoch=2,
            seq=5 + number,
            schema_id=SCHEMA.id,
            t0_unix_ns=(100 + number) * S,
            dt_ns=S,
            values=row[None],
            counters=np.array([[2**60 + number]], np.uint64),
        )
        for number, row in enumerate(values)
    ]


def stats(frame: Frame) -> dict[str, FloatBlock]:
    return dict(zip(STATS, np.split(frame.values[0], len(STATS)), strict=True))


readings = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 120), st.just(2)),
    elements=st.floats(-1000, 1000, width=32) | st.just(np.nan),
)


@given(values=readings)
def test_statistics_are_those_of_the_values_that_were_read(values: FloatBlock) -> None:
    [thinned] = THINNER.merge(ticks(values), 10 * S)
    found = stats(thinned)
    for column in range(2):
        read = values[~np.isnan(values[:, column]), column].astype(np.float64)
        assert found["count"][column] == len(read)
        if len(read):
            assert found["min"][column] == read.min()
            assert found["max"][column] == read.max()
            assert found["mean"][column] == pytest.approx(read.mean(), rel=1e-5, abs=1e-4)
        else:
            assert all(np.isnan(found[stat][column]) for stat in ("min", "max", "mean"))


@given(values=readings, width=st.integers(1, 20))
def test_thinning_in_two_steps_is_thinning_at_once(values: FloatBlock, width: int) -> None:
    frames = ticks(values)
    groups = [frames[at : at + width] for at in range(0, len(frames), width)]
    halfway = [one for group in groups for one in THINNER.merge(group, 10 * S)]
    [twice] = THINNER.merge(halfway, 60 * S)
    [once] = THINNER.merge(frames, 60 * S)
    np.testing.assert_allclose(twice.values, once.values, rtol=1e-5, atol=1e-3)
    assert (twice.seq, twice.t0_unix_ns) == (once.seq, once.t0_unix_ns)


def test_name_beginning_and_exact_counters_stay() -> None:
    [thinned] = THINNER.merge(ticks(np.zeros((10, 2), np.float32)), 10 * S)
    assert (thinned.agent, thinned.epoch, thinned.seq) == ("s", 2, 14)
    assert (thinned.t0_unix_ns, thinned.dt_ns) == (100 * S, 10 * S)
    assert thinned.counters.tolist() == [[2**60 + 9]]
    assert thinned.schema_id == stat_schema(SCHEMA).id
    there = decode_message(encode_message("l", [thinned])).frames[0]
    assert there.schema_id == stat_schema(SCHEMA).id
    assert len(stat_schema(SCHEMA).columns) == there.values.shape[1]


def test_agents_and_lives_are_kept_apart() -> None:
    [a] = ticks(np.ones((1, 2), np.float32))
    others = [
        Frame(
            agent=agent,
            epoch=epoch,
            seq=1,
            schema_id=a.schema_id,
            t0_unix_ns=a.t0_unix_ns,
            dt_ns=S,
            values=a.values,
            counters=a.counters,
        )
        for agent, epoch in (("s", 3), ("t", 2))
    ]
    assert len(THINNER.merge([a, *others], 10 * S)) == 3


def test_an_unknown_schema_or_a_wide_enough_frame_does_not_fit() -> None:
    [frame] = ticks(np.ones((1, 2), np.float32))
    assert THINNER.fits(frame, 10 * S)
    assert not THINNER.fits(frame, S)
    assert not Thinner([sled_schema(4)]).fits(frame, 10 * S)


def test_what_would_be_too_wide_is_never_thinned() -> None:
    wide = Schema(
        reporter=Reporter.SLED,
        columns=tuple(Column("junction_c", part) for part in range(2000)),
        counters=(),
    )
    with pytest.raises(MalformedMessageError, match="too wide"):
        stat_schema(wide)
    assert Thinner([wide]).stats == {}
