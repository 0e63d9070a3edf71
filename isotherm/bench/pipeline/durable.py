"""Case P1: from a real Kafka broker to committed history, and peers on the same series."""

import multiprocessing
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import numpy as np

from controller.history.block import decode_count
from controller.history.window import TIMES
from controller.ingest.consume import Consumer, IngestSettings
from controller.store import Store
from fleet.bus_kafka import KafkaBus
from fleet.clock import NS_PER_S, SystemClock
from fleet.errors import IsothermError
from fleet.frame import MISSING_COUNT
from fleet.kafka_options import KafkaOptions
from fleet.topics import SCHEMAS, TELEMETRY
from fleet.topology import FleetMap, trn3_datacenter
from isotherm.bench.pipeline.peers import PEERS, measure_peer
from isotherm.bench.pipeline.recorded import Recorded, record, said_again
from isotherm.bench.report import Case
from isotherm.servers.components import MissingComponentError
from isotherm.servers.kafka_broker import KafkaBroker
from isotherm.servers.processes import StartError

LOOPS: Final = 8
TICKS_PER_MESSAGE: Final = 1
TITLE: Final = (
    "Kafka -> decode -> checks -> committed history, 8 loops of 72 sleds, 1 tick a message"
)
_LONGEST_S: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What the ingesting process says of itself; times from its first message on."""

    cpu_s: float
    wall_s: float
    frames: int
    gaps: int
    duplicates: int
    bytes: int


def p1(quick: bool, seed: int) -> Case:
    try:
        return _measured(quick, seed)
    except (MissingComponentError, StartError, IsothermError) as error:
        return Case(id="P1", title=TITLE, target=_TARGET, reason=str(error))


_TARGET: Final = {
    "samples_per_s_per_core": (">=", 10e6),
    "lost": ("==", 0.0),
    "duplicates": ("==", 0.0),
    "ratio_victoriametrics": (">=", 10.0),
    "ratio_prometheus": (">=", 30.0),
}


def _measured(quick: bool, seed: int) -> Case:
    recorded = record(60, seed)
    fleet_map = FleetMap(trn3_datacenter(loops=LOOPS))
    ticks = 240 if quick else 1200
    with KafkaBroker() as broker, tempfile.TemporaryDirectory(prefix="isotherm-bench-") as folder:
        sent = publish(broker.bootstrap, recorded, fleet_map, ticks)
        url = f"sqlite:///{folder}/isotherm.db"
        ingested = in_own_process(broker.bootstrap, url, sent)
        kept, twice = committed(url)
        stored_bytes = sum(path.stat().st_size for path in Path(folder).glob("isotherm.db*"))
    width = recorded.samples_per_tick // len(recorded.slabs[0])
    samples = ticks * fleet_map.sleds * width
    rate = samples / ingested.cpu_s
    metrics = {
        "samples_per_s_per_core": rate,
        "samples_per_s_wall": samples / ingested.wall_s,
        "samples": float(samples),
        "lost": float(ticks * fleet_map.sleds - kept),
        "duplicates": float(twice),
        "gaps_seen": float(ingested.gaps),
        "block_bytes_per_sample": ingested.bytes / samples,
        "file_bytes_per_sample": stored_bytes / samples,
    }
    theirs, remarks = peers(recorded, rate, quick=quick)
    return Case(id="P1", title=TITLE, metrics=metrics | theirs, target=_TARGET, remarks=remarks)


def peers(recorded: Recorded, rate: float, *, quick: bool) -> tuple[dict[str, float], list[str]]:
    """Samples a second and core of each peer, ours over theirs, and which could not be measured."""
    found: dict[str, float] = {}
    remarks: list[str] = []
    for name in PEERS:
        try:
            theirs = measure_peer(name, recorded, ticks=10 if quick else 60)
        except (MissingComponentError, StartError, httpx.HTTPError) as error:
            remarks.append(f"{name} was not measured: {error}")
            continue
        found[f"{name}_samples_per_s_per_core"] = theirs
        found[f"ratio_{name}"] = rate / theirs
    return found, remarks


def publish(bootstrap: str, recorded: Recorded, fleet_map: FleetMap, ticks: int) -> int:
    """How many frames were written."""
    t0 = SystemClock().unix_ns() - ticks * NS_PER_S
    bus = KafkaBus(KafkaOptions(bootstrap=bootstrap, delivery_timeout_s=120.0))
    try:
        for key, document in recorded.schemas:
            bus.publish(SCHEMAS, key=key, value=document)
        messages = said_again(
            recorded, fleet_map, ticks=ticks, ticks_per_message=TICKS_PER_MESSAGE, t0_unix_ns=t0
        )
        for number, (loop_id, message) in enumerate(messages):
            bus.publish(TELEMETRY, key=loop_id, value=message)
            if number % 500 == 0:
                bus.flush(60.0)
        bus.flush(60.0)
    finally:
        bus.close()
    return ticks // TICKS_PER_MESSAGE * fleet_map.sleds


def in_own_process(bootstrap: str, url: str, frames: int) -> Ingested:
    """Ingest in a process of its own, on one core, so that its CPU time is the ingest's alone."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_ingest, args=(bootstrap, url, frames, sending))
    process.start()
    sending.close()
    try:
        said: Ingested = receiving.recv()
    except EOFError:
        raise StartError("the ingesting process ended without a word") from None
    finally:
        process.join(10.0)
        if process.is_alive():
            process.kill()
    return said


def _ingest(
    bootstrap: str, url: str, frames: int, answer: "multiprocessing.connection.Connection"
) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    clock = SystemClock()
    fleet_map = FleetMap(trn3_datacenter(loops=LOOPS))
    bus, store = KafkaBus(KafkaOptions(bootstrap=bootstrap)), Store(url)
    consumer = Consumer(
        bus, store, fleet_map, clock, loops=fleet_map.loop_ids, settings=IngestSettings()
    )
    began_s, began_cpu_s = clock.monotonic_s(), time.process_time()
    heard, written = 0, 0
    while heard < frames and clock.monotonic_s() - began_s < _LONGEST_S:
        consumer.poll(0.2)
        written += consumer.save().bytes
        heard = sum(counts["frames"] for counts in consumer.counts.values())
    written += consumer.save(everything=True).bytes
    answer.send(
        Ingested(
            cpu_s=time.process_time() - began_cpu_s,
            wall_s=clock.monotonic_s() - began_s,
            frames=heard,
            gaps=sum(counts["gaps"] for counts in consumer.counts.values()),
            duplicates=sum(counts["duplicates"] for counts in consumer.counts.values()),
            bytes=written,
        )
    )
    answer.close()
    consumer.close()
    bus.close()
    store.close()


def committed(url: str) -> tuple[int, int]:
    """Ticks that are in history, each counted once, and how many are there again."""
    store = Store(url)
    found, seen = 0, 0
    fleet_map = FleetMap(trn3_datacenter(loops=LOOPS))
    with store.read() as tx:
        for group in fleet_map.ultraserver_ids:
            names = [
                decode_count(block.body)
                for block in tx.blocks.of_group(group, [TIMES], from_unix_ns=0, until_unix_ns=2**62)
            ]
            if not names:
                continue
            seats = len(names[0]) // 3
            per_seat = np.concatenate([block[2 * seats :] for block in names], axis=1)
            for numbers in per_seat:
                told = numbers[numbers != MISSING_COUNT]
                found += len(np.unique(told))
                seen += len(told)
    store.close()
    return found, seen - found
