"""A real Apache Kafka broker: one KRaft node on free loopback ports, gone without a trace.

For people: `python -m isotherm.servers.kafka_broker` runs one until Ctrl-C and prints its address.
"""

import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from isotherm.servers.kafka_jars import RECIPE_DIR, ensure_jars, find_java
from isotherm.servers.processes import (
    StartError,
    dies_with_parent,
    end,
    free_ports,
    run_in_foreground,
    tail,
    wait_until,
)

HEAP_MB = 384
START_TIMEOUT_S = 90
FORMAT_TIMEOUT_S = 60
BIND_ATTEMPTS = 3
CLUSTER_ID = "aXNvdGhlcm0tdGVzdHMtMA"  # any 16 bytes in URL-safe base64
JVM = [
    "-Xms64m",
    f"-Xmx{HEAP_MB}m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # quick to start; a test broker lives too short for more
    "-Djava.awt.headless=true",
    f"-Dlog4j2.configurationFile={RECIPE_DIR / 'log4j2.properties'}",
]
PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller_port}
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.index.size.max.bytes=1048576
"""


class KafkaBroker:
    """One broker. `start` raises `MissingComponentError` (no Java, no jars) or `StartError`.

    Start it from a thread that outlives it: the kernel ends it with its starter.
    """

    def __init__(self) -> None:
        self._root: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
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
        java, jars = find_java(), ensure_jars()
        if self._root is not None:
            self._run(java, jars, self._root)
            return
        for attempt in range(1, BIND_ATTEMPTS + 1):
            self._root = self._prepare(java, jars)
            try:
                self._run(java, jars, self._root)
                return
            except StartError as failed:
                self.stop()
                if "already in use" not in str(failed) or attempt == BIND_ATTEMPTS:
                    raise

    def stop(self, *, keep_data: bool = False) -> None:
        if self._process is not None:
            end(self._process)
            self._process = None
        if self._root is not None and not keep_data:
            shutil.rmtree(self._root, ignore_errors=True)
            self._root = None

    def kill(self) -> None:
        """Ends it without a word, as a lost machine does; the data stay for the next `start`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Stops its clock: connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def wait(self) -> int:
        """Blocks until the broker ends; its exit code."""
        return self._running().wait()

    def _signal(self, number: signal.Signals) -> None:
        self._running().send_signal(number)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise StartError("the broker is not running; call start() first")
        return self._process

    def _prepare(self, java: str, jars: Path) -> Path:
        root = Path(tempfile.mkdtemp(prefix="isotherm-kafka-"))
        self._port, controller_port = free_ports(2)
        settings = root / "server.properties"
        settings.write_text(
            PROPERTIES.format(port=self._port, controller_port=controller_port, data=root / "data")
        )
        options = ["-t", CLUSTER_ID, "-c", str(settings)]
        done = subprocess.run(
            [*_java(java, jars), "kafka.tools.StorageTool", "format", *options],
            capture_output=True,
            text=True,
            check=False,
            timeout=FORMAT_TIMEOUT_S,
        )
        if done.returncode != 0:
            shutil.rmtree(root, ignore_errors=True)
            raise StartError(f"Kafka's storage could not be formatted: {done.stderr[-2000:]}")
        return root

    def _run(self, java: str, jars: Path, root: Path) -> None:
        log = root / "broker.log"
        command = [*_java(java, jars), "kafka.Kafka", str(root / "server.properties")]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                dies_with_parent(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is the test run's to handle, in its own order
            )
        wait_until(
            lambda: "Kafka Server started" in tail(log, 200), self._process, log, START_TIMEOUT_S
        )


def _java(java: str, jars: Path) -> list[str]:
    return [java, *JVM, "-cp", f"{jars}/*"]


def main() -> None:
    broker = KafkaBroker()
    run_in_foreground(broker, lambda: f"Kafka serves on {broker.bootstrap}")


if __name__ == "__main__":
    main()
