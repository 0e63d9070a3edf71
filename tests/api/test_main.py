import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from api.client import ApiClient
from tests.support.kafka_broker import KafkaBroker

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
    tmp_path: Path, arguments: list[str], told: str
) -> None:
    usual = ["--kafka", "127.0.0.1:9", "--database", f"sqlite:///{tmp_path}/x.db"]
    process = started(*usual, *arguments)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert told in said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.kafka
def test_the_process_answers_and_ends_on_sigterm(tmp_path: Path, kafka_broker: KafkaBroker) -> None:
    database = f"sqlite:///{tmp_path}/x.db"
    process = started("--kafka", kafka_broker.bootstrap, "--database", database, "--port", "0")
    assert process.stderr is not None
    line = ""
    while "url=" not in line:
        line = process.stderr.readline()
        assert line, "it ended before it answered"
    with ApiClient(line.partition("url=")[2].split()[0]) as client:
        assert client.fleet()["chips"] == 288
        assert not client.ready()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=5)
    assert process.returncode == 0
