"""One process of Apache Kafka in a folder of its own: formatted, started, killed, started again."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from isotherm.servers.kafka_jars import RECIPE_DIR, ensure_jars, find_java
from isotherm.servers.processes import StartError, dies_with_parent, end, wait_until

HEAP_MB = 384
START_TIMEOUT_S = 90
FORMAT_TIMEOUT_S = 60
CLUSTER_ID = "aXNvdGhlcm0tdGVzdHMtMA"  # any 16 bytes in URL-safe base64
JVM = [
    "-Xms64m",
    f"-Xmx{HEAP_MB}m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # quick to start; a test broker lives too short for more
    "-Djava.awt.headless=true",
    f"-Dlog4j2.configurationFile={RECIPE_DIR / 'log4j2.properties'}",
]
INTERNAL_TOPICS = """\
offsets.topic.num.partitions=1
offsets.topic.replication.factor={replication}
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor={replication}
transaction.state.log.min.isr={min_in_sync}
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor={replication}
share.coordinator.state.topic.min.isr={min_in_sync}
group.initial.rebalance.delay.ms=0
log.index.size.max.bytes=1048576
"""
"""As small as the internal topics can be: a throw-away broker has to be up soon."""

LONE = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller_port}
inter.broker.listener.name=PLAINTEXT
"""


def lone_properties(port: int, controller_port: int) -> str:
    """Settings of a node that is a cluster of its own."""
    own = LONE.format(port=port, controller_port=controller_port)
    return own + INTERNAL_TOPICS.format(replication=1, min_in_sync=1)


class KafkaNode:
    """A broker and KRaft controller in one process; `folder` holds settings, log and data.

    Raises `MissingComponentError` (no Java, no jars) or `StartError`. Launch it from a thread that
    outlives it: the kernel ends it with its starter.
    """

    def __init__(
        self,
        folder: Path,
        properties: str,
        scram_users: Mapping[str, str] | None = None,
        jvm: Sequence[str] = (),
    ) -> None:
        self._folder = folder
        self._settings = folder / "server.properties"
        self._log = folder / "broker.log"
        self._java = [find_java(), *JVM, *jvm, "-cp", f"{ensure_jars()}/*"]
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        folder.mkdir(parents=True, exist_ok=True)
        self._settings.write_text(f"{properties}log.dirs={folder / 'data'}\n")
        self._format(scram_users or {})

    def _format(self, scram_users: Mapping[str, str]) -> None:
        options = ["-t", CLUSTER_ID, "-c", str(self._settings)]
        for name, password in scram_users.items():
            # Seen in the list of processes: these passwords live as long as the test.
            options += ["--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]"]
        done = subprocess.run(
            [*self._java, "kafka.tools.StorageTool", "format", *options],
            capture_output=True,
            text=True,
            check=False,
            timeout=FORMAT_TIMEOUT_S,
        )
        if done.returncode != 0:
            raise StartError(f"Kafka's storage could not be formatted: {done.stderr[-2000:]}")

    @property
    def running(self) -> bool:
        return self._process is not None

    def launch(self) -> None:
        """Starts the process; `await_ready` waits until it serves."""
        self._ready = False
        command = [*self._java, "kafka.Kafka", str(self._settings)]
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                dies_with_parent(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is the test run's to handle, in its own order
            )

    def await_ready(self) -> None:
        wait_until(self.says_ready, self._started(), self._log, START_TIMEOUT_S)

    def says_ready(self) -> bool:
        # Remembered: under trouble the line is soon far above the end of the log.
        self._ready = self._ready or "Kafka Server started" in self._log.read_text(errors="replace")
        return self._ready

    def stop(self, grace_s: float = 10.0) -> None:
        if self._process is not None:
            end(self._process, grace_s=grace_s)
            self._process = None

    def kill(self) -> None:
        """Ends it without a word, as a lost machine does; the data stay for the next launch."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Stops its clock: connections stay open, nothing is answered."""
        self._started().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._started().send_signal(signal.SIGCONT)

    def wait(self) -> int:
        """Blocks until the process ends; its exit code."""
        return self._started().wait()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise StartError("the broker is not running; call start() first")
        return self._process
