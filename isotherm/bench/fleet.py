"""Suite `fleet`: the whole house at once."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from api.client import ApiClient
from controller.placement.job import Job
from emulator.options import EmulatorOptions
from fleet.clock import Clock, ManualClock, SystemClock
from fleet.errors import IsothermError
from fleet.topology import FleetMap, trn3_datacenter
from isotherm.bench.report import Case
from isotherm.up.demo import DEMO_JOBS
from isotherm.up.embedded import EmbeddedDatacenter, EmbeddedOptions
from isotherm.up.ports import free_port
from isotherm.world import ask

CORES: Final = 2
"""The share of the processor is of this many cores, whatever the machine has."""
WARM_UP_S: Final = 20.0
SUPPLY_C: Final = 40.0
THROTTLE_C: Final = 90.0
_STEPS_SEEN: Final = 5
_GIB: Final = 2**30


def f1(quick: bool, seed: int) -> Case:
    """`isotherm up` as a user starts it, at full load, watched from outside."""
    title = "isotherm up, 288 chips, load 1.0, real products, one process"
    return all_in_one("F1", title, quick=quick, seed=seed, loops=1)


def all_in_one(case_id: str, title: str, *, quick: bool, seed: int, loops: int) -> Case:
    """Every role in one process, two UltraServers on each of `loops`, jobs on all of them."""
    clock = SystemClock()
    target = {
        "real_time_factor": (">=", 0.99),
        "cpu_share": ("<=", 0.60),
        "rss_gib": ("<=", 1.5),
    }
    try:
        with running_up(seed, clock, loops=loops) as (process_id, api):
            begin_world_s, begin_lag_s = lag_s(api, clock)
            begin_s, begin_cpu_s = clock.monotonic_s(), cpu_s(process_id)
            clock.wait(threading.Event(), 30.0 if quick else 120.0)
            used_s = cpu_s(process_id) - begin_cpu_s
            wall_s = clock.monotonic_s() - begin_s
            end_world_s, end_lag_s = lag_s(api, clock)
            passed_s = end_world_s - begin_world_s
            memory = rss_bytes(process_id)
            busy = ApiClient(api[0]).fleet()["totals"]["chips_busy"]
    except IsothermError as error:
        return Case(id=case_id, title=title, target=target, reason=str(error))
    return Case(
        id=case_id,
        title=title,
        metrics={
            # Lags are seen within 20 ms, a few thousandths of a quick run.
            "real_time_factor": round(
                passed_s / (passed_s + end_lag_s - begin_lag_s), 3 if wall_s > 100.0 else 2
            ),
            "cpu_share": used_s / wall_s / CORES,
            "rss_gib": memory / _GIB,
            "chips_busy": float(busy),
            "span_s": wall_s,
        },
        target=target,
    )


@contextmanager
def running_up(seed: int, clock: Clock, *, loops: int = 1) -> Iterator[tuple[int, tuple[str, str]]]:
    """Process id and the addresses of API and emulator, once jobs have run for a while."""
    port, emulator_port = free_port(), free_port()
    api = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="isotherm-bench-") as state_dir:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "isotherm", "up", "--load", "1.0", "--seed", str(seed)),
                *("--port", str(port), "--emulator-port", str(emulator_port)),
                *("--state-dir", state_dir, "--loops", str(loops)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with ApiClient(api) as client:
                _await_jobs(client, clock, process, len(DEMO_JOBS))
                for number in range(1, loops):
                    submit_again(client, number)
                _await_jobs(client, clock, process, loops * len(DEMO_JOBS))
            clock.wait(threading.Event(), WARM_UP_S)
            yield process.pid, (api, f"http://127.0.0.1:{emulator_port}")
        finally:
            process.terminate()
            process.wait(10)


def _await_jobs(
    client: ApiClient, clock: Clock, process: subprocess.Popen[bytes], wanted: int
) -> None:
    deadline_s = clock.monotonic_s() + 60.0
    while not (client.ready() and client.fleet()["totals"]["jobs_running"] >= wanted):
        if process.poll() is not None or clock.monotonic_s() > deadline_s:
            raise IsothermError("isotherm up did not come up, or its jobs did not start")
        clock.wait(threading.Event(), 0.2)


def submit_again(client: ApiClient, number: int) -> None:
    """The demo's jobs once more, for another loop."""
    for job in DEMO_JOBS:
        client.submit(
            name=f"{job.name}-{number}",
            model=job.model,
            chips=job.chips,
            tensor_parallel=job.tensor_parallel,
            idempotency_key=f"bench-{number}-{job.name}",
        )


