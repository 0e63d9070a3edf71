"""Recorded decisions come out the same again; a changed byte or another law shows."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from controller.cooling.control import ManualOrder
from controller.cooling.decision import Decision, DecisionBook, decode_decision, replay
from controller.decisions import DecisionLog, read_decisions
from fleet.errors import ConfigurationError, MalformedMessageError
from isotherm.__main__ import app
from tests.controller.cooling.test_invariants import RESET, SETTINGS, Nature, Second, Story


def told(book: DecisionBook, seconds: int = 60) -> list[Decision]:
    """A story with an override, a lie, a silence and a trip, as decisions."""
    story, decisions = Story(Nature()), []
    for second in range(seconds):
        order = ManualOrder(pump_ratio=0.8, actor="ana") if 10 <= second < 20 else None
        happening = Second(
            order=order,
            lie={"supply_c": 313.15} if second % 17 == 0 else {},
            silent=25 <= second < 33,
            junction_off_k=60.0 if 40 <= second < 45 else 0.0,
            reset=second == 55,
            load_ratio=0.3 + 0.01 * second,
        )
        moment = story.live(happening)
        made = book.decided(
            moment.before,
            moment.after,
            moment.effects,
            cause=f"frame {story.ticks}",
            order=order,
            resets=(RESET,) if happening.reset else (),
            settings=SETTINGS,
        )
        assert made is not None
        decisions.append(made)
    return decisions


def test_a_recording_replays_byte_for_byte(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path, keep_files=3)
    log.write(told(log.book))
    log.close()
    again = list(replay(read_decisions(tmp_path)))
    assert len(again) == 60
    assert all(one.same for one in again)
    assert b"SendCooling" in again[-1].outcome
    ended = CliRunner().invoke(app, ["replay", str(tmp_path)])
    assert ended.exit_code == 0
    assert "60 decisions over 59 s, 60 the same, 0 not" in ended.output


def test_a_changed_reading_is_found(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path, keep_files=3)
    decisions = told(log.book)
    off = replace(decisions[30].readings, junction_c=decisions[30].readings.junction_c + 0.1)
    decisions[30] = msgspec.structs.replace(decisions[30], readings=off)
    log.write(decisions)
    log.close()
    assert not all(one.same for one in replay(read_decisions(tmp_path)))
    assert CliRunner().invoke(app, ["replay", str(tmp_path)]).exit_code == 1


def test_a_new_hour_stands_for_itself_and_old_ones_go(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path, keep_files=2)
    decisions = told(DecisionBook())
    for hour in range(4):
        at_unix_ns = decisions[0].at_unix_ns + hour * 3600 * 10**9
        log.due(at_unix_ns)
        log.write([msgspec.structs.replace(decisions[0], at_unix_ns=at_unix_ns)])
    log.close()
    assert len(list(tmp_path.iterdir())) == 2
    book = DecisionBook()
    first, second = told(book, 2)
    assert first.before is not None
    assert second.before is None
    book.begin()
    assert told(book, 1)[0].before is not None


def test_a_disk_that_takes_nothing_is_counted(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    log = DecisionLog(blocked, keep_files=2)
    log.write(told(log.book, 3))
    assert log.failures_total == 3


def test_what_is_no_recording_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no recorded decisions"):
        next(read_decisions(tmp_path))
    with pytest.raises(MalformedMessageError, match="not a decision"):
        decode_decision(b"\x81\xa1x\x01")
