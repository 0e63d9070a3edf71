import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from agent.__main__ import app
from agent.options import AgentOptions
from agent.places import agents_of, read_device_list
from agent.runtime import AgentRuntime
from fleet.bus import InMemoryBus
from fleet.clock import ManualClock
from fleet.errors import ConfigurationError
from tests.agent.builders import CDU_ID, LOOP, SLED
from tests.agent.devices import Cdu, JobRuntime, SledBmc
from tests.agent.server import REPORT, served

LISTING = {"sleds": [SLED], "cdus": [CDU_ID]}


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def invoke(*flags: str) -> Result:
    return CliRunner().invoke(app, list(flags))


def test_once_prints_a_frame_and_writes_nothing(tmp_path: Path) -> None:
    recording = tmp_path / "recording.ndjson"
    recording.write_bytes(REPORT)
    bmc = SledBmc()
    with served({"bmc": bmc}) as url:
        flags = ("--sled", SLED, "--loop", LOOP, "--neuron-monitor-file", str(recording))
        found = invoke(
            *flags, "--redfish", f"{url}/devices/bmc", "--runtime", f"{url}/devices/bmc", "--once"
        )
    assert found.exit_code == 0, found.output
    values = json.loads(found.stdout)["values"]
    assert values["junction_c"] == [60.0, 61.0, 62.0, 63.0]
    assert values["memory_used_bytes"] == pytest.approx(5e9)
    assert values["execution_latency_p50_s"] is None
    assert bmc.written == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--kafka", "127.0.0.1:9092"], "--state-dir DIR is missing"),
        (["--state-dir", "DIR", "--kafka", "127.0.0.1:9092"], "exactly one of --sled"),
        (["--state-dir", "DIR", "--sled", SLED], "--kafka HOST:PORT is missing"),
        (["--state-dir", "DIR", "--sled", SLED, "--kafka", "nonsense"], "is not HOST:PORT"),
        (["--once", "--cdu", CDU_ID, "--redfish", "h1"], "is not an http"),
        (["--once", "--cdu", CDU_ID], "--redfish URL is missing"),
        (["--once", "--sled", SLED, "--redfish", "http://h/"], "needs --loop"),
        (["--once", "--devices", "http://127.0.0.1:9"], "device list of"),
        (["--once", "--period", "0"], "period_s 0.0 is not in"),
        (["--once", "--sync-s", "-1"], "sync_s -1.0 is not in 0..3600"),
        (["--once", "--sync-s", "nan"], "sync_s nan is not in"),
        (["--once", "--catch-up-ratio", "0"], "catch_up_ratio 0.0 is not in"),
    ],
)
def test_wrong_flags_are_one_line_and_code_2(tmp_path: Path, flags: list[str], words: str) -> None:
    found = invoke(*[str(tmp_path) if flag == "DIR" else flag for flag in flags])
    assert found.exit_code == 2
    assert words in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1


def test_a_device_list_becomes_agents(tmp_path: Path) -> None:
    devices = {f"{SLED}/bmc": SledBmc(), f"{SLED}/runtime": JobRuntime(), f"{CDU_ID}/bmc": Cdu()}
    with ExitStack() as stack:
        url = stack.enter_context(served(devices, LISTING))
        found = read_device_list(url, None)
        options = AgentOptions(state_dir=tmp_path, readers=2)
        clock = ManualClock()
        agents = agents_of(found, options, clock, chips=4, pumps=2)
        assert [(agent.agent_id, agent.loop_id) for agent in agents] == [
            (SLED, LOOP),
            (CDU_ID, LOOP),
        ]
        host = AgentRuntime(options, agents, InMemoryBus(), clock)
        stack.callback(host.stop)
        host.tick()
        assert host.totals()["published"] == 3  # the frames of a loop, and two agents' starts


def test_a_device_list_says_what_a_mixed_hall_is_made_of() -> None:
    host = "h1/us09/r1/s01"
    listing = {
        "sleds": [SLED, host],
        "cdus": [CDU_ID, "h1/cdu02"],
        "loops": {SLED: LOOP, host: "h1/row01", CDU_ID: LOOP, "h1/cdu02": "h1/loop02"},
        "chips": {SLED: 4, host: 16},
        "air": [host],
    }
    with served({}, listing) as url:
        found = read_device_list(url, None)
    assert [(place.loop_id, place.chips, place.liquid) for place in found.sleds] == [
        (LOOP, 4, True),
        ("h1/row01", 16, False),
    ]
    assert [place.loop_id for place in found.cdus] == [LOOP, "h1/loop02"]


def test_sleds_of_an_unknown_loop_are_refused() -> None:
    listing = {"sleds": [SLED], "cdus": [CDU_ID, "h1/cdu02"]}
    with served({}, listing) as url, pytest.raises(ConfigurationError, match="pass --loop"):
        read_device_list(url, None)


def test_two_processes_can_not_share_a_state(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        broker = f"127.0.0.1:{taken.getsockname()[1]}"
        flags = ["--cdu", CDU_ID, "--redfish", "http://127.0.0.1:9/", "--kafka", broker]
        command = [sys.executable, "-m", "agent", *flags, "--state-dir", str(tmp_path)]
        first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert first.stderr is not None
            while "agent runs" not in first.stderr.readline():
                assert first.poll() is None
            found = invoke(*flags, "--state-dir", str(tmp_path))
            assert (found.exit_code, "another agent uses it" in found.stderr) == (2, True)
            # No broker and no device, yet it runs, spools, and ends when it is told to.
            first.send_signal(signal.SIGTERM)
            assert first.wait(5.0) == 0
            assert list((tmp_path / "spool" / "telemetry").glob("*.seg"))
        finally:
            first.kill()
            first.communicate()
