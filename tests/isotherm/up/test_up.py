"""`isotherm up` as a person runs it: it comes up, and Ctrl-C takes all of it down."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

from api.client import ApiClient
from fleet.clock import SystemClock
from isotherm.up.demo import DEMO_JOBS
from isotherm.up.ports import free_port, listening

PAUSE_S = 0.2


def test_ctrl_c_takes_everything_down_within_5_seconds(tmp_path: Path) -> None:
    clock, port = SystemClock(), free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "isotherm", "up", "--port", str(port)),
            *("--emulator-port", "0"),
            *("--state-dir", str(tmp_path)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        with ApiClient(f"http://127.0.0.1:{port}") as api:
            wait_for_jobs(api, clock, process)
        begin_s = clock.monotonic_s()
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20)
        assert clock.monotonic_s() - begin_s < 5.0
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, said.decode()
    assert b"dashboard" in said
    assert b"Traceback" not in said
    with listening("127.0.0.1", port):
        """The port is free again."""


def wait_for_jobs(api: ApiClient, clock: SystemClock, process: subprocess.Popen[bytes]) -> None:
    deadline_s = clock.monotonic_s() + 60
    while not (api.ready() and api.fleet()["totals"]["jobs_running"] == len(DEMO_JOBS)):
        assert process.poll() is None
        assert clock.monotonic_s() < deadline_s, "the first jobs do not run"
        clock.wait(threading.Event(), PAUSE_S)
