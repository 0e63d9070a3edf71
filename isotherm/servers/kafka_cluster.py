"""Three Apache Kafka brokers that replicate to one another, to kill one of them at a time."""

import shutil
import tempfile
from pathlib import Path
from typing import Final, Self

from isotherm.servers.kafka_classes import shared_classes
from isotherm.servers.kafka_node import INTERNAL_TOPICS, KafkaNode
from isotherm.servers.processes import free_ports, start_on_free_ports

PROPERTIES: Final = """\
process.roles=broker,controller
node.id={node}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.voters={voters}
inter.broker.listener.name=PLAINTEXT
min.insync.replicas={min_in_sync}
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
controller.quorum.election.timeout.ms=1000
controller.quorum.fetch.timeout.ms=2000
replica.lag.time.max.ms=6000
num.network.threads=2
num.io.threads=4
background.threads=2
"""
"""A dead broker is noticed within seconds, as a site that wants quick fail-over would set it."""


class KafkaCluster:
    """KRaft brokers numbered from 1, every one of them a voter. Raises as `KafkaNode` does."""

    def __init__(self, brokers: int = 3, min_in_sync: int = 2) -> None:
        self._brokers = brokers
        self._min_in_sync = min_in_sync
        self._root: Path | None = None
        self._nodes: dict[int, KafkaNode] = {}
        self._ports: dict[int, int] = {}

    @property
    def bootstrap(self) -> str:
        """Addresses of all brokers; the same over restarts."""
        return ",".join(f"127.0.0.1:{port}" for port in self._ports.values())

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(self._nodes)

    def node(self, number: int) -> KafkaNode:
        return self._nodes[number]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when every broker serves."""
        start_on_free_ports(self._start_new, self.stop)

    def _start_new(self) -> None:
        self._prepare()
        # All at once: a lone voter would wait for the others.
        for node in self._nodes.values():
            node.launch()
        for node in self._nodes.values():
            node.await_ready()

    def stop(self) -> None:
        for node in self._nodes.values():
            node.kill()  # its data go too, so it need not tidy up
        self._nodes.clear()
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)
            self._root = None

    def restart(self, number: int) -> None:
        """Brings a killed broker back with its data; returns when it serves."""
        self._nodes[number].launch()
        self._nodes[number].await_ready()

    def _prepare(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="isotherm-kafka-cluster-"))
        numbers = range(1, self._brokers + 1)
        ports = free_ports(2 * self._brokers)
        self._ports = dict(zip(numbers, ports[: self._brokers], strict=True))
        quorum = dict(zip(numbers, ports[self._brokers :], strict=True))
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in quorum.items())
        internal = INTERNAL_TOPICS.format(replication=self._brokers, min_in_sync=self._min_in_sync)
        classes = shared_classes()
        for number in numbers:
            properties = PROPERTIES.format(
                node=number,
                port=self._ports[number],
                controller_port=quorum[number],
                voters=voters,
                min_in_sync=self._min_in_sync,
            )
            self._nodes[number] = KafkaNode(
                self._root / str(number), properties + internal, jvm=classes
            )
