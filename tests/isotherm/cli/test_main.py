"""The command line as a shell sees it: exit codes, and one line a trouble."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from isotherm.__main__ import main, with_json_value


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """The command sets up the process's log on the standard error that the test captures."""
    yield
    structlog.reset_defaults()


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["isotherm", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    code = ended.value.code
    assert isinstance(code, int)
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["up", "--load", "7"], 2, "load_ratio"),
        (["up", "--supply-c", "90"], 2, "supply_c"),
        (["up", "--kafka", "127.0.0.1:9092"], 2, "--database"),
        (["up", "--kafka", "nohost", "--database", "postgresql://a@b/c"], 2, "HOST:PORT"),
        (["up", "--trace", "/no/such/file.csv"], 2, "no such file"),
        (["get", "jobs", "--api", "http://127.0.0.1:1"], 1, "no API answers"),
        (["emulator", "broken", "--emulator", "http://127.0.0.1:1"], 1, "no emulator answers"),
        (["emulator", "run", "stedy"], 2, "did you mean steady?"),
        (["emulator", "run", "steady", "--speed", "fast"], 2, "--speed fast"),
        (["emulator", "run", "steady", "--report", "run.pdf"], 2, ".html or .png"),
        (["emulator", "run", "steady", "--device", "cuda"], 2, "cuda"),
        (["emulator", "faults", "leek"], 2, "did you mean leak?"),
        (["emulator", "inject", "nothing", "--place", "h1"], 2, "unknown fault"),
        (
            ["emulator", "inject", "leak", "--place", "h1/us01/r1/s01", "--severity", "burts"],
            2,
            "expected one of weep, leak, burst, a number",
        ),
        (["explain", "loop", "h1/loop01", "--api", "http://127.0.0.1:1"], 1, "no API answers"),
        (["bench", "nothing"], 2, "there is no suite"),
        (["decode", "/no/such/message"], 2, "No such file"),
        (["decode"], 2, "FILE"),
    ],
)
def test_a_trouble_is_one_line_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    word: str,
) -> None:
    ended, said = run(monkeypatch, capsys, *arguments)
    assert ended == code
    assert word in said
    assert len(said.strip().splitlines()) == 1


def test_a_taken_port_is_told_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, said = run(
            monkeypatch, capsys, "up", "--port", port, "--state-dir", str(tmp_path / "state")
        )
    assert code == 2
    assert "in use" in said
    assert not (tmp_path / "state" / "isotherm.db").exists()


def test_json_without_a_file_means_standard_output() -> None:
    assert with_json_value(["bench", "emulator", "--json"])[-1] == "-"
    assert with_json_value(["bench", "emulator", "--json", "--quick"])[3] == "-"
    assert with_json_value(["bench", "emulator", "--json", "f"]) == [
        *("bench", "emulator", "--json", "f")
    ]
