import pytest
from rich.console import Console

from isotherm.cli.output import Format, cell, pick, show


def test_dotted_paths_go_down_and_never_raise() -> None:
    item = {"cdu": {"supply_c": 40.1}, "cordon": None}
    assert pick(item, "cdu.supply_c") == 40.1
    assert pick(item, "cordon.reason") is None
    assert pick(item, "absent.at.all") is None


def test_cells_read_well() -> None:
    shown = [cell(value) for value in (None, True, 0.123456, 187_432.0, [], ["a", "b"])]
    assert shown == ["-", "yes", "0.1235", "187,432", "-", "a; b"]


def test_a_program_gets_the_whole_line(capsys: pytest.CaptureFixture[str]) -> None:
    long = "needs 144 chips " * 20
    show(Console(width=1000), [{"why": long.strip()}], {"WHY": "why"}, Format.TABLE)
    assert long.strip() in capsys.readouterr().out


def test_json_is_what_the_api_said(capsys: pytest.CaptureFixture[str]) -> None:
    show(Console(), [{"id": "x", "more": [1]}], {"ID": "id"}, Format.JSON)
    assert '"more": [' in capsys.readouterr().out
