import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import guard
from agent.guard import (
    LEVELS,
    Act,
    GuardLevel,
    GuardSettings,
    GuardState,
    Readings,
    TripReason,
    reset,
    start,
    step,
)
from fleet.errors import CommandRefusedError, ConfigurationError

SETTINGS = GuardSettings()
CHIPS = 4
CALM = Readings(junction_c=(60.0,) * CHIPS, flow_lpm=6.0, leak_critical=False, powered=True)
NOTHING = Readings(
    junction_c=(math.nan,) * CHIPS, flow_lpm=math.nan, leak_critical=None, powered=None
)


def run(
    rows: list[Readings], state: GuardState | None = None, *, begin_s: float = 0.0
) -> tuple[GuardState, list[tuple[Act, ...]]]:
    """One reading a second."""
    state = state or guard.start(CHIPS, begin_s)
    acts = []
    for second, readings in enumerate(rows, start=1):
        state, done = guard.step(SETTINGS, state, readings, begin_s + second)
        acts.append(done)
    return state, acts


def hot(celsius: float, chip: int = 2) -> Readings:
    return replace(CALM, junction_c=tuple(celsius if row == chip else 60.0 for row in range(CHIPS)))


def test_calm_readings_do_nothing() -> None:
    state, acts = run([CALM] * 100)
    assert state.level is GuardLevel.NONE
    assert not any(acts)


def test_lost_flow_sheds_at_the_second_tick() -> None:
    state, acts = run([replace(CALM, flow_lpm=0.5)] * 2)
    assert acts == [(), (Act.SHED,)]
    assert (state.level, state.reason) == (GuardLevel.SHED, TripReason.LOSS_OF_FLOW)


def test_flow_that_does_not_come_back_ends_in_off_after_30_s() -> None:
    low = replace(CALM, flow_lpm=0.5)
    state, acts = run([low] * 31)
    assert state.level is GuardLevel.SHED
    state, acts = run([low], state, begin_s=31)
    assert (state.level, acts[-1]) == (GuardLevel.OFF, (Act.POWER_OFF,))


def test_flow_that_comes_back_in_time_saves_the_sled() -> None:
    low = replace(CALM, flow_lpm=0.5)
    state, _ = run([low] * 20 + [CALM] + [replace(CALM, flow_lpm=math.nan)] * 100)
    assert state.level is GuardLevel.SHED


def test_low_flow_of_a_cold_sled_is_no_danger() -> None:
    cold = replace(CALM, flow_lpm=0.5, junction_c=(30.0,) * CHIPS)
    assert run([cold] * 50)[0].level is GuardLevel.NONE


def test_low_flow_of_a_sled_that_is_off_is_no_danger() -> None:
    assert run([replace(CALM, flow_lpm=0.0, powered=False)] * 50)[0].level is GuardLevel.NONE


def test_one_hot_sample_trips_nothing() -> None:
    assert run([CALM, hot(128.0), CALM, hot(128.0), CALM])[0].level is GuardLevel.NONE


def test_a_hot_chip_sheds_and_a_hotter_one_goes_off() -> None:
    state, acts = run([hot(96.0)] * 2)
    assert (state.level, state.reason) == (GuardLevel.SHED, TripReason.OVER_TEMPERATURE)
    state, acts = run([hot(104.0)] * 2, state, begin_s=2)
    assert (state.level, acts[-1]) == (GuardLevel.OFF, (Act.POWER_OFF,))


def test_a_hot_chip_whose_sensor_dies_is_still_counted() -> None:
    state, _ = run([hot(96.0), hot(math.nan), hot(math.nan), hot(96.0)])
    assert state.level is GuardLevel.SHED


def test_a_confirmed_leak_switches_off() -> None:
    leak = replace(CALM, leak_critical=True)
    assert run([leak])[0].level is GuardLevel.NONE
    state, _ = run([leak, leak])
    assert (state.level, state.reason) == (GuardLevel.OFF, TripReason.LEAK)


def test_no_temperatures_for_10_s_sheds() -> None:
    assert run([NOTHING] * 9)[0].level is GuardLevel.NONE
    state, _ = run([NOTHING] * 10)
    assert (state.level, state.reason) == (GuardLevel.SHED, TripReason.BLIND)


def test_off_is_latched_until_a_person_resets_it() -> None:
    off, _ = run([replace(CALM, leak_critical=True)] * 2)
    still, _ = run([CALM] * 10_000, off, begin_s=2)
    assert still.level is GuardLevel.OFF
    state, acts = guard.reset(SETTINGS, still, CALM, 10_010.0)
    assert (state.level, acts) == (GuardLevel.NONE, (Act.RESTORE, Act.OPEN, Act.POWER_ON))


