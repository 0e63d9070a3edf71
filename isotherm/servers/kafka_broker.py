"""A real Apache Kafka broker: one KRaft node on free loopback ports, gone without a trace.

For people: `python -m isotherm.servers.kafka_broker` runs one until Ctrl-C and prints its address.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Self

from isotherm.servers.kafka_classes import shared_classes
from isotherm.servers.kafka_node import KafkaNode, lone_properties
from isotherm.servers.processes import (
    StartError,
    free_ports,
    run_in_foreground,
    start_on_free_ports,
)


class KafkaBroker:
    """One broker. `start` raises `MissingComponentError` (no Java, no jars) or `StartError`.

    Start it from a thread that outlives it: the kernel ends it with its starter.
    """

    def __init__(self) -> None:
        self._root: Path | None = None
        self._node: KafkaNode | None = None
        self._port = 0

    @property
    def bootstrap(self) -> str:
        """`host:port` for a client's `bootstrap_servers`; the same over a restart."""
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when the broker serves. After `stop(keep_data=True)` it comes back as it was."""
        if self._node is not None:
            self._node.launch()
            self._node.await_ready()
            return
        start_on_free_ports(self._start_new, self.stop)

    def _start_new(self) -> None:
        self._node = self._prepare()
        self._node.launch()
        self._node.await_ready()

    def stop(self, *, keep_data: bool = False) -> None:
        if self._node is not None:
            self._node.stop()
        if not keep_data:
            self._node = None
            if self._root is not None:
                shutil.rmtree(self._root, ignore_errors=True)
                self._root = None

    def kill(self) -> None:
        """Ends it without a word, as a lost machine does; the data stay for the next `start`."""
        self._made().kill()

    def pause(self) -> None:
        """Stops its clock: connections stay open, nothing is answered."""
        self._made().pause()

    def resume(self) -> None:
        self._made().resume()

    def wait(self) -> int:
        """Blocks until the broker ends; its exit code."""
        return self._made().wait()

    def _made(self) -> KafkaNode:
        if self._node is None:
            raise StartError("the broker is not running; call start() first")
        return self._node

    def _prepare(self) -> KafkaNode:
        self._root = Path(tempfile.mkdtemp(prefix="isotherm-kafka-"))
        self._port, controller_port = free_ports(2)
        properties = lone_properties(self._port, controller_port)
        return KafkaNode(self._root, properties, jvm=shared_classes())


def main() -> None:
    broker = KafkaBroker()
    run_in_foreground(broker, lambda: f"Kafka serves on {broker.bootstrap}")


if __name__ == "__main__":
    main()
