"""Classes of the broker as its JVM has read and checked them, kept, so that later starts map them.

Class data sharing (JEP 350) halves what a start takes of the processor: 1.9 instead of 3.4 s on the
machine of `docs/benchmarks.md`, which is most of how long a killed broker is away.
"""

import fcntl
import tempfile
import zlib
from pathlib import Path

from isotherm.servers.kafka_jars import ensure_jars, find_java
from isotherm.servers.kafka_node import KafkaNode, lone_properties
from isotherm.servers.processes import free_ports, start_on_free_ports


def shared_classes() -> tuple[str, ...]:
    """Options for a JVM that runs a broker; made by one run of a broker on first use, about 10 s.

    Raises as `KafkaNode` does. Empty where the JVM can not keep its classes.
    """
    java = Path(find_java()).resolve()
    mark = zlib.crc32(f"{java} {java.stat().st_mtime_ns}".encode())
    kept = ensure_jars() / f"classes-{mark:08x}.jsa"
    with kept.with_suffix(".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # released when the file closes
        if not kept.exists():
            _record(kept)
    return (f"-XX:SharedArchiveFile={kept}",) if kept.stat().st_size else ()


def _record(kept: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="isotherm-kafka-", dir=kept.parent) as scratch:
        made = Path(scratch) / kept.name
        node: KafkaNode | None = None

        def start() -> None:
            nonlocal node
            properties = lone_properties(*free_ports(2))
            node = KafkaNode(
                Path(scratch) / "node", properties, jvm=(f"-XX:ArchiveClassesAtExit={made}",)
            )
            node.launch()
            node.await_ready()

        def stop() -> None:
            if node is not None:
                node.stop(grace_s=60)

        start_on_free_ports(start, stop)
        stop()
        made.touch()  # empty: not tried again at every start
        made.rename(kept)
