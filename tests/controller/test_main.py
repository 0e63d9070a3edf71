"""The console program as a process of its own, on a real broker and a real database."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from controller.store import Store
from controller.store.leadership import shard_name
from controller.views import decode_view
from fleet.bus import Start
from fleet.bus_kafka import KafkaBus
from fleet.clock import SystemClock
from fleet.commands import SetCooling, decode_command
from fleet.kafka_options import KafkaOptions
from fleet.topics import COMMANDS, LIVE, TELEMETRY
from fleet.topology import FleetMap, trn3_datacenter
from isotherm.bench.pipeline.fleet_voice import FleetVoice
from isotherm.servers.kafka_broker import KafkaBroker
from tests.controller.builders import make_job

ROOT = Path(__file__).parents[2]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "controller", *arguments]


def refused(*arguments: str) -> str:
    done = subprocess.run(
        command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.slow
def test_a_wrong_address_is_one_line(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/x.db"
    lines = refused("--kafka", "nonsense", "--database", database).strip().splitlines()
    assert lines == ["isotherm-controller: kafka: 'nonsense' is not HOST:PORT"]


@pytest.mark.slow
def test_a_missing_database_is_one_line() -> None:
    address = "postgresql://ana:topsecret@127.0.0.1:1/isotherm"
    said = refused("--kafka", "127.0.0.1:1", "--database", address)
    assert "127.0.0.1:1" in said
    assert "topsecret" not in said
    assert len(said.strip().splitlines()) == 1


@contextmanager
def running(kafka: str, database: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command("--kafka", kafka, "--ultraservers", "1"),
        cwd=ROOT,
        env={**os.environ, "ISOTHERM_DATABASE": database},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.postgresql
def test_on_real_servers(kafka_broker: KafkaBroker, postgres_database_url: str) -> None:
    clock, fleet_map = SystemClock(), FleetMap(trn3_datacenter(ultraservers=1))
    store = Store(postgres_database_url)
    with store.begin() as tx:
        tx.jobs.add(make_job(submitted_at_unix_ns=clock.unix_ns()))
    with closing(KafkaBus(KafkaOptions(bootstrap=kafka_broker.bootstrap))) as bus:
        views = bus.reader(LIVE, start=Start.END)
        commands = bus.reader(COMMANDS, start=Start.END)
        voice = FleetVoice(fleet_map, bus, epoch=clock.unix_ns() // 1_000_000_000)
        voice.publish_schemas()
        deadline_s = clock.monotonic_s() + 60.0
        kinds: set[str] = set()
        cooled = heard = False
        with running(kafka_broker.bootstrap, postgres_database_url) as process:
            while not (cooled and heard and "StartJob" in kinds):
                assert clock.monotonic_s() < deadline_s, (cooled, heard, kinds)
                assert process.poll() is None
                voice.say(clock.unix_ns())
                for record in commands.poll(0.5):
                    action = decode_command(record.value).action
                    kinds.add(type(action).__name__)
                    cooled |= isinstance(action, SetCooling)
                for record in views.poll(0.5):
                    heard |= decode_view(record.value).counters.get("frames", 0) > 0
            began_s = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(10.0) == 0
            assert time.monotonic() - began_s < 5.0
        views.close()
        commands.close()
    with store.read() as tx:
        lease = tx.leases.get(shard_name(TELEMETRY.partition_of("h1/loop01")))
    store.close()
    assert lease is not None
    assert lease.expires_at_unix_ns == 0  # given back; on a slow machine it was won more than once
