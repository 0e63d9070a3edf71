"""Time from a fresh clone to the dashboard's first live frame.

    python tools/time_first_frame.py [--cold]

Clones this repository into an empty folder, runs `make run` there, and waits until a WebSocket
client of the dashboard's live feed has received a binary frame with data in it. `--cold` points
pip's and npm's caches at empty folders, so that every package is fetched. Needs the project's own
virtual environment only for the WebSocket client.
"""

import argparse
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Subprotocol

TIMEOUT_S = 900.0
HEADER_BYTES = 40
NO_DATA = 255


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def first_frame(port: int) -> bool:
    """Whether the live feed gives a plane in which some chip has a value."""
    try:
        with connect(
            f"ws://127.0.0.1:{port}/api/v1/live",
            subprotocols=[Subprotocol("isotherm.v1")],
            open_timeout=1,
        ) as feed:
            for _ in range(20):
                message = feed.recv(timeout=3)
                if isinstance(message, bytes):
                    return any(code != NO_DATA for code in message[HEADER_BYTES:])
    except (OSError, TimeoutError, WebSocketException):
        return False
    return False


def measure(*, cold: bool) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="isotherm-first-frame-") as folder:
        clone = Path(folder) / "isotherm"
        environment = dict(os.environ)
        if cold:
            environment["PIP_CACHE_DIR"] = str(Path(folder) / "pip-cache")
            environment["NPM_CONFIG_CACHE"] = str(Path(folder) / "npm-cache")
        port = free_port()
        begin_s = time.monotonic()
        source = Path(__file__).resolve().parent.parent
        subprocess.run(["git", "clone", "-q", str(source), str(clone)], check=True)
        # The caches of this environment must not lead back to it.
        environment.pop("VIRTUAL_ENV", None)
        log = (Path(folder) / "make.log").open("wb")
        running = subprocess.Popen(
            ["make", "run", f"ARGS=--port {port} --emulator-port 0"],
            cwd=clone,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while not first_frame(port):
                if running.poll() is not None:
                    raise SystemExit((Path(folder) / "make.log").read_text()[-2000:])
                if time.monotonic() - begin_s > TIMEOUT_S:
                    raise SystemExit(f"no live frame within {TIMEOUT_S:.0f} s")
                time.sleep(0.2)
            taken_s = time.monotonic() - begin_s
        finally:
            os.killpg(running.pid, signal.SIGTERM)
            running.wait(10)
            log.close()
    return {
        "caches": "cold" if cold else "warm",
        "first_live_frame_s": round(taken_s, 1),
        "cores": os.cpu_count(),
        "machine": platform.platform(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cold", action="store_true", help="with empty package caches")
    json.dump(measure(cold=parser.parse_args().cold), sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