def test_a_reset_is_refused_while_the_danger_is_measured() -> None:
    leak = replace(CALM, leak_critical=True)
    off, _ = run([leak] * 2)
    with pytest.raises(CommandRefusedError, match="a leak is still measured"):
        guard.reset(SETTINGS, off, leak, 3.0)


def test_off_is_said_again_until_the_sled_is_off() -> None:
    leak = replace(CALM, leak_critical=True)
    _, acts = run([leak] * 8)
    assert [bool(done) for done in acts] == [False, True, False, False, False, False, True, False]
    _, acts = run([leak] * 3 + [replace(leak, powered=False)] * 20)
    assert [done for done in acts if done] == [(Act.POWER_OFF, Act.ISOLATE)]


def test_a_shed_lifts_after_a_calm_minute() -> None:
    shed, _ = run([hot(96.0)] * 2)
    _, acts = run([CALM] * 62, shed, begin_s=2)
    assert acts[59] != (Act.RESTORE,)
    assert (Act.RESTORE,) in acts


def test_the_third_shed_of_an_hour_stays() -> None:
    state = guard.start(CHIPS, 0.0)
    for number in range(3):
        state, _ = run([hot(96.0)] * 2 + [CALM] * 70, state, begin_s=number * 100.0)
    assert state.level is GuardLevel.SHED


def test_a_level_that_is_remembered_is_enforced_at_once() -> None:
    state = guard.start(CHIPS, 0.0, level=GuardLevel.OFF, reason=TripReason.LEAK)
    assert guard.step(SETTINGS, state, CALM, 1.0)[1] == (Act.POWER_OFF,)


@pytest.mark.parametrize(
    "wrong",
    [
        GuardSettings(calm_junction_c=99.0),
        GuardSettings(expected_flow_lpm=0.0),
        GuardSettings(confirm_ticks=0),
    ],
)
def test_settings_that_can_not_protect_are_refused(wrong: GuardSettings) -> None:
    with pytest.raises(ConfigurationError):
        wrong.validate()


temperatures = st.one_of(st.just(math.nan), st.floats(20.0, 125.0))
readings = st.builds(
    Readings,
    junction_c=st.tuples(*(temperatures,) * CHIPS),
    flow_lpm=st.one_of(st.just(math.nan), st.floats(0.0, 10.0)),
    leak_critical=st.sampled_from([True, False, None]),
    powered=st.sampled_from([True, False, None]),
)


@given(st.lists(readings, max_size=30), readings, st.lists(st.booleans(), min_size=7, max_size=7))
def test_missing_data_never_lowers_a_level_or_a_count(
    history: list[Readings], last: Readings, hidden: list[bool]
) -> None:
    state, _ = run(history)
    seen = Readings(
        junction_c=tuple(
            math.nan if hide else celsius
            for celsius, hide in zip(last.junction_c, hidden, strict=False)
        ),
        flow_lpm=math.nan if hidden[4] else last.flow_lpm,
        leak_critical=None if hidden[5] else last.leak_critical,
        powered=None if hidden[6] else last.powered,
    )
    after, acts = guard.step(SETTINGS, state, seen, 100.0)
    missing = any(hidden) or any(map(math.isnan, last.junction_c))
    if missing:
        assert LEVELS.index(after.level) >= LEVELS.index(state.level)
        assert Act.RESTORE not in acts
    for chip, hide in enumerate(hidden[:CHIPS]):
        if hide:
            assert after.hot_ticks[chip] == state.hot_ticks[chip]


@given(st.lists(readings, max_size=60))
def test_only_a_person_switches_on_and_off_never_lifts(rows: list[Readings]) -> None:
    state = guard.start(CHIPS, 0.0)
    was_off = False
    for second, row in enumerate(rows):
        state, acts = guard.step(SETTINGS, state, row, float(second))
        assert Act.POWER_ON not in acts
        assert not was_off or state.level is GuardLevel.OFF
        was_off = state.level is GuardLevel.OFF


@given(st.lists(st.just(NOTHING), max_size=200))
def test_silence_alone_never_switches_off(rows: list[Readings]) -> None:
    assert run(rows)[0].level is not GuardLevel.OFF


@given(st.lists(readings, max_size=20), st.floats(95.0, 130.0), st.integers(0, CHIPS - 1))
def test_whatever_came_before_two_hot_ticks_cap_the_power(
    history: list[Readings], celsius: float, chip: int
) -> None:
    state, _ = run(history)
    state, _ = run([hot(celsius, chip)] * 2, state, begin_s=50.0)
    assert state.level is not GuardLevel.NONE


def test_a_shed_of_an_air_cooled_host_lifts_though_it_has_no_flow() -> None:
    settings = replace(SETTINGS, liquid=False)
    calm, state = replace(CALM, flow_lpm=math.nan), guard.start(CHIPS, 0.0)
    rows = [replace(hot(97.0), flow_lpm=math.nan)] * 2 + [calm] * 70
    acts: list[Act] = []
    for second, readings in enumerate(rows, start=1):
        state, done = guard.step(settings, state, readings, float(second))
        acts += done
    assert (acts[0], acts[-1]) == (Act.SHED, Act.RESTORE)
    assert state.level is GuardLevel.NONE


