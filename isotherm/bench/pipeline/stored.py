"""Case P3: bytes that history takes, of an emulated world under a load that changes."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from controller.history.rollup import decode_values
from controller.history.window import TIMES, paired, times_of
from controller.placement.job import Job
from controller.store import Store
from emulator.options import EmulatorOptions
from fleet.clock import ManualClock
from fleet.metrics import METRICS
from fleet.topology import FleetMap, trn3_datacenter
from isotherm.bench.fleet import submit
from isotherm.bench.report import Case
from isotherm.up.demo import DEMO_JOBS
from isotherm.up.embedded import EmbeddedDatacenter, EmbeddedOptions

RUN_UP_S: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Samples and bytes of history by metric."""

    samples: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    file_bytes: int = 0


def p3(quick: bool, seed: int) -> Case:
    """288 chips and a CDU at 1 Hz through real agents and the controller, into SQLite."""
    seconds = 240 if quick else 720
    with tempfile.TemporaryDirectory(prefix="isotherm-bench-") as folder:
        live(Path(folder), seconds, seed)
        kept = count(Path(folder))
    samples, stored = sum(kept.samples.values()), sum(kept.bytes.values())
    by_metric = {
        f"{metric}.bytes_per_sample": kept.bytes[metric] / kept.samples[metric]
        for metric in sorted(kept.samples, key=lambda name: -kept.bytes[name])
    }
    return Case(
        id="P3",
        title=f"history of 288 chips and their CDU, {seconds} s under jobs that come and go",
        metrics={
            "bytes_per_sample": stored / samples,
            "times_share": kept.bytes[TIMES] / stored,
            "samples": float(samples),
            "file_bytes_per_sample": kept.file_bytes / samples,
            **by_metric,
        },
        target={"bytes_per_sample": ("<=", 2.0)},
    )


def live(folder: Path, seconds: int, seed: int) -> None:
    """Jobs start, half of them are cancelled, others start."""
    clock = ManualClock()
    options = EmbeddedOptions(
        state_dir=folder, emulator=EmulatorOptions(seed=seed, load_ratio=0.8), seed=seed
    )
    center = EmbeddedDatacenter(options, FleetMap(trn3_datacenter()), clock)
    try:
        submit(center, clock)
        for second in range(RUN_UP_S + seconds):
            clock.advance(1.0)
            center.tick()
            if second == RUN_UP_S + seconds // 3:
                _cancel_half(center)
            if second == RUN_UP_S + 2 * seconds // 3:
                _again(center, clock)
    finally:
        center.stop()
        center.close()


def _cancel_half(center: EmbeddedDatacenter) -> None:
    with center.store.begin() as tx:
        for job in DEMO_JOBS[::2]:
            tx.jobs.cancel(job.name)


def _again(center: EmbeddedDatacenter, clock: ManualClock) -> None:
    with center.store.begin() as tx:
        for job in DEMO_JOBS[::2]:
            name = f"{job.name}-again"
            tx.jobs.add(
                Job(
                    id=name,
                    name=name,
                    model=job.model,
                    chips=job.chips,
                    tensor_parallel=job.tensor_parallel,
                    priority=0,
                    submitted_at_unix_ns=clock.unix_ns(),
                )
            )


def count(folder: Path) -> Kept:
    """Every tick that is kept, with a value or without, is a sample of each metric."""
    kept = Kept(file_bytes=0)
    store = Store(f"sqlite:///{folder}/isotherm.db")
    with store.read() as tx:
        for group in _groups():
            metrics = (TIMES, *(spec.name for spec in METRICS))
            blocks = list(tx.blocks.of_group(group, metrics, from_unix_ns=0, until_unix_ns=2**62))
            for block in blocks:
                kept.bytes[block.metric] += len(block.body)
            for times, block in paired(blocks):
                ticks = int(np.count_nonzero(times_of(times.body) >= 0))
                seats = len(times_of(times.body))
                parts = len(decode_values(block.metric, block.body)) // seats
                kept.samples[block.metric] += ticks * parts
    store.close()
    size = sum(path.stat().st_size for path in folder.glob("isotherm.db*"))
    return replace(kept, file_bytes=size)


def _groups() -> Iterator[str]:
    fleet_map = FleetMap(trn3_datacenter())
    yield from fleet_map.ultraserver_ids
    yield from fleet_map.cdu_ids