def world_s(addresses: tuple[str, str]) -> float:
    """Emulated seconds so far; the emulator rounds to a step."""
    return float(ask(addresses[1], "GET", "/livez", None)["emulated_s"])


def lag_s(addresses: tuple[str, str], clock: Clock) -> tuple[float, float]:
    """The world's time, and by how much more the clock's is: the least of a few steps, since a
    step is seen when it is done and some take longer. What that grows by is time lost.
    """
    seen = [next_step(addresses, clock) for _ in range(_STEPS_SEEN)]
    return seen[-1][1], min(now_s - world_now_s for now_s, world_now_s in seen)


def next_step(addresses: tuple[str, str], clock: Clock) -> tuple[float, float]:
    """When the world makes its next step, on the clock's time and on its own."""
    before = world_s(addresses)
    while (now := world_s(addresses)) == before:
        clock.wait(threading.Event(), 0.02)
    return clock.monotonic_s(), now


def cpu_s(process_id: int) -> float:
    """User and system time of a process so far; Linux."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_bytes(process_id: int) -> int:
    pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def f2(quick: bool, seed: int) -> Case:  # noqa: ARG001 - one length only
    """Load 20 -> 100 % of what the running replicas can serve, on a clock moved by hand."""
    clock = ManualClock()
    fleet_map = FleetMap(trn3_datacenter())
    with tempfile.TemporaryDirectory(prefix="isotherm-bench-") as state_dir:
        options = EmbeddedOptions(
            state_dir=Path(state_dir),
            emulator=EmulatorOptions(seed=seed, load_ratio=0.2),
            seed=seed,
        )
        datacenter = EmbeddedDatacenter(options, fleet_map, clock)
        try:
            submit(datacenter, clock)
            run(datacenter, clock, 240)
            before_w = float(datacenter.world.chips.power_w.sum())
            datacenter.world.load_ratio = 1.0
            peak = run(datacenter, clock, 240)
            after_w = float(datacenter.world.chips.power_w.sum())
        finally:
            datacenter.stop()
            datacenter.close()
    return Case(
        id="F2",
        title="load step 20 -> 100 %, 288 chips, 248 of them in gangs",
        metrics={
            "supply_error_peak_k": peak[0],
            "max_junction_c": peak[1],
            "throttled_chips": peak[2],
            "chip_power_before_w": before_w,
            "chip_power_after_w": after_w,
        },
        target={"supply_error_peak_k": ("<=", 2.0), "throttled_chips": ("==", 0.0)},
    )


def submit(datacenter: EmbeddedDatacenter, clock: Clock) -> None:
    with datacenter.store.begin() as transaction:
        for job in DEMO_JOBS:
            transaction.jobs.add(
                Job(
                    id=job.name,
                    name=job.name,
                    model=job.model,
                    chips=job.chips,
                    tensor_parallel=job.tensor_parallel,
                    priority=0,
                    submitted_at_unix_ns=clock.unix_ns(),
                )
            )


def run(
    datacenter: EmbeddedDatacenter, clock: ManualClock, seconds: int
) -> tuple[float, float, float]:
    """Worst supply error K and junction °C, and most chips at or above throttle, of the truth."""
    error_k = junction_c = throttled = 0.0
    for _ in range(seconds):
        clock.advance(1.0)
        datacenter.tick()
        junctions = datacenter.world.loops.column("junction_c")
        supply_c = float(datacenter.world.loops.scalars("supply_c")[0])
        error_k = max(error_k, abs(supply_c - SUPPLY_C))
        junction_c = max(junction_c, float(junctions.max()))
        throttled = max(throttled, float((junctions >= THROTTLE_C).sum()))
    return error_k, junction_c, throttled
