"""Apache Kafka's published jars: resolved by Maven, cached outside the tree, checked by hash.

`kafka/pom.xml` pins the versions, `kafka/jars.sha256` what the files must be. After a change of
the versions: `python -m isotherm.servers.kafka_jars record`.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from isotherm.servers.components import MissingComponentError

RECIPE_DIR = Path(__file__).parent / "kafka"
POM = RECIPE_DIR / "pom.xml"
HASHES = RECIPE_DIR / "jars.sha256"
JAVA_MIN = 17  # Apache Kafka 4: brokers need Java 17
FETCH_TIMEOUT_S = 600


def kafka_version() -> str:
    found = ET.parse(POM).getroot().findtext("{*}properties/{*}kafka.version")
    if found is None:
        raise ValueError(f"{POM} has no property kafka.version")
    return found


def cache_dir() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "isotherm" / f"kafka-{kafka_version()}"


def find_java() -> str:
    """Path of a Java that can run the broker."""
    java = shutil.which("java")
    if java is None:
        raise MissingComponentError("Java", f"no `java` on PATH; install Java {JAVA_MIN} or newer")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < JAVA_MIN:
        line = said.strip().splitlines()[0] if said.strip() else "nothing"
        raise MissingComponentError("Java", f"Kafka needs Java {JAVA_MIN}+; `java` says {line}")
    return java


def read_hashes(path: Path) -> dict[str, str]:
    """File name -> SHA-256, from the format of `sha256sum`."""
    lines = (line.split() for line in path.read_text().splitlines() if line.strip())
    return {name: digest for digest, name in lines}


def hashes_of(folder: Path) -> dict[str, str]:
    jars = sorted(folder.glob("*.jar"))
    return {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in jars}


def differences(folder: Path, expected: dict[str, str]) -> list[str]:
    """Names of jars that are absent, changed or not expected."""
    found = hashes_of(folder)
    return sorted(n for n in found.keys() | expected.keys() if found.get(n) != expected.get(n))


def ensure_jars(cache: Path | None = None) -> Path:
    """Folder with exactly the jars of `jars.sha256`, fetched on first use; safe in parallel runs.

    Raises `MissingComponentError` where Maven is absent, fails, or brings other bytes.
    """
    folder = cache or cache_dir()
    expected = read_hashes(HASHES)
    with _lock(folder):
        if differences(folder, expected):
            _replace(folder, expected)
    return folder


def _replace(folder: Path, expected: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.") as scratch:
        fetched = Path(scratch) / "jars"
        _fetch(fetched)
        wrong = differences(fetched, expected)
        if wrong:
            raise MissingComponentError(
                "Apache Kafka's jars",
                f"Maven brought other bytes than {HASHES.name} names: {', '.join(wrong)}",
            )
        shutil.rmtree(folder, ignore_errors=True)
        fetched.rename(folder)


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise MissingComponentError("Maven", "no `mvn` on PATH to fetch Apache Kafka's jars with")
    goal = "dependency:copy-dependencies"
    options = ["-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
    command = [maven, "-q", "-B", "-f", str(POM), goal, *options]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=FETCH_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        reason = f"Maven did not finish in {FETCH_TIMEOUT_S} s"
        raise MissingComponentError("Apache Kafka's jars", reason) from None
    if done.returncode != 0:
        errors = [line for line in done.stdout.splitlines() if "ERROR" in line]
        reason = f"Maven could not fetch them: {errors[0] if errors else done.stdout[-500:]}"
        raise MissingComponentError("Apache Kafka's jars", reason)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # released when the file closes
        yield


def record() -> None:
    """Writes `jars.sha256` anew from what Maven resolves for `pom.xml` now."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "jars"
        _fetch(folder)
        lines = [f"{digest}  {name}\n" for name, digest in hashes_of(folder).items()]
    HASHES.write_text("".join(lines))
    typer.echo(f"{HASHES.name}: {len(lines)} jars")


if __name__ == "__main__":
    if sys.argv[1:] != ["record"]:
        sys.exit("usage: python -m isotherm.servers.kafka_jars record")
    record()
