"""Commands that are imported when they are called."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from isotherm.__main__ import COMMANDS, app
from isotherm.cli.deferred import Deferred, deferring


def test_the_command_line_alone_imports_no_role() -> None:
    loaded = "import sys, isotherm.__main__; print(*sys.modules)"
    names = subprocess.run(
        [sys.executable, "-c", loaded], check=True, capture_output=True, text=True
    ).stdout.split()
    roots = {name.partition(".")[0] for name in names}
    assert "isotherm" in roots
    assert not roots & {"agent", "controller", "emulator", "thermal", "kafka", "sqlalchemy"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command.name))
def test_help_says_what_the_command_says_of_itself(command: Deferred) -> None:
    loaded = command.load()
    assert command.name
    first = str(loaded.help).split("\n")[0]
    assert str(command.help).split(";")[0].split(".")[0] in first


def test_a_deferred_group_takes_its_own_commands() -> None:
    listed = CliRunner().invoke(app, ["emulator", "scenarios", "-o", "json"])
    assert (listed.exit_code, "pump-trip" in listed.output) == (0, True)


def test_a_slip_of_the_pen_is_answered_with_what_there_is() -> None:
    said = CliRunner().invoke(app, ["emulater"])
    assert said.exit_code == 2
    assert "emulator" in said.output


def test_a_command_that_is_gone_is_a_bug_and_not_a_silence() -> None:
    broken = typer.Typer(cls=deferring([Deferred("gone", "isotherm.nowhere:gone", "Gone.")]))
    broken.callback()(lambda: None)
    with pytest.raises(ModuleNotFoundError):
        CliRunner().invoke(broken, ["gone"], catch_exceptions=False)