def told(*, flow_lpm: float, junction_c: float, leak: bool = False) -> Readings:
    return Readings(
        junction_c=(junction_c, junction_c - 2.0),
        flow_lpm=flow_lpm,
        leak_critical=leak,
        powered=True,
    )


def test_flow_that_goes_while_a_die_warms_sheds_without_a_second_look() -> None:
    settings = GuardSettings()
    state = start(2, 0.0)
    for second in range(1, 11):
        state, acts = step(settings, state, told(flow_lpm=6.0, junction_c=74.0), float(second))
        assert acts == ()
    # Coast-down of 2 s behind a meter of 1 s: the second tick shows 4.1, the third 2.9 l/min.
    state, acts = step(settings, state, told(flow_lpm=4.1, junction_c=75.0), 11.0)
    assert acts == ()
    state, acts = step(settings, state, told(flow_lpm=2.9, junction_c=77.0), 12.0)
    assert acts == (Act.SHED,)
    assert state.reason is TripReason.LOSS_OF_FLOW


@given(st.floats(0.56, 1.0), st.floats(50.0, 90.0), st.floats(0.0, 20.0))
def test_one_pump_of_two_or_a_load_step_alone_is_no_loss(
    share: float, junction_c: float, step_k: float
) -> None:
    settings = GuardSettings()
    state = start(2, 0.0)
    for second in range(1, 11):
        calm = told(flow_lpm=6.0, junction_c=junction_c - 2.0)
        state, _ = step(settings, state, calm, float(second))
    hot = min(junction_c + step_k, settings.shed_junction_c - 1.0)
    for second in range(11, 31):
        state, acts = step(settings, state, told(flow_lpm=6.0 * share, junction_c=hot), second)
        assert acts == ()


def test_a_leak_shuts_the_branch_and_a_reset_opens_it_before_there_is_power() -> None:
    settings = GuardSettings()
    state = start(2, 0.0)
    wet = told(flow_lpm=6.0, junction_c=60.0, leak=True)
    state, _ = step(settings, state, wet, 1.0)
    state, acts = step(settings, state, wet, 2.0)
    assert acts == (Act.POWER_OFF, Act.ISOLATE)
    dry = told(flow_lpm=0.0, junction_c=30.0)
    state, acts = reset(settings, state, dry, 60.0)
    assert acts == (Act.RESTORE, Act.OPEN, Act.POWER_ON)
    assert state.level is GuardLevel.NONE


def test_a_sled_that_was_shed_while_its_flow_coasted_down_still_goes_off() -> None:
    settings = GuardSettings()
    state = start(2, 0.0)
    flows = [6.0] * 10 + [4.1, 2.9, 2.0, 1.2] + [0.0] * 60
    acts: list[tuple[int, Act]] = []
    for second, flow_lpm in enumerate(flows, start=1):
        hot = 74.0 if flow_lpm == 6.0 else 78.0
        state, found = step(settings, state, told(flow_lpm=flow_lpm, junction_c=hot), second)
        acts += [(second, act) for act in found if act is not Act.SHED or not acts]
    assert acts[0] == (11 + 1, Act.SHED)
    assert state.level is GuardLevel.OFF
    assert acts[-1][1] is Act.POWER_OFF
    off_s = next(second for second, act in acts if act is Act.POWER_OFF)
    assert off_s <= 12 + settings.flow_return_s + 3


def test_flow_that_is_gone_in_two_readings_needs_no_die_to_show_it() -> None:
    state = guard.start(4, 0.0)
    acts: tuple[Act, ...] = ()
    # 1 s of coast-down and of the meter's lag at a time.
    for now_s, flow_lpm in enumerate((7.5, 7.5, 7.5, 5.8, 3.9, 2.2)):
        assert not acts, "not before the second reading"
        readings = Readings(
            junction_c=(76.0,) * 4, flow_lpm=flow_lpm, leak_critical=False, powered=True
        )
        state, acts = guard.step(GuardSettings(), state, readings, float(now_s))
    assert acts == (Act.SHED,)


def test_one_pump_of_two_and_one_bad_reading_shed_nothing() -> None:
    for course in ((7.5, 6.4, 5.4, 5.0, 5.1, 5.3), (7.5, 7.5, 0.7, 7.5, 7.5, 7.5)):
        state = guard.start(4, 0.0)
        for now_s, flow_lpm in enumerate(course):
            readings = Readings(
                junction_c=(76.0,) * 4, flow_lpm=flow_lpm, leak_critical=False, powered=True
            )
            state, acts = guard.step(GuardSettings(), state, readings, float(now_s))
            assert acts == ()
