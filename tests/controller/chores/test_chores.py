"""Rolling up and deleting, by hand, on a clock that a test moves."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from controller.chores.schedule import Chores
from controller.chores.settings import ChoreSettings
from controller.history.levels import LEVELS, Level
from controller.history.rollup import Rolled, Stat, decode_rolled
from controller.store import Store
from controller.store.audit import AuditEntry
from fleet.clock import NS_PER_S, ManualClock
from fleet.errors import ConfigurationError
from fleet.frame import IntBlock
from tests.controller.history.kept import T0_NS, keep, noise, times

TEN, MINUTE, COARSE = LEVELS
GROUP = "h1/us01"
SEATS, PARTS = 2, 3
HOUR = 3600
VALUES = noise(SEATS * PARTS, HOUR)
AT = times(SEATS, HOUR)
SHORT = ChoreSettings(ticks_keep_s=1800.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path}/isotherm.db")
    yield opened
    opened.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(T0_NS)


def chores(store: Store, clock: ManualClock, settings: ChoreSettings | None = None) -> Chores:
    return Chores(store, clock, settings or ChoreSettings(), leads=lambda: True)


def hold(store: Store, at: IntBlock = AT) -> None:
    keep(store, GROUP, at, {"junction_c": VALUES})


def rolled(store: Store, level: Level) -> dict[int, Rolled]:
    with store.read() as tx:
        found = tx.rollups.of_group(
            level, GROUP, ("junction_c",), tuple(Stat), from_unix_ns=0, until_unix_ns=2**62
        )
        return {b.start_unix_ns: decode_rolled(b.metric, b.bodies) for b in found}


def test_an_hour_becomes_steps_of_every_level(store: Store, clock: ManualClock) -> None:
    hold(store)
    clock.advance(13 * 3600.0)
    round_ = chores(store, clock)
    round_.tick()
    tens, minutes, coarse = (rolled(store, level) for level in LEVELS)
    assert len(tens) == 6
    assert list(minutes) == [T0_NS]
    steps = VALUES.reshape(len(VALUES), -1, 60)
    np.testing.assert_array_equal(minutes[T0_NS][Stat.MIN], steps.min(axis=2))
    np.testing.assert_array_equal(minutes[T0_NS][Stat.LAST], steps[:, :, -1])
    np.testing.assert_allclose(minutes[T0_NS][Stat.MEAN], steps.mean(axis=2), rtol=1e-6)
    ((start, found),) = coarse.items()
    first = (T0_NS - start) // COARSE.step_ns
    assert found[Stat.COUNT].sum() == VALUES.size
    np.testing.assert_array_equal(
        found[Stat.MAX][:, first : first + 6], VALUES.reshape(len(VALUES), 6, -1).max(axis=2)
    )
    spans = round_.counts["spans_rolled"]
    round_.tick()
    assert round_.counts["spans_rolled"] == spans


def test_a_span_is_left_alone_until_it_is_over(store: Store, clock: ManualClock) -> None:
    hold(store)
    round_ = chores(store, clock)
    clock.advance(TEN.span_s + 119.0)
    round_.tick()
    assert rolled(store, TEN) == {}
    clock.advance(1.0)
    round_.tick()
    assert list(rolled(store, TEN)) == [T0_NS]


def test_a_late_window_has_its_span_rolled_up_again(store: Store, clock: ManualClock) -> None:
    late = np.zeros(HOUR, np.bool_)
    late[700:760] = True
    hold(store, np.where(late, -1, AT))
    clock.advance(2 * 3600.0)
    round_ = chores(store, clock)
    round_.tick()
    second = T0_NS + TEN.span_ns
    assert rolled(store, TEN)[second][Stat.COUNT][0, 10:16].sum() == 0
    hold(store, np.where(late, AT, -1))
    round_.tick()
    assert rolled(store, TEN)[second][Stat.COUNT][0].tolist() == [10] * 60
    assert rolled(store, MINUTE)[T0_NS][Stat.COUNT].sum() == VALUES.size


def test_ticks_go_when_they_are_old_and_statistics_stay(store: Store, clock: ManualClock) -> None:
    hold(store)
    clock.advance(2 * 3600.0)
    round_ = chores(store, clock, SHORT)
    round_.tick()
    with store.read() as tx:
        assert tx.blocks.oldest_unix_ns() is None
        assert tx.rollups.ticks_kept_since() == T0_NS + 5400 * NS_PER_S
    assert len(rolled(store, TEN)) == 6


def test_what_comes_after_its_ticks_are_gone_is_added_once(
    store: Store, clock: ManualClock
) -> None:
    late = np.zeros(HOUR, np.bool_)
    late[640:700] = True
    hold(store, np.where(late, -1, AT))
    clock.advance(2 * 3600.0)
    round_ = chores(store, clock, SHORT)
    round_.tick()
    hold(store, np.where(late, AT, -1))
    for _ in range(3):
        round_.tick()
    found = rolled(store, TEN)[T0_NS + TEN.span_ns]
    assert found[Stat.COUNT].tolist() == [[10] * 60] * len(VALUES)
    steps = VALUES[:, 600:1200].reshape(len(VALUES), -1, 10)
    np.testing.assert_array_equal(found[Stat.MAX], steps.max(axis=2))
    with store.read() as tx:
        assert tx.blocks.oldest_unix_ns() is None
    assert rolled(store, MINUTE)[T0_NS][Stat.COUNT].sum() == VALUES.size


def test_ticks_that_are_not_rolled_up_are_not_deleted(store: Store, clock: ManualClock) -> None:
    hold(store)
    clock.advance(10 * 3600.0)
    chores(store, clock, replace(SHORT, spans_at_once=2)).tick()
    assert list(rolled(store, TEN)) == [T0_NS, T0_NS + TEN.span_ns]
    with store.read() as tx:
        assert tx.blocks.oldest_unix_ns() == T0_NS + 2 * TEN.span_ns


def test_old_statistics_and_records_are_deleted(store: Store, clock: ManualClock) -> None:
    hold(store)
    entry = AuditEntry(at_unix_ns=T0_NS, actor="eve", action="cordon", subject="s")
    with store.begin() as tx:
        tx.audit.write(entry)
        tx.idempotency.claim("key", "digest", at_unix_ns=T0_NS)
    clock.advance(9 * 86_400.0)
    round_ = chores(store, clock)
    round_.tick()
    assert rolled(store, TEN) == {}
    assert len(rolled(store, MINUTE)) == 1
    assert (round_.counts["idempotency"], round_.counts["audit"]) == (1, 0)
    clock.advance(800 * 86_400.0)
    round_.tick()
    assert rolled(store, MINUTE) == rolled(store, COARSE) == {}
    with store.read() as tx:
        assert tx.audit.newest() == []


def test_only_the_leader_does_chores(store: Store, clock: ManualClock) -> None:
    hold(store)
    clock.advance(2 * 3600.0)
    Chores(store, clock, ChoreSettings(), leads=lambda: False).tick()
    assert rolled(store, TEN) == {}


def test_a_round_ends_when_it_is_told_to(store: Store, clock: ManualClock) -> None:
    hold(store)
    clock.advance(2 * 3600.0)
    round_ = chores(store, clock)
    round_.start()
    round_.stop()
    round_.tick()
    assert rolled(store, TEN) == {}


def test_a_database_that_is_away_is_counted(clock: ManualClock, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    store = Store(f"sqlite:///{folder}/isotherm.db")
    store.close()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    round_ = chores(store, clock)
    round_.tick()
    assert round_.counts["store_errors"] == 1
    store.close()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (ChoreSettings(every_s=0.0), "every_s must be above 0"),
        (ChoreSettings(ticks_keep_s=60.0), "too short to roll them up"),
        (ChoreSettings(fine_keep_s=86_400.0), "come 604800 s late"),
        (ChoreSettings(coarse_keep_s=8 * 86_400.0), "kept at least as long"),
    ],
)
def test_settings_that_lose_history_are_refused(settings: ChoreSettings, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        settings.validate(late_s=7 * 86_400.0)
