import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from api.__main__ import run
from api.client import ApiClient
from isotherm.servers.kafka_broker import KafkaBroker

ROOT = Path(__file__).parents[2]


def started(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "api", *arguments],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"},
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--host", "0.0.0.0"], "needs --allow-remote"),
        (["--port", "70000"], "port 70000 is outside"),
        (["--database", "mysql://x"], "'mysql' is not supported"),
        (["--kafka", "nowhere"], "'nowhere' is not HOST:PORT"),
        (["--kafka", "127.0.0.1:9"], "no Kafka broker answers at 127.0.0.1:9"),
    ],
)
def test_what_can_not_work_is_one_line_and_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    program = typer.Typer()
    program.command()(run)
    usual = ["--kafka", "127.0.0.1:9", "--database", f"sqlite:///{tmp_path}/x.db"]
    result = CliRunner().invoke(program, [*usual, *arguments])
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_the_program_says_that_remote_listening_is_without_log_in() -> None:
    program = typer.Typer()
    program.command()(run)
    said = CliRunner().invoke(program, ["--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert "There is no log-in" in said.stdout


@pytest.mark.kafka
def test_the_process_answers_and_ends_on_sigterm(tmp_path: Path, kafka_broker: KafkaBroker) -> None:
    database = f"sqlite:///{tmp_path}/x.db"
    process = started("--kafka", kafka_broker.bootstrap, "--database", database, "--port", "0")
    assert process.stderr is not None
    watchdog = threading.Timer(60.0, process.kill)
    watchdog.start()
    line = ""
    while "url=" not in line:
        line = process.stderr.readline()
        assert line, "it ended before it answered"
    watchdog.cancel()
    with ApiClient(line.partition("url=")[2].split()[0]) as client:
        assert client.fleet()["chips"] == 288
        assert not client.ready()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=5)
    assert process.returncode == 0
