import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from emulator.__main__ import app
from isotherm.servers.processes import end, free_ports, wait_until

SLED = "h1/us01/r2/s07"
COMMAND = [sys.executable, "-m", "emulator"]


@pytest.mark.slow
def test_the_command_serves_a_hall_and_ends_within_five_seconds(tmp_path: Path) -> None:
    [port] = free_ports(1)
    url, log = f"http://127.0.0.1:{port}", tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", str(port), "--ultraservers", "1"], stderr=output
        )
    try:
        wait_until(lambda: b"the hall runs" in log.read_bytes(), process, log, 60)
        monitor = [*COMMAND, "neuron-monitor", "--url", f"{url}/devices/{SLED}/neuron-monitor"]
        printed = subprocess.run([*monitor, "--reports", "2"], capture_output=True, check=True)
        reports = [json.loads(line) for line in printed.stdout.splitlines()]
        assert [r["neuron_hardware_info"]["neuron_device_count"] for r in reports] == [4, 4]
        with subprocess.Popen(monitor, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as reader:
            assert reader.stdout is not None
            reader.stdout.readline()
            started_s = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 0
            assert time.monotonic() - started_s < 5.0
            _, complaint = reader.communicate(timeout=10)
            assert reader.returncode == 1
            assert complaint.count(b"\n") == 1
    finally:
        end(process)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["serve", "--load", "7"], 2, "load_ratio"),
        (["serve", "--trace", "/nowhere.csv"], 2, "/nowhere.csv"),
        (["neuron-monitor", "--url", "http://127.0.0.1:1/x"], 1, "does not answer"),
        (["neuron-monitor", "--url", "http://127.0.0.1:1/x", "-c", "/nowhere"], 2, "/nowhere"),
        (["neuron-monitor", "--url", "nonsense"], 1, "does not answer"),
    ],
)
def test_bad_arguments_are_one_line_and_an_exit_code(
    arguments: list[str], code: int, words: str
) -> None:
    ended = CliRunner().invoke(app, arguments)
    assert (ended.exit_code, ended.stdout) == (code, "")
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["serve"], ["neuron-monitor"]])
def test_help_is_everywhere(arguments: list[str]) -> None:
    ended = CliRunner().invoke(app, [*arguments, "--help"])
    assert ended.exit_code == 0
    assert "Usage" in ended.stdout
