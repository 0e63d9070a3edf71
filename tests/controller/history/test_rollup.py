import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from controller.history.levels import LEVELS, SECONDS, choose, coarser, finer, level_of
from controller.history.rollup import (
    Rolled,
    Stat,
    Steps,
    Values,
    coarsen,
    concatenate,
    decode_rolled,
    encode_rolled,
    fold,
)
from fleet.clock import NS_PER_S
from fleet.errors import ConfigurationError
from fleet.frame import MISSING_COUNT, STATS
from tests.controller.history.kept import T0_NS, noise, times

TEN = LEVELS[0]


def by_hand(at: NDArray[np.int64], values: NDArray[np.float32], parts: int) -> Rolled:
    """The same statistics, one step at a time."""
    found = {stat: np.full((len(values), TEN.points), np.nan) for stat in Stat}
    for row, ticks in enumerate(values):
        when = at[row // parts]
        for step in range(TEN.points):
            first = T0_NS + step * TEN.step_ns
            inside = np.flatnonzero((when >= first) & (when < first + TEN.step_ns))
            inside = inside[np.argsort(when[inside], kind="stable")]
            held = ticks[inside][~np.isnan(ticks[inside])].astype(np.float64)
            found[Stat.COUNT][row, step] = len(held)
            found[Stat.NAN_COUNT][row, step] = len(inside) - len(held)
            if len(held):
                found[Stat.MIN][row, step], found[Stat.MAX][row, step] = held.min(), held.max()
                found[Stat.MEAN][row, step], found[Stat.LAST][row, step] = held.mean(), held[-1]
    return found


def assert_same(rolled: Rolled, wanted: Rolled) -> None:
    assert set(rolled) == set(wanted)
    for stat in wanted:
        # A sum of values up to 1e3 that cancel is not known to more than 1e-9 in either order, and
        # single precision keeps only some digits of what is smaller than its normal numbers.
        np.testing.assert_allclose(
            rolled[stat].astype(np.float64), wanted[stat].astype(np.float64), rtol=1e-6, atol=1e-9
        )


@given(
    values=hnp.arrays(
        np.float32,
        (4, 40),
        elements=st.one_of(st.just(np.nan), st.floats(-1e3, 1e3, width=32)),
    ),
    offsets=hnp.arrays(np.int64, (2, 40), elements=st.integers(-5, 700)),
)
def test_steps_are_what_one_reckons_by_hand(
    values: NDArray[np.float32], offsets: NDArray[np.int64]
) -> None:
    """In any order, with holes, and beyond the span."""
    at = np.where(offsets < 0, -1, T0_NS + offsets * NS_PER_S)
    assert_same(Steps(at, 2, TEN, T0_NS).roll(values), by_hand(at, values, 2))


def test_counters_stay_exact() -> None:
    big = 2**60
    values = (np.arange(20, dtype=np.uint64) + np.uint64(big))[None]
    values[0, 3] = MISSING_COUNT
    rolled = Steps(times(1, 20), 1, TEN, T0_NS).roll(values)
    assert int(rolled[Stat.MIN][0, 0]) == big
    assert int(rolled[Stat.MAX][0, 0]) == int(rolled[Stat.LAST][0, 0]) == big + 9
    assert rolled[Stat.COUNT][0, :3].tolist() == [9, 10, 0]
    assert rolled[Stat.NAN_COUNT][0, :3].tolist() == [1, 0, 0]
    assert int(rolled[Stat.MAX][0, 5]) == MISSING_COUNT
    assert_same(coarsen(coarsen(rolled, 2), 3), coarsen(rolled, 6))
    assert int(coarsen(rolled, 6)[Stat.MAX][0, 1]) == MISSING_COUNT


def test_coarse_steps_from_fine_ones_are_those_of_the_ticks() -> None:
    values, at = noise(3, 600), times(3, 600)
    values[1, 100:160] = np.nan
    spans = [
        Steps(at, 1, SECONDS, start).roll(values)
        for start in range(T0_NS, T0_NS + TEN.span_ns, SECONDS.span_ns)
    ]
    assert_same(coarsen(concatenate(spans), 10), Steps(at, 1, TEN, T0_NS).roll(values))


def test_what_comes_late_is_folded_in() -> None:
    values, at = noise(2, 300), times(2, 300)
    late = np.zeros(300, np.bool_)
    late[50:120] = True
    first = Steps(np.where(late, -1, at), 1, TEN, T0_NS).roll(values)
    second = Steps(np.where(late, at, -1), 1, TEN, T0_NS).roll(values)
    folded, whole = fold(second, first), Steps(at, 1, TEN, T0_NS).roll(values)
    assert_same({Stat.MEAN: folded[Stat.MEAN]}, {Stat.MEAN: whole[Stat.MEAN]})
    assert_same({Stat.COUNT: folded[Stat.COUNT]}, {Stat.COUNT: whole[Stat.COUNT]})


@pytest.mark.parametrize("metric", ["junction_c", "hbm_ecc_corrected_total"])
def test_kept_statistics_come_back(metric: str) -> None:
    values: Values = noise(4, 600)
    if metric.endswith("_total"):
        values = values.astype(np.uint64)
    rolled = Steps(times(4, 600), 1, TEN, T0_NS).roll(values)
    back = decode_rolled(metric, encode_rolled(rolled))
    for stat in Stat:
        np.testing.assert_array_equal(back[stat], rolled[stat])
        assert back[stat].dtype == rolled[stat].dtype


def test_levels_hold_each_other() -> None:
    for level in LEVELS:
        below, above = finer(level), coarser(level)
        assert below is None or (level.span_s % below.span_s, level.step_s % below.step_s) == (0, 0)
        assert above is None or finer(above) is level
        assert level_of(level.step_s) is level


@pytest.mark.parametrize(
    ("span_s", "step_s"), [(600, 1), (2000, 1), (2001, 10), (86_400, 60), (10 * 86_400, 600)]
)
def test_the_finest_level_that_fits_is_chosen(span_s: int, step_s: int) -> None:
    level = choose(T0_NS, T0_NS + span_s * NS_PER_S, 2000)
    assert (1 if level is None else level.step_s) == step_s


def test_more_time_than_the_coarsest_shows_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="less time or more points"):
        choose(T0_NS, T0_NS + 30 * 86_400 * NS_PER_S, 2000)
    with pytest.raises(ConfigurationError, match="no step of 7 s"):
        level_of(7)


ANY_STATISTIC = hnp.arrays(
    np.float32,
    (2, 12),
    elements=st.floats(width=32, allow_nan=True, allow_infinity=True) | st.integers(0, 60),
)


@given(st.fixed_dictionaries(dict.fromkeys(STATS, ANY_STATISTIC)))
def test_whatever_senders_call_statistics_is_taken(stats: dict[str, NDArray[np.float32]]) -> None:
    rolled = Steps(times(2, 12), 1, TEN, T0_NS).roll_thin(stats)
    told = np.where(np.isfinite(stats["mean"]), np.nan_to_num(stats["count"]), 0)
    wanted = np.clip(told, 0, 86_400).astype(np.uint64).sum()
    assert rolled[Stat.COUNT].sum() == wanted
    np.testing.assert_array_equal(np.isnan(rolled[Stat.MEAN]), rolled[Stat.COUNT] == 0)
    assert np.isnan(rolled[Stat.LAST]).all()
